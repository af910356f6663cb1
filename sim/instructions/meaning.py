"""Which of a scene's goals an instruction means: that one, if exactly one fits what it names.

References are resolved by what can be seen on the table, not by what the arm can reach: where two cylinders
stand, "the cylinder" is neither, even if the task could only judge one of them. So an instruction is judged
only where a person who looks at the scene would know what to do, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from ideomotor.sim.generalization.held_out_objects import HELD_OUT_SHAPES
from ideomotor.sim.instructions.judging import Judging
from ideomotor.sim.instructions.references import Reference
from ideomotor.sim.instructions.sentences import Sentence, read
from ideomotor.sim.instructions.vocabulary import FROM, TO, UNDER
from ideomotor.sim.scene import GRASPABLE, Scene, Thing
from ideomotor.sim.task import Goal, Task

PLACES = ("bowl", "plate", "zone")  # kinds of things that others go to
HARMLESS = frozenset(("reach", "lift"))  # what the arm does on its way to other things
APART = 0.015  # [m] by which the left one is farther left than any other
NEARER = 1.3  # ratio of distances by which the one next to something is nearer to it than any other

Pair = tuple[str, str]  # names of a target and of its place, "@left", "@right" or "" for none
Roles = Sequence[tuple[Reference, Reference | str]]  # the same as they are spoken of


@dataclass(frozen=True)
class Meaning:
    """What is meant: `goal`; or, where that is unclear, None, and the goals that it could have been."""

    goal: Goal | None
    possible: tuple[Goal, ...] = ()
    why: str = ""  # it is unclear


def understand(task: Task, scene: Scene, instruction: str) -> Meaning:
    """What an instruction in anyone's words means in a scene of a task.

    A sentence of the task's templates means its goal; for any other what it names has to fit exactly one.
    """
    goals = task.goals(scene)
    wanted = " ".join(instruction.lower().strip(" .!").split())
    for goal in goals:
        if any(template.format(**goal.words) == wanted for template in task.instructions):
            return Meaning(goal)
    said = read(instruction)
    fits, why = _fitting(task, scene, said)
    if not why:
        return Meaning(fits[0])
    return Meaning(None, fits or _overlapping(task, scene, said), why)


def _fitting(task: Task, scene: Scene, said: Sentence) -> tuple[tuple[Goal, ...], str]:
    """The goals that fit a sentence, and unless it is exactly one, why that is not known."""
    goals = task.goals(scene)
    if said.question:
        return (), "it is a question"
    if said.conditional:
        return (), "it depends on something"
    if not any(_may_be(task, goal, said) for goal in goals):
        return (), f"it asks for something else than {task.name!r} does"
    known = {_pairs(scene, goal): goal for goal in goals}
    unordered = {frozenset(pairs): goal for pairs, goal in reversed(known.items())}
    meant: dict[frozenset[Pair], Goal | None] = {}  # None: nothing that the task's judge knows
    for pairs in _bound(task, scene, said):
        goal = known.get(pairs, unordered.get(frozenset(pairs)))
        if goal is None or _may_be(task, goal, said):
            meant.setdefault(frozenset(pairs), goal)
    fits = tuple(goal for goal in meant.values() if goal is not None)
    if not fits:
        return (), f"{'what it names is no goal' if meant else 'it names no goal'} of this scene"
    if len(meant) == 1:
        return fits, ""
    other = "" if len(fits) > 1 else ", of which one can be judged"
    return fits, f"it could mean more than one thing here{other}"


def judging(task: Task, meaning: Meaning) -> Judging:
    """The same in words."""
    goal = in_words(task, meaning.goal) if meaning.goal else ""
    return Judging(goal, tuple(in_words(task, one) for one in meaning.possible), meaning.why)


def in_words(task: Task, goal: Goal) -> str:
    """A goal in the task's first phrasing."""
    return task.instructions[0].format(**goal.words)


def _may_be(task: Task, goal: Goal, said: Sentence) -> bool:
    """Whether the verbs may mean a goal; a sentence without any must be nothing but names."""
    meant = frozenset((goal.words["verb"],)) if "verb" in goal.words else frozenset(task.actions)
    if not said.actions:
        return not said.unread and not any(negated <= meant for negated in said.negated)
    return all(verb & (meant | HARMLESS) for verb in said.actions) and any(
        verb & meant for verb in said.actions
    )


def _pairs(scene: Scene, goal: Goal) -> tuple[Pair, ...]:
    """Who goes where in a goal, in its order."""
    where = goal.place
    if goal.spot is not None:
        where = "@left" if goal.spot[1] > scene.thing(goal.target).position[1] else "@right"
    return ((goal.target, where), *(_pairs(scene, goal.then) if goal.then else ()))


# ---- which things are in which roles


def _bound(task: Task, scene: Scene, said: Sentence) -> Iterator[tuple[Pair, ...]]:
    """Everything that the references may mean, a pair of things for each target."""
    goals = task.goals(scene)
    counts = {len(_pairs(scene, goal)) for goal in goals} or {1}
    sides = any(goal.spot is not None for goal in goals)
    placed = any(goal.place for goal in goals)
    roles = _roles(said, max(counts), placed, sides)
    targets, places = _domains(task, scene)
    gone = {thing.name for ref in said.excluded for thing in _referents(ref, scene.things, scene)}
    for pairs in roles:
        options = []
        for target, place in pairs:
            options.append([thing.name for thing in _referents(target, targets, scene)])
            if isinstance(place, Reference):
                options.append([thing.name for thing in _referents(place, places, scene)])
            else:
                options.append([place])
        for names in product(*options):
            things = [name for name in names if name and not name.startswith("@")]
            if len(set(things)) == len(things) and not gone & set(things):
                yield tuple(zip(names[::2], names[1::2], strict=True))


def _roles(said: Sentence, count: int, placed: bool, sides: bool) -> list[Roles]:
    """The ways in which references can be targets and their places."""
    things = _spoken_of(said.things, 2 * count if placed else count)
    found: list[Roles] = []
    if not placed and not sides and len(things) == 1:
        side = said.side or things[0].rank
        return [[(replace(things[0], rank=side), "")]]
    if sides and len(things) == 1 and said.side:
        found.append([(things[0], f"@{said.side}")])
    if placed and len(things) == 2 * count:
        if said.respectively and count == 2:
            things = [things[index] for index in (0, 2, 1, 3)]
        found += list(product(*(_couples(*things[i : i + 2]) for i in range(0, len(things), 2))))
    return found


def _couples(one: Reference, other: Reference) -> Sequence[tuple[Reference, Reference]]:
    """Two references as a target and its place: prepositions say which is which, else both ways are."""
    ways = ((one, other), (other, one))
    if not any(_is_place(ref) or _is_on_top(ref) or ref.marker in FROM for ref in (one, other)):
        return ways
    return [
        (target, place)
        for target, place in ways
        if not (_is_place(target) or _is_on_top(place) or place.marker in FROM)
        and (_is_place(place) or _is_on_top(target))
    ]


def _is_place(ref: Reference) -> bool:
    return ref.marker in TO or ref.role == "BOTTOM"


def _is_on_top(ref: Reference) -> bool:
    return ref.marker in UNDER or ref.role == "TOP"


def _spoken_of(things: Sequence[Reference], wanted: int) -> list[Reference]:
    """The references without those spoken of a second time, that things come from, or that sum up."""
    found = list(things)
    for spare in (
        lambda ref, before: any(_plain(ref) == _plain(other) for other in before) and not ref.marker,
        lambda ref, before: ref.marker in FROM,
        lambda ref, before: wanted > 1 and ref.many and not ref.colour and not ref.size,
    ):
        if len(found) > wanted:
            found = [ref for index, ref in enumerate(found) if not spare(ref, found[:index])]
    return found


def _plain(ref: Reference) -> Reference:
    return replace(ref, marker="", at=0, role="", near=())


def _domains(task: Task, scene: Scene) -> tuple[list[Thing], list[Thing]]:
    """The things that can be targets in this task's scenes, and those that can be places."""
    graspable = any(kind in GRASPABLE for kind in task.objects)
    there = [t for t in scene.things if t.kind in task.objects or (graspable and t.kind in HELD_OUT_SHAPES)]
    targets = [thing for thing in there if thing.kind not in PLACES]
    return targets, [thing for thing in there if thing.kind in PLACES] or targets


# ---- what a reference means


def _referents(ref: Reference, domain: Sequence[Thing], scene: Scene) -> list[Thing]:
    """The things that a reference may mean."""
    if ref.many or ref.unknown:
        return []
    found = [
        thing
        for thing in domain
        if (not ref.kinds or thing.kind in ref.kinds)
        and (not ref.colour or thing.colour == ref.colour)
        and (not ref.state or (thing.kind == "drawer" and (thing.opening > 0) == (ref.state == "open")))
    ]
    found = _of_size(ref, found)
    for landmark in ref.near:
        found = _next_to(found, _referents(landmark, scene.things, scene))
    return _at_rank(ref.rank, found)


def _of_size(ref: Reference, things: list[Thing]) -> list[Thing]:
    sizes = {thing.size for thing in things if thing.graspable}
    if not ref.size or (ref.compared and len(sizes) < 2):
        return things
    return [thing for thing in things if not thing.graspable or thing.size == ref.size]


def _next_to(things: list[Thing], landmarks: list[Thing]) -> list[Thing]:
    if len(landmarks) != 1 or len(things) < 2:
        return things
    spot = landmarks[0].position
    away = {t.name: float(np.hypot(*np.subtract(t.position, spot))) for t in things if t != landmarks[0]}
    first, *others = sorted(away, key=away.__getitem__)
    clear = not others or away[others[0]] > NEARER * away[first]
    return [thing for thing in things if thing.name == first] if clear else things


def _at_rank(rank: str, things: list[Thing]) -> list[Thing]:
    """The leftmost, nearest, … of some things; all of them where none clearly is."""
    if not rank or len(things) < 2:
        return things
    if rank == "middle":
        ordered = sorted(things, key=lambda thing: thing.position[1])
        return [ordered[len(ordered) // 2]] if len(ordered) % 2 else things
    measure = {
        "left": lambda thing: thing.position[1], "right": lambda thing: -thing.position[1],
        "far": lambda thing: thing.position[0], "near": lambda thing: -thing.position[0],
    }[rank]  # fmt: skip
    first, second = sorted(things, key=measure, reverse=True)[:2]
    return [first] if measure(first) - measure(second) > APART else things


def _overlapping(task: Task, scene: Scene, said: Sentence) -> tuple[Goal, ...]:
    """The goals that share most with what is named; of goals that differ in their order only, one."""
    targets, places = _domains(task, scene)
    there = [*targets, *places]
    near = (
        _referents(ref, there, scene)
        or (_referents(Reference(kinds=ref.kinds), there, scene) if ref.kinds else [])
        or (_referents(Reference(colour=ref.colour), there, scene) if ref.colour else [])
        for ref in said.things
    )
    named = [{thing.name for thing in things} for things in near]
    scores: dict[frozenset[Pair], tuple[int, Goal]] = {}
    for goal in task.goals(scene):
        pairs = _pairs(scene, goal)
        spoken = {name for pair in pairs for name in pair}
        score = sum(bool(names & spoken) for names in named) + (f"@{said.side}" in spoken)
        scores.setdefault(frozenset(pairs), (score, goal))
    best = max((score for score, _ in scores.values()), default=0)
    return tuple(goal for score, goal in scores.values() if score == best)
