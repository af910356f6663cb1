"""What goes on is said where there is no terminal too: a line a minute with the time left."""

import pytest

from ideomotor.launch import console


def test_without_a_terminal_a_line_a_minute_says_what_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Clock:
        now = 50.0

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    monkeypatch.setattr(console, "time", clock)
    with console.Output(None).progress() as progress:
        assert progress.disable
        episodes = progress.add_task("recording", total=300)
        for _ in range(100):
            clock.now += 3.0
            progress.update(episodes, advance=1, description="recording lift")
        files = progress.add_task("converting", total=None)
        clock.now += 61.0
        progress.advance(files)
    assert capsys.readouterr().err.splitlines() == [
        "recording lift: 20 of 300, 14 min left",
        "recording lift: 40 of 300, 13 min left",
        "recording lift: 60 of 300, 12 min left",
        "recording lift: 80 of 300, 11 min left",
        "recording lift: 100 of 300, 10 min left",
        "converting: 1",
    ]
