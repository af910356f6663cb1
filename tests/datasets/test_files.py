"""What is renamed is on the disk before: content, then name, then the name of what depends on it."""

import os

import pytest

from ideomotor.datasets import files


@pytest.fixture
def calls(monkeypatch):
    """What is asked of the operating system, as (call, path), in order."""
    made, paths = [], {}

    def opened(path, *arguments, real=os.open, **options):
        descriptor = real(path, *arguments, **options)
        paths[descriptor] = str(path)
        return descriptor

    def synced(descriptor, real=os.fsync):
        made.append(("fsync", paths.get(descriptor) or os.readlink(f"/proc/self/fd/{descriptor}")))
        real(descriptor)

    def replaced(source, target, real=os.replace):
        made.append(("replace", str(target)))
        real(source, target)

    for name, fake in (("open", opened), ("fsync", synced), ("replace", replaced)):
        monkeypatch.setattr(files.os, name, fake)
    return made


def test_a_file_is_synced_then_renamed_and_then_its_folder_is_synced(tmp_path, calls):
    (tmp_path / "partial").write_bytes(b"whole")
    files.put_in_place(tmp_path / "partial", tmp_path / "file")
    assert calls == [
        ("fsync", str(tmp_path / "partial")),
        ("replace", str(tmp_path / "file")),
        ("fsync", str(tmp_path)),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_last_of_several_files_is_renamed_when_the_others_are_safe(tmp_path, calls):
    files.replace_files({tmp_path / "new/data": b"rows", tmp_path / "info": b"1"})
    last = calls.index(("replace", str(tmp_path / "info")))
    before = calls[:last]
    for expected in (
        ("fsync", str(tmp_path / "new/data.tmp")),
        ("replace", str(tmp_path / "new/data")),
        ("fsync", str(tmp_path / "new")),
        ("fsync", str(tmp_path)),  # in which the folder is new
        ("fsync", str(tmp_path / "info.tmp")),
    ):
        assert expected in before, expected
    assert before.index(("fsync", str(tmp_path / "new/data.tmp"))) < before.index(
        ("replace", str(tmp_path / "new/data"))
    )
    assert calls[-1] == ("fsync", str(tmp_path))
