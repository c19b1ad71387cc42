"""The command `autolip`: PyTorch is imported only by the subcommands that need it."""

import sys
import warnings
from collections.abc import Sequence

import click

from autolip.cli.check import check
from autolip.cli.compare import compare
from autolip.cli.estimate import estimate
from autolip.cli.listing import methods, rules
from autolip.cli.norm import norm
from autolip.cli.reproduce import reproduce
from autolip.errors import AutolipError

BAD_INPUT, INTERRUPTED = 2, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="autolip", message="autolip %(version)s")
def app() -> None:
    """Certified brackets on the Lipschitz constant of a neural network."""


app.add_command(estimate)
app.add_command(norm)
app.add_command(compare)
app.add_command(reproduce)
app.add_command(check)
app.add_command(rules)
app.add_command(methods)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0: a bracket; 2: bad input or unsupported, one sentence on the standard error; 3: the time budget ended early;
    130: interrupted.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return int(app.main(arguments, prog_name="autolip", standalone_mode=False) or 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return BAD_INPUT
    except click.ClickException as error:
        return _refused(error.format_message())
    except AutolipError as error:
        return _refused(str(error))
    except (click.Abort, KeyboardInterrupt):
        print("autolip: interrupted", file=sys.stderr)
        return INTERRUPTED


def _refused(sentence: str) -> int:
    print(f"autolip: {sentence}", file=sys.stderr)
    return BAD_INPUT
