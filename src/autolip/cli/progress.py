"""What is being done, on the standard error, while it is done: on a terminal, or with -v as plain
lines."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout

LOG = logging.getLogger("autolip")


def on_terminal() -> bool:
    """Whether a spinner can be seen and is wanted: neither -v, which writes lines, nor -q."""
    return sys.stderr.isatty() and LOG.getEffectiveLevel() == logging.WARNING


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """A function that shows a line with a spinner and the time taken; it leaves nothing behind.

    What the model's own code prints meanwhile goes the same way: the standard output is the
    answer's.
    """
    with redirect_stdout(sys.stderr), _spinner() as say:
        yield say


@contextmanager
def _spinner() -> Iterator[Callable[[str], None]]:
    if not on_terminal():
        yield LOG.info
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("loading PyTorch")
        yield lambda text: bar.update(task, description=text)


@contextmanager
def step_progress() -> Iterator[Callable[[str, int, int], None]]:
    """A function that shows what is being done and how many steps are; it leaves nothing behind."""
    if not on_terminal():
        yield lambda text, done, total: LOG.info("%s, %d of %d", text, done, total)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    text = TextColumn("{task.description}", markup=False)
    columns = SpinnerColumn(), BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn(), text
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("loading PyTorch", total=None)
        yield lambda text, done, total: bar.update(
            task, description=text, completed=done, total=total
        )
