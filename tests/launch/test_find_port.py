"""`ideomotor find-port` with ports that come and go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ideomotor.control.errors import UserError
from ideomotor.control.robots.serial_ports import SerialPort, serial_ports
from ideomotor.launch.commands.bring_up import find_port

list_ports = pytest.importorskip("serial.tools.list_ports")


def port(device: str, vid: int | None = None, pid: int | None = None, serial: str | None = None) -> Any:
    return SimpleNamespace(device=device, vid=vid, pid=pid, serial_number=serial, description="n/a")


FEETECH = port("/dev/ttyACM1", 0x1A86, 0x55D3, "5A46")
SECOND = port("/dev/ttyACM2", 0x1A86, 0x55D3, "5A47")
MODEM = port("/dev/ttyACM0", 0x12D1, 0x1506)
BUILT_IN = port("/dev/ttyS0")


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """plugged(port…): these are there from now on."""

    def set_ports(*ports: Any) -> None:
        monkeypatch.setattr(list_ports, "comports", lambda: list(ports))

    return set_ports


def test_an_adapter_is_known_by_its_usb_id(in_process, plugged) -> None:
    plugged(BUILT_IN, MODEM, FEETECH)
    done = in_process("find-port", "--json", "-")
    assert done.returncode == 0 and done.json["port"] == "/dev/ttyACM1"
    assert [one["device"] for one in done.json["ports"]] == ["/dev/ttyACM1", "/dev/ttyACM0", "/dev/ttyS0"]
    shown = in_process("find-port").stdout
    assert "1a86:55d3" in shown and "CH343" in shown and "use --port /dev/ttyACM1" in shown


def test_two_equal_adapters_are_not_told_apart_by_guessing(in_process, plugged) -> None:
    plugged(FEETECH, SECOND)
    done = in_process("find-port", "--json", "-")
    assert done.returncode == 0 and done.json["port"] is None
    assert "2 servo adapters: --unplug" in in_process("find-port").stdout


def test_no_adapter_is_a_fault_and_a_dialogue_needs_a_terminal(in_process, plugged) -> None:
    plugged(MODEM)
    done = in_process("find-port")
    assert done.returncode == 1 and "no servo adapter" in done.stdout
    in_process("find-port", "--unplug").assert_refused("unplug", "terminal")


def test_the_path_that_stays_is_given(plugged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path / "ttyACM1"
    device.touch()
    (tmp_path / "by-id").mkdir()
    (tmp_path / "by-id" / "usb-1a86_5A46-if00").symlink_to(device)
    plugged(port(str(device), 0x1A86, 0x55D3, "5A46"), port(str(tmp_path / "ttyACM9"), 0x2F5D, 0x2202))
    found = serial_ports((tmp_path / "none", tmp_path / "by-id"))
    assert found[0].path == str(tmp_path / "by-id" / "usb-1a86_5A46-if00")
    assert found[1].path == found[1].device and "ROBOTIS" in found[1].adapter


def states(*moments: list[Any]) -> Callable[[], list[SerialPort]]:
    """What is there, moment by moment; the last one stays."""
    left: Iterator[list[Any]] = iter(moments)
    now = list[Any]()

    def look() -> list[SerialPort]:
        now[:] = next(left, now)
        return [SerialPort(p.device, p.device, f"{p.vid}:{p.pid}", "", p.serial_number, "x") for p in now]

    return look


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_port, "LOOK_EVERY_S", 0.0)


def test_the_one_that_is_unplugged_is_meant_whatever_it_is_called_afterwards() -> None:
    moved = port("/dev/ttyACM7", 0x1A86, 0x55D3, "5A47")
    said: list[str] = []
    look = states([FEETECH, SECOND], [FEETECH, SECOND], [FEETECH], [FEETECH], [FEETECH, moved])
    assert find_port._by_unplugging(look, said.append).device == "/dev/ttyACM7"
    assert said == ["unplug the USB cable of the arm you mean", "plug it in again"]


def test_a_dialogue_that_finds_nothing_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no serial port at all"):
        find_port._by_unplugging(states([]), print)
    with pytest.raises(UserError, match="went together"):
        find_port._by_unplugging(states([FEETECH, SECOND], []), print)
    monkeypatch.setattr(find_port, "GIVE_UP_S", 0.0)
    with pytest.raises(UserError, match="no port went away"):
        find_port._by_unplugging(states([FEETECH]), print)
    with pytest.raises(UserError, match="did not come back"):
        find_port._by_unplugging(states([FEETECH], []), print)
