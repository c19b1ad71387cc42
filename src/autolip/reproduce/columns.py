"""The columns of a table: each a method with its options, evaluated on each network, one cached
step a cell."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from autolip.estimate import bracket
from autolip.findings import Row
from autolip.lower import Dataset, LowerMethod
from autolip.methods import AutoLip, Frobenius, Method, SeqLip, Theorem3
from autolip.portfolio import upper_row
from autolip.reproduce.steps import Facts, Steps
from autolip.reproduce.subject import Subject

Track = Callable[[str, int, int], None]
"""Told what is being done, how many steps are done, and how many there are."""

Cells = dict[tuple[str, str], Row]
"""(column, label of the network) -> what the column says about it."""

ENDED_EARLY = "the time budget ended early"


@dataclass(frozen=True)
class Column:
    """A title as in the paper's tables, and the method behind it."""

    title: str
    method: Method | LowerMethod

    def describe(self) -> Facts:
        """What the numbers depend on, as plain data."""
        return {"method": repr(self.method), "name": self.method.name}


def paper_columns(sound: SeqLip, greedy: SeqLip, searches: dict[str, LowerMethod]) -> list[Column]:
    """The paper's columns in its order and ours between them: bounds, SeqLip proved and greedy,
    searches from below.

    Where the greedy one is the published truncation, the same follows with what it leaves out
    accounted for.
    """
    columns = [
        Column("Frobenius", Frobenius()),
        Column("AutoLip", AutoLip()),
        Column("Theorem 3", Theorem3(seconds=sound.seconds)),
        Column("SeqLip", sound),
        Column("Greedy SeqLip", greedy),
    ]
    if not greedy.residual:
        columns.append(Column("greedy with residual", replace(greedy, residual=True)))
    return [*columns, *(Column(title, search) for title, search in searches.items())]


def fill(
    subjects: Sequence[Subject], columns: Sequence[Column], steps: Steps, seed: int, track: Track
) -> Cells:
    """Every column on every network; finished cells come from disk."""
    cells: Cells = {}
    total = len(subjects) * len(columns)
    for subject in subjects:
        for column in columns:
            track(f"{subject.label}: {column.title}", len(cells), total)
            settings = {"network": subject.fingerprint, "column": column.describe(), "seed": seed}
            name = f"{subject.label} {column.method.name}"
            found = steps.numbers(
                name,
                settings,
                lambda s=subject, c=column: evaluate(s, c, seed).to_dict(),  # type: ignore[misc]
            )
            cells[column.title, subject.label] = Row.from_dict(found)
    track("writing", total, total)
    return cells


def evaluate(subject: Subject, column: Column, seed: int) -> Row:
    """One cell: an upper bound or an estimate everywhere, or a lower bound attained in the
    network's region."""
    method = column.method
    if isinstance(method, Method):
        row = upper_row(method, subject.problem(seed))
        return row if row.complete else replace(row, notes=(*row.notes, ENDED_EARLY))
    search = replace(method, data=subject.data) if isinstance(method, Dataset) else method
    result = bracket(
        subject.capture,
        model=subject.label,
        region=subject.region,
        method=[],
        lower=[search],
        seed=seed,
    )
    return result.bounds[-1]
