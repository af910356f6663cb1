"""Keys as terminals send them."""

import pytest

from ideomotor.launch.runtime.keyboard import keys_in


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        ("q", ["q"]),
        (" r\n", [" ", "r", "\n"]),
        ("\x1b[C", ["right"]),
        ("\x1bOD", ["left"]),
        ("\x1b", ["escape"]),
        ("\x1b[C\x1b[Dq", ["right", "left", "q"]),
        ("\x1b[A\x1b[1;5B\x1b[3~", []),  # up, Ctrl-down, delete: nobody's, and no escape
        ("\x1b\x1b[C", ["escape", "right"]),
        ("", []),
    ],
)
def test_arrows_and_escape_have_names_and_other_codes_are_nothing(typed, keys):
    assert keys_in(typed) == keys
