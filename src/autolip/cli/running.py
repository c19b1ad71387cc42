"""What every command takes: options from a file, and how much is said while it runs."""

import logging
import sys
import tomllib
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from autolip.cli.options import InFile
from autolip.cli.progress import LOG
from autolip.errors import InputError, printable
from autolip.files import read_text

LARGEST = 2**20
"""Chosen: bytes of a file of options."""


def common_options() -> list[click.Option]:
    """--config, -v and -q, made anew for each command."""
    config = click.Option(
        ["--config"],
        type=InFile(),
        metavar="FILE.toml",
        is_eager=True,
        expose_value=False,
        callback=_from_file,
        help="Options from a file, by their long names; those given here count more.",
    )
    louder = click.Option(
        ["-v", "--verbose"],
        is_flag=True,
        expose_value=False,
        callback=_level(logging.INFO),
        help="Write a line for every step on the standard error.",
    )
    quieter = click.Option(
        ["-q", "--quiet"],
        is_flag=True,
        expose_value=False,
        callback=_level(logging.ERROR),
        help="No progress on the standard error.",
    )
    return [config, louder, quieter]


def _level(level: int) -> Callable[[click.Context, click.Parameter, bool], None]:
    def set_level(context: click.Context, parameter: click.Parameter, given: bool) -> None:
        if given:
            LOG.setLevel(level)

    return set_level


@contextmanager
def logged() -> Any:
    """What `logging` is told about a run goes to the standard error; the level is put back."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("autolip: %(message)s"))
    LOG.addHandler(handler)
    before = LOG.level
    try:
        yield
    finally:
        LOG.removeHandler(handler)
        LOG.setLevel(before)


def _from_file(context: click.Context, parameter: click.Parameter, file: Path | None) -> None:
    """What the command line leaves out is taken from the file.

    At the top of the file stand options for any command, in a table named for a command those for
    it alone.
    """
    if file is None:
        return
    try:
        found = tomllib.loads(read_text(file, "options in TOML", LARGEST))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"{printable(str(file))} is no TOML: {error}") from error
    command = context.command
    shared = {name: value for name, value in found.items() if not isinstance(value, dict)}
    table = found.get(str(command.name))
    own = table if isinstance(table, dict) else {}  # norm = "l2" at the top is an option
    known = _by_name(command)
    for name in own:
        if name not in known:
            from autolip.arguments import nearest

            raise InputError(
                f"{printable(str(file))}: {command.name} has no option {name!r}: "
                f"{nearest(name, known)}`autolip {command.name} --help` lists them"
            )
    wanted = {name: value for name, value in {**shared, **own}.items() if name in known}
    _refuse_unknown(context, shared, file)
    context.default_map = {
        str(known[name].name): _as_written(known[name], value) for name, value in wanted.items()
    }


def _by_name(command: click.Command) -> dict[str, click.Parameter]:
    """Parameters by the names that a file gives them: input-shape for --input-shape, o for -o,
    model."""
    taken = [one for one in command.params if one.expose_value]
    return {name.lstrip("-").lower(): one for one in taken for name in one.opts}


def _refuse_unknown(context: click.Context, shared: dict[str, Any], file: Path) -> None:
    """What stands at the top must be an option of some command."""
    group = context.find_root().command
    commands = group.commands.values() if isinstance(group, click.Group) else [context.command]
    known = {name for command in commands for name in _by_name(command)}
    for name in shared:
        if name not in known:
            from autolip.arguments import nearest

            raise InputError(
                f"{printable(str(file))}: no command has an option {name!r}: {nearest(name, known)}"
                "write options by their long names"
            )


def _as_written(parameter: click.Parameter, value: Any) -> Any:
    """A value of the file as the command line would have it: texts, several in a list."""
    if isinstance(value, bool) and getattr(parameter, "is_flag", False):
        return value
    several = isinstance(value, list)
    if several and parameter.nargs != 1:
        return list(map(str, value))
    if several and not parameter.multiple:
        return ",".join(map(str, value))
    listed = [str(one) for one in value] if several else str(value)
    is_multiple = getattr(parameter, "multiple", False)
    return [listed] if is_multiple and not several else listed
