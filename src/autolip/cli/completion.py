"""What a shell may complete: names of methods, of searches, of shipped networks."""

import click
from click.shell_completion import CompletionItem


def methods(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Methods for upper bounds, and auto."""
    from autolip.methods import METHODS

    return _beginning(incomplete, ["auto", *sorted(METHODS)])


def searches(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Searches for lower bounds."""
    from autolip.lower import LOWER_METHODS

    return _beginning(incomplete, sorted(LOWER_METHODS))


def models(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Shipped networks, then files."""
    from autolip import zoo

    return [*_beginning(incomplete, zoo.names()), CompletionItem(incomplete, type="file")]


def _beginning(incomplete: str, names: "list[str] | tuple[str, ...]") -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]
