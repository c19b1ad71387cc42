"""The command `autolip`: PyTorch is imported only by the subcommands that need it."""

import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import click

from autolip.cli.certify import certify
from autolip.cli.check import check
from autolip.cli.compare import compare
from autolip.cli.estimate import estimate
from autolip.cli.layers import layers
from autolip.cli.listing import methods, rules
from autolip.cli.norm import norm
from autolip.cli.reproduce import reproduce
from autolip.cli.running import common_options, logged
from autolip.cli.sweep import sweep
from autolip.errors import (
    AutolipError,
    InputError,
    InternalError,
    OutputError,
    UnsupportedOperation,
    printable,
)

BAD_INPUT, DEFECT, NOT_WRITTEN, INTERRUPTED, CLOSED = 2, 70, 74, 130, 141
"""Defined by argparse, sysexits.h and shells (128 and the signal): exit codes."""

DEBUG = "--debug"

COMPLETION = "_AUTOLIP_COMPLETE"
"""Defined by click: the variable of the environment with which a shell asks for completions."""


class _App(click.Group):
    """What ends a command reaches `main` as it is: click would answer interruptions and closed
    pipes itself."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (KeyboardInterrupt, EOFError) as error:
            raise click.Abort() from error
        except BrokenPipeError as error:
            raise _Closed() from error
        except SystemExit as error:
            raise InputError(
                "the model's own code ended the program (sys.exit): there is no result"
            ) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What each command does as a whole sentence, wrapped: click would cut it to one line."""
        whole = [
            (name, self.commands[name].get_short_help_str(1000)) for name in sorted(self.commands)
        ]
        with formatter.section("Commands"):
            formatter.write_dl(whole)

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        """Every command takes --config, -v and -q."""
        cmd.params += common_options()
        super().add_command(cmd, name)


class _Closed(Exception):
    """Whoever read the standard output has gone."""


@click.group(
    cls=_App, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(
    None, "-V", "--version", package_name="autolip", message="autolip %(version)s"
)
@click.option(
    DEBUG,
    is_flag=True,
    expose_value=False,
    help="After an error, show where in the program it arose.",
)
def app() -> None:
    """Certified brackets on the Lipschitz constant of a neural network."""


app.add_command(estimate)
app.add_command(layers)
app.add_command(norm)
app.add_command(certify)
app.add_command(sweep)
app.add_command(compare)
app.add_command(reproduce)
app.add_command(check)
app.add_command(rules)
app.add_command(methods)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code, as docs/command-line.md explains it.

    Whatever goes wrong is one sentence on the standard error; `--debug`, anywhere, adds the
    traceback.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = DEBUG in given
    with _streams():
        if sys.stdout is None:
            return _told("the standard output is closed: open it", code=NOT_WRITTEN)
        try:
            code = _run([argument for argument in given if argument != DEBUG])
            sys.stdout.flush()
        except Exception as error:
            code = _answer(error)
            if debug:
                traceback.print_exc()
        except KeyboardInterrupt:
            code = _told("interrupted", code=INTERRUPTED)
        except SystemExit as error:  # how click leaves: completion ended, or nobody reads its help
            code = error.code if error.code in (0, 1) and COMPLETION in os.environ else CLOSED
        return code


def _run(arguments: list[str]) -> int:
    with warnings.catch_warnings(), logged():
        warnings.simplefilter("ignore")
        return int(
            app.main(arguments, prog_name="autolip", standalone_mode=False, obj=arguments) or 0
        )


def _answer(error: Exception) -> int:
    """Say what went wrong in one sentence; its exit code."""
    match error:
        case click.exceptions.NoArgsIsHelpError():
            error.show()
            return BAD_INPUT
        case click.ClickException():
            return _told(" ".join(error.format_message().split()), code=BAD_INPUT)
        case click.Abort():
            return _told("interrupted", code=INTERRUPTED)
        case _Closed() | BrokenPipeError():
            _abandoned()
            return CLOSED
        case OutputError():
            return _told(str(error), code=NOT_WRITTEN)
        case UnsupportedOperation():
            return _told(*str(error).split("\n"), code=BAD_INPUT)
        case InternalError():
            return _told(str(error), code=DEFECT)
        case AutolipError():
            return _told(str(error), code=BAD_INPUT)
        case MemoryError():
            return _told("there is not enough memory for this", code=BAD_INPUT)
        case OSError():
            _abandoned()
            where = "" if error.filename is None else f" {error.filename}"
            return _told(
                f"reading or writing{where} failed: {error.strerror or error}", code=NOT_WRITTEN
            )
    said = " ".join(str(error).split())
    about = type(error).__name__ + (f" ({said})" if said else "")
    return _told(
        f"a defect of autolip, {about}: please report it with what {DEBUG} adds", code=DEFECT
    )


def _told(*lines: str, code: int) -> int:
    """The lines on the standard error, nothing hidden in them; the exit code."""
    with suppress(OSError):  # where the standard error is full too, the code must do
        print("autolip: " + "\n".join(map(printable, lines)), file=sys.stderr, flush=True)
    return code


def _abandoned() -> None:
    """What the standard output could not take goes nowhere, instead of failing again when Python
    ends."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError, ValueError):  # a stream without a file is flushed by nobody
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _streams() -> Iterator[None]:
    """Characters that a stream cannot show are escaped; a standard error that is closed takes what
    it is given."""
    streams = sys.stdout, sys.stderr
    changed: list[tuple[Callable[..., None], str | None]] = []
    if sys.stderr is None:
        # open as long as the program runs
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        set_up = getattr(stream, "reconfigure", None)
        if set_up is not None:
            changed.append((set_up, stream.errors))
            set_up(errors="backslashreplace")
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        _abandoned()
        for set_up, before in changed:
            set_up(errors=before)
