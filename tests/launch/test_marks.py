"""Attempts that a person marks: where they begin and end, and which one a key is for."""

from ideomotor.launch.runtime.marks import AGAIN, Marks


def test_a_mark_is_for_the_attempt_under_way_or_for_the_one_that_has_just_ended() -> None:
    marks = Marks()
    marks.mark("good")  # of nothing
    stages = [("hold", "x")] + [("run", "")] * 3 + [("hold", "stale")] + [("run", "")] * 2  # ticks 0 to 6
    stages += [("hold", AGAIN), ("park", AGAIN)]  # 7, 8
    for tick, (stage, reason) in enumerate(stages):
        marks.see(tick, stage, reason)
    marks.mark("bad")
    marks.mark("good")  # the last one counts
    for tick in range(9, 12):
        marks.see(tick, "run", "")
    marks.mark("bad")
    assert marks.as_json() == [
        {"from_tick": 1, "to_tick": 6, "mark": "good"},
        {"from_tick": 9, "to_tick": 11, "mark": "bad"},
    ]
    assert Marks().as_json() == []
