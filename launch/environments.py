"""Whose tasks a command is about: ours, or those of an environment that an embodiment file maps."""

from __future__ import annotations

from ideomotor.control.embodiment import Embodiment, embodiment_names, load_embodiment
from ideomotor.control.environment import EnvironmentTask
from ideomotor.control.errors import UserError, unknown_name

ROBOT = "so101"  # of our own tasks
NO_LEVEL = "none"  # of randomisation: environments draw what they draw


def robot_of(env: str, robot: str) -> str:
    """The embodiment, by name or file, that `--env` and `--robot` mean together.

    Args:
        env: name of an embodiment with an environment, or its file; or the environment as `gymnasium.make`
            takes it, "MODULE:ID" or "ID", of an embodiment that comes with the package or of `robot`;
            empty: ours.
        robot: embodiment name or file.

    Raises:
        UserError: nothing maps that environment.
    """
    if not env:
        return robot
    known = {name: load_embodiment(name).environment for name in embodiment_names()}
    mapped = {name: where.make for name, where in known.items() if where is not None}
    if robot != ROBOT:
        where = load_embodiment(robot).environment
        if where is not None and (env == robot or _same(env, where.make)):
            return robot
        got = "none" if where is None else repr(where.make)
        raise UserError(f"env: {env!r}, but {robot} maps {got}; name one of the two")
    for name, make in mapped.items():
        if env == name or _same(env, make):
            return name
    if env.endswith((".yaml", ".yml")):
        if load_embodiment(env).environment is None:
            raise UserError(f"env: {env} has no section `environment`")
        return env
    if env in known or ":" not in env:
        raise unknown_name("env", env, mapped)
    raise UserError(
        f"env: no embodiment of ours maps {env!r} (known: {', '.join(mapped.values())}); say in a file what "
        "its parts are called (imitate control/embodiments/reacher.yaml) and give that as --env FILE.yaml"
    )


def parts_of(env: str) -> list[str]:
    """Embodiments that come with the package whose environment is a part of that of `env`, or beside it."""
    name = load_embodiment(env).name
    return [part for part in embodiment_names() if part != env and load_embodiment(part).name == name]


def _same(env: str, make: str) -> bool:
    """Whether both mean one environment: of one id, and of one module where both say from which."""
    (module, _, id_), (other, _, other_id) = env.rpartition(":"), make.rpartition(":")
    return id_ == other_id and (not module or not other or module == other)


def checked_tasks(embodiment: Embodiment, names: tuple[str, ...] | list[str]) -> list[str]:
    """The tasks of these names, each once; where there are none, all but those of several skills.

    Raises:
        UserError: a name that the embodiment's world does not have.
    """
    usual = task_names(embodiment)
    valid = usual if embodiment.environment is not None else _our_tasks()
    for name in names:
        if name not in valid:
            raise unknown_name("task", name, valid)
    return list(dict.fromkeys(names)) or usual


def _our_tasks() -> list[str]:
    from ideomotor.sim.long_horizon import all_tasks

    return list(all_tasks())


def task_names(embodiment: Embodiment) -> list[str]:
    """What can be done in the embodiment's world, in the order in which it is listed."""
    if embodiment.environment is not None:
        return [task.name for task in embodiment.environment.tasks]
    from ideomotor.sim.tasks import TASKS

    return list(TASKS)


def levels_of(embodiment: Embodiment) -> dict[str, str]:
    """{task: its level of difficulty}; empty where tasks have none."""
    tasks: tuple[EnvironmentTask, ...] = embodiment.environment.tasks if embodiment.environment else ()
    return {task.name: task.level for task in tasks if task.level}
