"""The executor over a world of facts: it verifies, recovers, remembers, and always comes to an end."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ideomotor.control.errors import UserError
from ideomotor.vla.planner.candidates import RATES, Imagined, load_rates, ranked
from ideomotor.vla.planner.executor import Executor
from ideomotor.vla.planner.executor_options import ExecutorOptions
from ideomotor.vla.planner.goals.grounding import goal_of
from ideomotor.vla.planner.interface import DecisionKind, Moment, PerceivedScene
from ideomotor.vla.planner.memory import Memory, iou
from ideomotor.vla.planner.plan import Call, Steps
from ideomotor.vla.planner.proposing.symbolic import SymbolicPlanner
from ideomotor.vla.planner.skills import applied, unmet

THINGS = ("red cube", "blue cube", "green ball", "blue bowl", "red plate", "yellow drawer")
FACTS = frozenset({("hand_empty",), ("closed", "yellow drawer")})
GOAL = "put the green ball into the yellow drawer and close it, then put all cubes into the bowl"


def run(goal=GOAL, rate=1.0, seed=0, options=None, planner=None, facts=FACTS, answers=(), blind=0.0, **more):
    """Runs a goal in a world in which a skill takes four seconds and succeeds at a rate.

    Returns the executor, its last decision, and the decisions that differ.
    """
    draw, now, decisions, answers = np.random.default_rng(seed), facts, [], list(answers)
    executor = Executor(goal, planner, options, **more)
    executor.start(Moment(0.0, PerceivedScene(THINGS, now)))
    attempt, began = 0, 0.0
    for second in range(1, 400):
        seen = now - {one for one in now if draw.random() < blind}
        decision = executor.decide(
            Moment(float(second), PerceivedScene(THINGS, seen), progress=float(second - began > 4))
        )
        if not decisions or decisions[-1] != decision:
            decisions.append(decision)
        if decision.kind in (DecisionKind.DONE, DecisionKind.GIVE_UP):
            return executor, decision, decisions
        if decision.kind is DecisionKind.ASK:
            executor.answer(answers.pop(0) if answers else "")
        elif decision.attempt != attempt:
            attempt, began = decision.attempt, second
        elif second - began == 4 and decision.call and draw.random() < rate and not unmet(decision.call, now):
            now = applied(decision.call, now)
    raise AssertionError("it did not end")


def test_a_goal_is_carried_out_and_seen_to_be_done():
    executor, last, decisions = run()
    assert last.kind is DecisionKind.DONE
    assert [str(a.call) for a in executor.attempts] == [
        "open(yellow drawer)", "stow(green ball, yellow drawer)", "close(yellow drawer)",
        "place(blue cube, blue bowl)", "place(red cube, blue bowl)",
    ]  # fmt: skip
    assert all(a.succeeded for a in executor.attempts) and executor.replans == 0
    assert {d.instruction for d in decisions if d.instruction} >= {
        "open the yellow drawer",
        "put the red cube into the blue bowl",
    }


def test_the_goal_ends_with_the_look_that_confirms_its_last_skill():
    executor, last, _ = run("put the red cube into the bowl")
    assert last.kind is DecisionKind.DONE
    assert [event.time for event in executor.memory.events if event.kind == "done"] == [
        executor.attempts[-1].ended_at
    ]


def test_what_is_so_already_is_not_done_again():
    facts = FACTS | {("inside", "red cube", "blue bowl"), ("in_drawer", "green ball", "yellow drawer")}
    executor, last, _ = run(facts=facts)
    assert last.kind is DecisionKind.DONE and [a.call.arguments[0] for a in executor.attempts] == [
        "blue cube"
    ]


def test_a_failed_skill_is_tried_again_in_other_words():
    executor, last, _ = run(rate=0.6, seed=3)
    assert last.kind is DecisionKind.DONE
    failed = [a for a in executor.attempts if not a.succeeded]
    again = [a for a in executor.attempts if a.succeeded and a.call in {f.call for f in failed}]
    assert failed and {a.instruction for a in again}.isdisjoint(f.instruction for f in failed)


def test_recovery_reaches_more_than_no_verification():
    reached = {}
    for verify in (True, False):
        ends = [run(rate=0.7, seed=seed, options=ExecutorOptions(verify=verify)) for seed in range(12)]
        reached[verify] = sum(
            last.kind is DecisionKind.DONE and ex.attempts[-1].why != "not verified" for ex, last, _ in ends
        )
    assert reached[True] >= 10 and reached[False] == 0


def test_another_specialist_is_asked_before_the_person():
    executor, last, decisions = run(
        "put the red cube into the bowl", rate=0.0, specialists=("place",),
        options=ExecutorOptions(ask=True, max_questions=1), answers=["stop"],
    )  # fmt: skip
    tried = [a.specialist for a in executor.attempts]
    assert "place" in tried and tried[-1] == "" and tried.index("") > tried.index("place")
    asked = [d for d in decisions if d.kind is DecisionKind.ASK]
    assert len(asked) == 1 and "again, skip or stop" in asked[0].question
    assert last.kind is DecisionKind.GIVE_UP and "'stop'" in last.reason


def test_the_wrong_thing_in_the_hand_is_put_down():
    facts, executor = FACTS, Executor("put the red cube into the bowl")
    executor.start(Moment(0.0, PerceivedScene(THINGS, facts)))
    attempt, began, decision = 0, 0.0, None
    for second in range(1, 90):
        decision = executor.decide(Moment(float(second), PerceivedScene(THINGS, facts)))
        if decision.kind is not DecisionKind.ACT:
            break
        if decision.attempt != attempt:
            attempt, began = decision.attempt, second
        elif second - began == 4 and attempt == 1:
            facts = frozenset({("closed", "yellow drawer"), ("held", "green ball")})
        elif second - began == 4 and decision.call and not unmet(decision.call, facts):
            facts = applied(decision.call, facts)
    assert decision is not None and decision.kind is DecisionKind.DONE
    assert [str(one.call) for one in executor.attempts] == [
        "place(red cube, blue bowl)", "put_down(green ball)", "place(red cube, blue bowl)",
    ]  # fmt: skip


def test_a_person_can_say_again_or_skip():
    options = ExecutorOptions(ask=True, max_questions=4)
    executor, last, _ = run(
        "put the red cube into the bowl", rate=0.0, options=options, answers=["again", "skip"]
    )
    assert last.kind is DecisionKind.GIVE_UP  # the goal is still looked at
    assert [e.text for e in executor.memory.events if e.kind == "answer"][:2] == ["again", "skip"]


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 1), st.integers(0, 10_000), st.floats(0, 0.4), st.booleans())
def test_every_goal_comes_to_an_end(rate, seed, blind, ask):
    executor, last, decisions = run(rate=rate, seed=seed, blind=blind, options=ExecutorOptions(ask=ask))
    options = executor.options
    assert last.reason and "\n" not in last.reason
    assert executor.replans <= options.max_replans and len(executor.attempts) <= options.max_attempts
    assert executor.planner_calls <= options.max_replans + 1
    assert sum(d.kind is DecisionKind.ASK for d in decisions) <= options.max_questions
    assert executor.decide(Moment(1e6, PerceivedScene(THINGS, FACTS))) == last


def test_time_runs_out():
    _, last, _ = run(rate=0.0, options=ExecutorOptions(max_seconds=20.0))
    assert last.kind is DecisionKind.GIVE_UP and last.reason == "more than 20 s"


def test_conditions_are_looked_at_when_their_turn_comes():
    goal = "put the red cube into the bowl, then if the yellow drawer is open close it"
    executor, last, _ = run(goal)
    assert last.kind is DecisionKind.DONE and [a.call.skill for a in executor.attempts] == ["place"]
    opened = frozenset({("hand_empty",), ("open", "yellow drawer")})
    executor, last, _ = run(goal, facts=opened)
    assert last.kind is DecisionKind.DONE and [a.call.skill for a in executor.attempts] == ["place", "close"]


def test_a_goal_that_is_not_understood_is_refused_before_anything_moves():
    with pytest.raises(UserError, match="juggle"):
        run("juggle the cubes")


# ---- candidates


def test_candidates_are_weighed_and_rejected_with_reasons():
    place, stack = Call("place", ("red cube", "blue bowl")), Call("stack", ("red cube", "blue cube"))
    goal = goal_of("put the red cube into the bowl", THINGS)
    near = dict.fromkeys(THINGS, (0.22, 0.0))
    scene = PerceivedScene(THINGS, FACTS, near)
    plans = [Steps((stack, place)), Steps((place,)), Steps((stack,)), Steps((Call("fly", ("red cube",)),))]
    best, second, *rejected = ranked(plans, goal, scene, RATES)
    assert best.plan == Steps((place,)) and best.success == pytest.approx(0.93 * 0.81)
    assert second.plan == Steps((stack, place)) and "the chosen one's" in second.reasons[0]
    assert {r.reasons[0].split(":")[0] for r in rejected} == {
        "it would not reach inside(red cube, blue bowl)",
        "step 1",
    }
    far = PerceivedScene(THINGS, FACTS, {**near, "red cube": (0.5, 0.0)})
    assert "out of reach" in ranked([Steps((place,))], goal, far, RATES)[0].reasons[0]
    tried = ranked([Steps((place,))], goal, scene, RATES, imagine=lambda scene, calls: Imagined(0.0, "why"))
    assert tried[0].rejected and tried[0].reasons == ("imagined in simulation, why",)
    half = ranked([Steps((place,))], goal, scene, RATES, imagine=lambda scene, calls: Imagined(0.5))[0]
    assert half.success == pytest.approx(0.5 * best.success) and half.imagined == 0.5


def test_rates_are_read_or_refused(tmp_path):
    file = tmp_path / "rates.json"
    file.write_text('{"stack": 0.9}')
    assert load_rates(file) == {**RATES, "stack": 0.9}
    for text in ("{", "[]", '{"fly": 0.5}', '{"stack": 0}', '{"stack": "high"}'):
        file.write_text(text)
        with pytest.raises(UserError, match="rates"):
            load_rates(file)


# ---- memory


def remembered() -> Memory:
    memory = Memory()
    base = frozenset({("hand_empty",)})
    memory.see(0.0, base)
    memory.see(5.0, frozenset({("held", "red cube")}))
    memory.see(9.0, base | {("in_drawer", "red cube", "yellow drawer")})
    memory.note(9.0, "succeeded", "stow(red cube, yellow drawer)")
    memory.see(20.0, base | {("in_drawer", "green ball", "yellow drawer")})
    memory.see(30.0, base | {("in_drawer", "green ball", "yellow drawer")})
    return memory


@pytest.mark.parametrize(
    ("question", "text", "interval"),
    [
        (
            "what was in the drawer?",
            "the red cube, from 9.0 s to 20.0 s; the green ball, since 20.0 s", (20.0, 30.0),
        ),
        ("When did you drop the red cube?", "at 9.0 s", (9.0, 9.0)),
        ("when did you pick up the cube", "at 5.0 s: held(red cube)", (5.0, 9.0)),
        (
            "when did you put the red cube into the yellow drawer?",
            "at 9.0 s: in_drawer(red cube, yellow drawer)", (9.0, 20.0),
        ),
        ("when was the red cube held?", "from 5.0 s to 9.0 s", (5.0, 9.0)),
        ("when was the ball in the drawer?", "since 20.0 s", (20.0, 30.0)),
        ("where is the green ball?", "in the yellow drawer, since 20.0 s", (20.0, 30.0)),
        ("what did you do?", "stow(red cube, yellow drawer) at 9.0 s", None),
        ("what was in the bowl?", "nothing was seen in or on the bowl", None),
        ("what failed?", "nothing", None),
    ],
)  # fmt: skip
def test_questions_are_answered_from_memory(question, text, interval):
    answer = remembered().answer(question)
    assert (answer.text, answer.interval) == (text, interval)


def test_questions_that_are_none_are_refused_and_nothing_is_kept_without_memory():
    with pytest.raises(UserError, match="not understood"):
        remembered().answer("what is the meaning of life")
    memory = Memory(keep=False)
    memory.see(0.0, FACTS)
    memory.note(0.0, "plan", "x")
    assert memory.answer("what was in the drawer?").interval is None and memory.lines() == []


@given(st.tuples(*[st.floats(0, 100)] * 4))
def test_intersection_over_union_of_intervals(numbers):
    one, other = tuple(sorted(numbers[:2])), tuple(sorted(numbers[2:]))
    assert 0 <= iou(one, other) <= 1 and iou(one, other) == pytest.approx(iou(other, one))
    assert iou(one, one) == pytest.approx(1.0) and iou(None, one) == 0.0


def test_its_planner_is_given_the_pictures_of_the_moment_which_it_may_share():
    seen = []

    class Watching(SymbolicPlanner):
        def propose(self, request):
            seen.append(request.images)
            return super().propose(request)

    images = {"front": np.zeros((4, 4, 3), np.uint8)}
    Executor(GOAL, Watching()).start(Moment(0.0, PerceivedScene(THINGS, FACTS), images=images))
    assert seen == [images]
