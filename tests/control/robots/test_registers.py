"""Values of the servos' memory table: what is encoded is decoded again, and never out of the wrong bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ideomotor.control.robots import sts_registers as reg

REGISTERS = [value for value in vars(reg).values() if isinstance(value, reg.Register)]


@given(register=st.sampled_from(REGISTERS), data=st.data())
def test_a_value_survives_its_register(register: reg.Register, data: st.DataObject) -> None:
    limit = (1 << (8 * register.size if register.sign_bit is None else register.sign_bit)) - 1
    value = data.draw(st.integers(0 if register.sign_bit is None else -limit, limit))
    encoded = register.encode(value)
    assert len(encoded) == register.size and register.decode(encoded) == value
    table = bytes(register.address - 0) + encoded
    assert register.decode(table, 0) == value
    assert register.decode(table[register.address :], register.address) == value
    with pytest.raises(ValueError, match="value: got"):
        register.encode(limit + 1)


@given(register=st.sampled_from(REGISTERS), start=st.integers(0, 80), size=st.integers(0, 80))
def test_a_register_that_is_not_in_the_bytes_is_refused(
    register: reg.Register, start: int, size: int
) -> None:
    inside = start <= register.address and register.address + register.size <= start + size
    if inside:
        assert register.decode(bytes(size), start) == 0
    else:
        with pytest.raises(ValueError, match="data: got"):
            register.decode(bytes(size), start)


def test_the_table_is_as_the_maker_prints_it() -> None:
    """Spot checks against Feetech's table for the STS3215, by address."""
    assert reg.POSITION.encode(-5) == bytes([5, 0x80])
    assert reg.OFFSET.encode(-100) == bytes([100, 8])
    assert reg.LOAD.decode(bytes([0x64, 0x04])) == -100
    spans = sorted((register.address, register.address + register.size) for register in REGISTERS)
    assert all(end <= start for (_, end), (start, _) in zip(spans, spans[1:], strict=False))
    assert spans[-1][1] == reg.TABLE_SIZE
