"""A goal beside a session: planned before torque, looked at once a second, ended by a request."""

import time

import numpy as np
import pytest

from ideomotor.control.embodiment import load_embodiment
from ideomotor.control.errors import UserError
from ideomotor.control.runtime import shared_state
from ideomotor.control.runtime.shared_state import REQUESTS, pack_frames, text_of
from ideomotor.launch.runtime.asking import ANSWER_S
from ideomotor.launch.runtime.goal_companion import LATE_S, GoalCompanion
from ideomotor.vla.planner.executor import Executor
from ideomotor.vla.planner.executor_options import ExecutorOptions
from ideomotor.vla.planner.interface import PerceivedScene

THINGS = ("red cube", "blue cube", "blue bowl")
EMPTY = frozenset({("hand_empty",)})


class FakePerception:
    """A perception that sees what a test says."""

    def __init__(self):
        self.facts, self.fails, self.block = EMPTY, None, None
        self.noticed = []

    def reset(self, goal=""): ...

    def notice(self, state):
        self.noticed.append(float(state[0]))

    def perceive(self, observation, plan):
        if self.fails:
            raise self.fails
        if self.block:
            self.block.wait()
        assert observation.images["front"].shape == (96, 96, 3)
        return PerceivedScene(THINGS, self.facts)


@pytest.fixture
def session():
    robot = load_embodiment("so101")
    shared = shared_state.create(robot)
    record = shared.frames.new()
    pack_frames(record, 1.0, {c.name: np.zeros((96, 96, 3), np.uint8) for c in robot.cameras}, shared.spec)
    shared.frames.write(record)
    seen = FakePerception()

    def make(goal="put all cubes into the bowl", specialists=(), **options):
        executor = Executor(goal, options=ExecutorOptions(**options), specialists=specialists)
        return GoalCompanion(shared, robot, executor, seen)

    yield shared, seen, make
    shared.close()


def control(shared):
    """Control begins."""
    state = shared.state.new()
    state["position"] = 0.0
    shared.state.write(state)


def at(companion, second):
    """Polls until what is seen at a second has been decided on."""
    companion.poll(second)
    for _ in range(500):
        if not companion._looking:
            break
        time.sleep(0.002)
        companion.poll(second)


def instruction(shared):
    record = shared.instruction.new()
    return text_of(record["text"]) if shared.instruction.read(record) else ""


def finished(shared):
    return shared.requests[REQUESTS.index("finish")]


def test_a_goal_is_planned_before_torque_and_carried_out(session):
    shared, seen, make = session
    companion, said = make(), []
    assert companion.prepare() == "put the blue cube into the blue bowl"
    companion.begin(said.append)
    at(companion, 5.0)
    assert companion._executor.attempts == [] and instruction(shared) == ""  # control has not begun
    control(shared)
    seen.facts = EMPTY | {("inside", "blue cube", "blue bowl")}
    for second in (10.0, 10.4, 11.0, 12.0):
        at(companion, second)
    assert instruction(shared) == "put the red cube into the blue bowl"
    seen.facts |= {("inside", "red cube", "blue bowl")}
    for second in (13.0, 14.1, 15.2, 16.3):
        at(companion, second)
    assert finished(shared) == 1 and "goal reached" in said[-1]
    at(companion, 20.0)
    assert finished(shared) == 1
    outcome = companion.as_json()
    assert (outcome["ended"], outcome["planner"], len(outcome["attempts"])) == ("done", "symbolic", 2)


@pytest.mark.parametrize(
    ("goal", "word"), [("juggle the cubes", "juggle"), ("put the ball into the bowl", "not seen")]
)
def test_a_goal_that_is_not_understood_is_refused_before_torque(session, goal, word):
    with pytest.raises(UserError, match=word):
        session[2](goal).prepare()


def test_whatever_goes_wrong_while_looking_ends_the_session_in_order(session):
    shared, seen, make = session
    companion, said = make(), []
    companion.prepare()
    companion.begin(said.append)
    control(shared)
    seen.fails = RuntimeError("no camera")
    at(companion, 1.0)
    assert finished(shared) == 1 and "RuntimeError: no camera" in said[-1]


def test_a_planner_that_never_answers_holds_nothing_up(session):
    import threading

    shared, seen, make = session
    companion = make(max_seconds=10.0)
    companion.prepare()
    companion.begin(lambda line: None)
    control(shared)
    seen.block = threading.Event()
    companion.poll(1.0)
    companion.poll(10.0 + LATE_S)
    assert finished(shared) == 0
    companion.poll(12.0 + LATE_S)
    assert finished(shared) == 1
    seen.block.set()


def asked(session, **options):
    """A companion whose only skill fails until the person is asked, and the second of the question."""
    shared, _, make = session
    companion = make("put the red cube into the bowl", ask=True, retries=0, max_replans=0, **options)
    companion.prepare()
    companion.begin(lambda line: None)
    control(shared)
    assert not companion.key("y", 0.0)
    for second in range(1, 60):
        at(companion, float(second))
        if companion.rows().get("keys"):
            return companion, float(second)
    raise AssertionError("nobody was asked")


def question(shared):
    record = shared.instruction.new()
    return text_of(record["question"]) if shared.instruction.read(record) else ""


def test_a_question_is_answered_by_a_key_or_at_the_page(session):
    shared = session[0]
    companion, second = asked(session)
    assert "again, skip or stop" in companion.rows()["goal"] and question(shared) in companion.rows()["goal"]
    assert not companion.key("x", second) and companion.key("again", second)  # as the page says it
    at(companion, second + 0.1)
    at(companion, second + 0.2)
    assert question(shared) == "" and "red cube" in instruction(shared)
    assert companion.rows().get("keys") is None
    companion, second = asked(session)
    assert companion.key("n", second)
    at(companion, second + 0.1)
    at(companion, second + 0.2)
    assert finished(shared) == 1 and "'stop'" in companion.as_json()["reason"]


def test_nobody_is_waited_for_longer_than_a_minute(session):
    shared = session[0]
    companion, second = asked(session)
    for later in range(1, 64):
        assert not finished(shared) or later > ANSWER_S
        at(companion, second + later)
    assert finished(shared) == 1 and "nobody answered" in companion.as_json()["reason"]


def test_what_comes_about_while_somebody_is_asked_needs_no_answer(session):
    shared, seen, _ = session
    companion, second = asked(session)
    seen.facts = EMPTY | {("inside", "red cube", "blue bowl")}
    for later in (1.0, 2.0, 3.0, 4.0):
        at(companion, second + later)
    assert finished(shared) == 1 and companion.as_json()["ended"] == "done"


def test_the_processes_are_told_whose_policy_is_to_act(session):
    shared, seen, make = session
    companion, said = make(specialists=("place",), retries=0, max_replans=0), []
    companion.prepare()
    companion.begin(said.append)

    def specialist():
        record = shared.instruction.new()
        return text_of(record["specialist"]) if shared.instruction.read(record) else None

    assert specialist() == "place"  # before the processes start
    control(shared)
    read = set()
    for second in range(1, 60):
        at(companion, float(second))
        read.add((instruction(shared).split()[0], specialist()))
        if finished(shared):
            break
    assert {one for _, one in read} == {"place", ""}  # the general one is the other specialist
    assert any("(policy of place)" not in line for line in said)
    by = [one["specialist"] for one in companion.as_json()["attempts"]]
    assert by[0] == "place" and by[-1] == ""


def test_what_lasts_a_moment_is_noticed_between_two_looks(session):
    shared, seen, make = session
    companion = make()
    companion.prepare()
    companion.begin(lambda line: None)
    control(shared)
    at(companion, 10.0)
    seen.noticed.clear()
    state = shared.state.new()
    for tenth, pan in ((1, 0.1), (2, 0.2), (3, np.nan), (4, 0.4)):
        state["position"][0] = pan
        shared.state.write(state)
        companion.poll(10.0 + tenth / 10)
        companion.poll(10.0 + tenth / 10 + 0.001)  # polled more often than is looked
    assert seen.noticed == pytest.approx([0.1, 0.2, 0.4])
