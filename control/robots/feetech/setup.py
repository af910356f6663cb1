"""What an STS servo of a new arm gets: no return delay and its whole range, besides its id and rate."""

from __future__ import annotations

from ideomotor.control.robots.feetech import registers as reg
from ideomotor.control.robots.feetech.packets import StsPackets
from ideomotor.control.robots.setup_registers import SetupRegisters

SETUP = SetupRegisters(
    packets=StsPackets,
    bauds=reg.BAUDS,
    new_baud=1_000_000,
    turns=False,
    model=reg.MODEL,
    id=reg.ID,
    baud=reg.BAUD,
    torque=reg.TORQUE_ENABLE,
    before={reg.LOCK: 0},
    kept=lambda servo, now: {reg.RETURN_DELAY: 0, reg.MIN_POSITION: 0, reg.MAX_POSITION: 4095},
    after={reg.LOCK: 1},
)
