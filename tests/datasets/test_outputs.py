"""What a user names as an output: replaced, followed, written into or refused, by what lies there."""

import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from ideomotor.control.errors import UserError
from ideomotor.datasets import files
from ideomotor.datasets.outputs import check_output, check_output_folder, write_output, writing


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_regular_file_is_replaced_and_keeps_its_permissions(tmp_path):
    path = tmp_path / "file"
    path.write_text("a longer text than the new one")
    path.chmod(0o640)
    before = path.stat().st_ino
    check_output("json", path)
    write_output(path, b"new")
    assert path.read_bytes() == b"new" and path.stat().st_ino != before
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert names(tmp_path) == ["file"]


def test_a_new_file_has_the_permissions_that_the_user_gives_to_new_files(tmp_path):
    (tmp_path / "by hand").write_text("")
    write_output(tmp_path / "new", b"")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "by hand").stat().st_mode


def test_the_longest_name_that_there_can_be(tmp_path):
    write_output(tmp_path / ("n" * 255), b"data")
    assert (tmp_path / ("n" * 255)).read_bytes() == b"data"


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed_to_the_file_it_leads_to(tmp_path, there):
    (tmp_path / "far").mkdir()
    target = tmp_path / "far" / "file"
    if there:
        target.write_text("old")
    (tmp_path / "second").symlink_to("far/file")
    (tmp_path / "first").symlink_to(tmp_path / "second")
    check_output("json", tmp_path / "first")
    write_output(tmp_path / "first", b"new")
    assert target.read_bytes() == b"new" and (tmp_path / "first").is_symlink()
    assert names(tmp_path) == ["far", "first", "second"] and names(tmp_path / "far") == ["file"]


@pytest.fixture
def null_device(tmp_path):
    """A device of our own like /dev/null: a mistake must not cost the machine's."""
    path = tmp_path / "null"
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        path.write_bytes(b"")
    except PermissionError:
        pytest.skip("needs the right to make a device and open it")
    return path


def test_a_device_stays_a_device(null_device, tmp_path):
    (tmp_path / "link").symlink_to(null_device)
    for path in (null_device, tmp_path / "link"):
        check_output("json", path, [".svg"])  # it has the name it has
        write_output(path, b"gone")
    assert stat.S_ISCHR(null_device.stat().st_mode)
    assert names(tmp_path) == ["link", "null"]


def test_a_fifo_is_written_into_for_whoever_reads_it(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    check_output("json", tmp_path / "fifo")
    got = []
    reader = threading.Thread(target=lambda: got.append((tmp_path / "fifo").read_bytes()))
    reader.start()
    write_output(tmp_path / "fifo", b"x" * 200_000)  # more than a pipe holds
    reader.join()
    assert got == [b"x" * 200_000] and stat.S_ISFIFO((tmp_path / "fifo").stat().st_mode)


def test_what_a_shell_writes_for_a_process_is_written_into():
    """`--json >(cat)` is /dev/fd/63, the end of a pipe."""
    there, ours = os.pipe()
    try:
        check_output("json", Path(f"/dev/fd/{ours}"), [".json"])
        write_output(Path(f"/dev/fd/{ours}"), b"for cat")
        assert os.read(there, 100) == b"for cat"
        with pytest.raises(UserError, match="reading only"):
            check_output("json", Path(f"/dev/fd/{there}"))
    finally:
        os.close(there)
        os.close(ours)


def test_an_open_file_is_written_where_its_descriptor_stands(tmp_path):
    """`3>FILE --json /dev/fd/3`, or /dev/stdout: replacing FILE would lose what comes before and after."""
    with open(tmp_path / "file", "wb", buffering=0) as file:
        file.write(b"before, ")
        (tmp_path / "link").symlink_to(f"/dev/fd/{file.fileno()}")
        for path in (f"/dev/fd/{file.fileno()}", str(tmp_path / "link"), f"/proc/self/fd/{file.fileno()}"):
            check_output("json", Path(path))
            write_output(Path(path), b"ours, ")
        file.write(b"after")
    assert (tmp_path / "file").read_bytes() == b"before, ours, ours, ours, after"


def test_a_folder_a_socket_and_what_can_have_no_file_are_refused(tmp_path):
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "to folder").symlink_to("folder.json")
    (tmp_path / "to nowhere").symlink_to("no/file")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "file").write_text("")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    for name, said in (
        ("folder.json", "json: .*is a folder"),
        ("to folder", "is a folder"),
        ("to nowhere", "folder of .* does not exist"),
        ("no/file", "folder of .* does not exist"),
        ("file/below", "cannot write"),
        ("round", "cannot write"),
        ("n" * 256, "cannot write"),
        ("socket", "is a socket"),
        ("picture.png", r"expected a name that ends in \.svg, \.html"),
    ):
        with pytest.raises(UserError, match=said):
            check_output("json", tmp_path / name, [".svg", ".html"] if name == "picture.png" else [])
    assert names(tmp_path) == ["file", "folder.json", "round", "socket", "to folder", "to nowhere"]


def test_a_disk_is_refused(tmp_path):
    try:
        os.mknod(tmp_path / "disk", 0o666 | stat.S_IFBLK, os.makedev(7, 200))
    except PermissionError:
        pytest.skip("needs the right to make a device")
    with pytest.raises(UserError, match="is a disk"):
        check_output("json", tmp_path / "disk")


def test_a_file_where_a_folder_is_expected_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "to nowhere").symlink_to("no")
    for name in ("file", "file/below", "to nowhere"):
        with pytest.raises(UserError, match="out: .*is not a folder"):
            check_output_folder("out", tmp_path / name)
    check_output_folder("out", tmp_path)
    check_output_folder("out", tmp_path / "a/b/c")
    assert names(tmp_path) == ["file", "to nowhere"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_what_may_not_be_written_is_refused(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    (tmp_path / "file").touch(mode=0o400)
    for path in (tmp_path / "locked" / "new", tmp_path / "file"):
        with pytest.raises(UserError, match="no permission"):
            check_output("json", path)


def test_a_file_that_cannot_be_replaced_is_written_into(tmp_path, monkeypatch):
    """As one that is mounted into a container: the kernel answers EBUSY to a rename."""

    def busy(*_):
        raise OSError(16, "Device or resource busy")

    (tmp_path / "file").write_text("a longer text than the new one")
    monkeypatch.setattr(files.os, "replace", busy)
    write_output(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new" and names(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_what_was_there(tmp_path, error):
    (tmp_path / "file").write_text("old")
    with pytest.raises(type(error)), writing(tmp_path / "file") as temporary:
        temporary.write_text("half")
        raise error
    with writing(tmp_path / "file"):
        pass  # nothing was made
    assert (tmp_path / "file").read_text() == "old" and names(tmp_path) == ["file"]
