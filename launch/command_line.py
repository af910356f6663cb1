"""Which command is meant, and its options from its words, by tyro; a mistake in them as one line.

tyro explains a mistake in a box, and has events of it for who wants another form. The events are not of its
stable interface: where they are missing or of a kind unknown here, its box is shown.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, get_type_hints

from ideomotor.control.errors import UserError, unknown_name

NEAR = 0.8  # likeness of a flag that is suggested


def split(arguments: Sequence[str], commands: Iterable[str]) -> tuple[str | None, list[str]]:
    """(command, its arguments); the command is None where help on a group such as `data` is wanted.

    Raises:
        UserError: there is no such command.
    """
    commands = list(commands)
    first, second = arguments[0], arguments[1] if len(arguments) > 1 else "--help"
    if first in commands and f"{first} {second}" not in commands:  # `robots check` beside `robots`
        return first, list(arguments[1:])
    group = [name for name in commands if name.startswith(first + " ")]
    if not group:
        raise unknown_name("command", first, {name.split()[0] for name in commands})
    if second in ("-h", "--help"):
        return None, []
    if f"{first} {second}" not in commands:
        raise unknown_name(f"{first} command", second, [name.split()[1] for name in group])
    return f"{first} {second}", list(arguments[2:])


def help_page(summaries: Mapping[str, str], prefix: str = "") -> str:
    """What `--help` prints: of all commands, or of a group.

    Args:
        summaries: {command: a line about it}.
        prefix: what the group begins with.
    """
    shown = {name: summary for name, summary in summaries.items() if name.startswith(prefix)}
    width = max(map(len, shown))
    usage = f"usage: ideomotor {prefix + ' ' if prefix else ''}COMMAND [OPTIONS]"
    lines = [f"  {name:<{width}}  {summary}" for name, summary in shown.items()]
    return "\n".join(
        [usage, "", "commands:", *lines, "", "ideomotor COMMAND --help shows a command's options."]
    )


def parse(options_type: type, name: str, arguments: Sequence[str]) -> Any:
    """The options of a command.

    Args:
        options_type: its dataclass.
        name: of the command, such as "data info".
        arguments: the words after it.

    Raises:
        UserError: what is wrong with them.
        SystemExit: help was asked for, and printed.
    """
    import tyro

    def refuse(event: Any) -> None:
        if said := _explained(event, options_type):
            raise UserError(f"{' '.join(said.split())} (see: ideomotor {name} --help)")

    with _on_mistake(refuse):
        return tyro.cli(
            options_type,
            prog=f"ideomotor {name}",
            args=joined_policies(joined_ports(arguments)),
            config=(tyro.conf.FlagCreatePairsOff,),
        )


def joined_ports(arguments: Sequence[str]) -> list[str]:
    """The words with `--port left=A right=B` as `--port left=A,right=B`: one value, where one is expected."""
    words = list(arguments)
    for i, word in enumerate(words[:-2]):
        first, second = words[i + 1], words[i + 2]
        sides = first.partition("=")[0], second.partition("=")[0]
        if word == "--port" and set(sides) == {"left", "right"} and "=" in second:
            return [*words[: i + 1], f"{first},{second}", *words[i + 3 :]]
    return words


def joined_policies(arguments: Sequence[str]) -> list[str]:
    """The words with `--policy A --policy stack=B` as `--policy A,stack=B`, where one value is expected."""
    words, said = list[str](), list[str]()
    rest = iter(arguments)
    for word in rest:
        value = next(rest, None) if word == "--policy" else word.removeprefix("--policy=")
        if word != "--policy" and not word.startswith("--policy="):
            words.append(word)
        elif value is None:
            return list(arguments)
        else:
            said.append(value)
    if sum("=" in value for value in said) == 0 or len(said) < 2:
        return list(arguments)
    return [*words, "--policy", ",".join(said)]


def _on_mistake(refuse: Callable[[Any], None]) -> contextlib.AbstractContextManager[None]:
    import tyro

    hook = getattr(getattr(tyro, "_errors", None), "on_parse_error", None)
    return hook(refuse) if hook else contextlib.nullcontext()


def _explained(event: Any, options_type: type) -> str:
    """What tyro's event means, in the words of its box; empty for one that is not known here."""
    kind = type(event).__name__
    if kind == "UnrecognizedArgs":
        near = _near(event.tokens, options_type)
        return f"Unrecognized options: {', '.join(event.tokens)}{near and f'; did you mean {near}?'}"
    if kind == "MissingArgs":
        missing = " ".join(_described(each.arg) for each in event.missing_arguments)
        return f"Missing from {event.prog}: {missing}"
    if kind == "InvalidChoice":
        flag, choices = event.argument.display_name(), event.argument.lowered.choices
        return f"invalid choice '{event.value}' for argument '{flag}'. Expected one of {choices}."
    if kind == "BadValue" and event.reason == "too_few_values":
        flag, count = event.argument.display_name(), event.argument.lowered.nargs
        return f"Missing value for argument '{flag}'. Expected {count} values."
    if kind == "InstantiationFailure" and event.argument is not None:
        return f"Error parsing {_name(event.argument)}: {event.message}"
    return ""


def _near(words: Sequence[str], options_type: type) -> str:
    """The flag that is most like the first unknown one; empty if none is."""
    flags = _flags(options_type)
    for word in words:
        if word.startswith("--"):
            within = [flag for flag in flags if len(word) >= 4 and word[2:] in flag]
            return next(iter(within or difflib.get_close_matches(word, flags, n=1, cutoff=NEAR)), "")
    return ""


def _flags(options_type: type) -> list[str]:
    hints = get_type_hints(options_type, include_extras=True)
    flags = []
    for field in fields(options_type):
        renamed = [getattr(extra, "name", None) for extra in getattr(hints[field.name], "__metadata__", ())]
        flags.append("--" + next(filter(None, renamed), field.name).replace("_", "-"))
    return flags


def _described(argument: Any) -> str:
    metavar = "" if argument.is_positional() else f" {argument.lowered.metavar}"
    helptext = argument.field.helptext
    about = helptext() if callable(helptext) else helptext
    return f"{_name(argument)}{metavar} {about or ''} (required)"


def _name(argument: Any) -> str:
    if argument.is_positional():
        return str(argument.lowered.metavar)
    return "/".join(argument.lowered.name_or_flags)
