"""`autolip rules`, `autolip methods`, and the list of shipped networks: what there is to choose
from."""

import shutil
from textwrap import indent, wrap
from typing import Any

import click


@click.command()
def rules() -> None:
    """List every supported operation and its slope set."""
    from autolip.report.content import Sheet
    from autolip.report.table import aligned
    from autolip.rules import RULES

    rows = sorted((rule.group, rule.name, rule.claim) for rule in RULES.values())
    sheet = Sheet(
        "", ("operation", "group", "slope set"), tuple((n, g, c) for g, n, c in rows), left=3
    )
    click.echo(aligned(sheet))
    click.echo(
        f"\n{len(rows)} operations. Any other is refused by name, with its place in the model."
    )


@click.command()
def methods() -> None:
    """List the methods for upper and lower bounds: claim, source, what they refuse."""
    from autolip.lower import LOWER_METHODS
    from autolip.methods import AUTO, METHODS
    from autolip.methods.method import only
    from autolip.norms import EVERY_PAIR

    click.echo("upper bounds (--method)\n")
    for name, make in sorted(METHODS.items()):
        norms = make().norms
        bounds = [] if norms == EVERY_PAIR else [f"Bounds {only(norms)}."]
        click.echo(_entry(name, make(), "_accepts", name in AUTO, bounds))
    click.echo("lower bounds, attained by a pair of inputs (--lower)\n")
    for name, search in sorted(LOWER_METHODS.items()):
        click.echo(_entry(name, search(), "search", search().automatic is not None, []))


def shipped_networks() -> str:
    """The networks that `autolip estimate NAME` knows, one a line."""
    from autolip import zoo
    from autolip.report.content import Sheet
    from autolip.report.table import aligned

    known = [zoo.describe(name) for name in zoo.names()]
    rows = tuple((d.name, d.summary, str(d.parameters), f"{100 * d.accuracy:.1f}%") for d in known)
    return aligned(Sheet("", ("network", "what", "weights", "accuracy"), rows, left=2))


def _entry(name: str, method: Any, refusing: str, default: bool, bounds: list[str]) -> str:
    """A method in a few lines: claim, norms, what the docstring of `refusing` says it refuses,
    source, its name in Python."""
    from autolip.rules.rule import first_paragraph

    claim = first_paragraph(type(method))
    told = first_paragraph(getattr(type(method), refusing))
    refuses = [told] if told.startswith("Refuses") else []
    lines = [claim, *bounds, *refuses, f"Source: {method.source}", f"Python: {method!r}"]
    width = min(100, shutil.get_terminal_size().columns) - 4
    wrapped = [wrap(line, width, subsequent_indent="  ") for line in lines]
    body = "\n".join("\n".join(part) for part in wrapped)
    return f"  {name}{' (default)' if default else ''}\n{indent(body, '    ')}\n"
