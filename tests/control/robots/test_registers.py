"""Values of the servos' memory tables: what is encoded is decoded again, and never out of the wrong bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.control.robots.dynamixel import registers as dxl_registers
from ideomotor.control.robots.feetech import registers as reg
from ideomotor.control.robots.feetech import registers as sts_registers
from ideomotor.control.robots.registers import Register

TABLES = {
    name: [value for value in vars(table).values() if isinstance(value, Register)]
    for name, table in (("sts", sts_registers), ("dxl", dxl_registers))
}
REGISTERS = sum(TABLES.values(), [])


@given(register=st.sampled_from(REGISTERS), data=st.data())
def test_a_value_survives_its_register(register: Register, data: st.DataObject) -> None:
    bits = 8 * register.size - register.signed if register.sign_bit is None else register.sign_bit
    limit = (1 << bits) - 1
    lowest = -limit - 1 if register.signed else 0 if register.sign_bit is None else -limit
    value = data.draw(st.integers(lowest, limit))
    encoded = register.encode(value)
    assert len(encoded) == register.size and register.decode(encoded) == value
    table = bytes(register.address - 0) + encoded
    assert register.decode(table, 0) == value
    assert register.decode(table[register.address :], register.address) == value
    with pytest.raises(ValueError, match="value: got"):
        register.encode(limit + 1)
    with pytest.raises(ValueError, match="value: got"):
        register.encode(lowest - 1)


@given(register=st.sampled_from(REGISTERS), start=st.integers(0, 150), size=st.integers(0, 150))
def test_a_register_that_is_not_in_the_bytes_is_refused(register: Register, start: int, size: int) -> None:
    inside = start <= register.address and register.address + register.size <= start + size
    if inside:
        assert register.decode(bytes(size), start) == 0
    else:
        with pytest.raises(ValueError, match="data: got"):
            register.decode(bytes(size), start)


@pytest.mark.parametrize("name", TABLES)
def test_no_two_registers_overlap(name: str) -> None:
    spans = sorted((register.address, register.address + register.size) for register in TABLES[name])
    assert all(end <= start for (_, end), (start, _) in zip(spans, spans[1:], strict=False))
    assert spans[-1][1] == {"sts": sts_registers, "dxl": dxl_registers}[name].TABLE_SIZE


def test_the_tables_are_as_the_makers_print_them() -> None:
    """Spot checks against Feetech's table for the STS3215 and Robotis' examples."""
    assert reg.POSITION.encode(-5) == bytes([5, 0x80])
    assert reg.OFFSET.encode(-100) == bytes([100, 8])
    assert reg.LOAD.decode(bytes([0x64, 0x04])) == -100
    assert dxl_registers.POSITION.encode(-5) == bytes([0xFB, 0xFF, 0xFF, 0xFF])
    assert dxl_registers.EFFORT.decode(bytes([0x9C, 0xFF])) == -100
    assert dxl_registers.POSITION.address == 0x84 and dxl_registers.GOAL_POSITION.address == 0x74
