"""What `lipschitz` returns: findings that show themselves."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from autolip.errors import InputError, Refusal, printable
from autolip.files import read_text
from autolip.findings import Findings
from autolip.layers import Layer, layers_of
from autolip.outputs import Difference
from autolip.report.formats import FORMATS, check_drawable, save
from autolip.report.frame import frame
from autolip.report.layers import explained, layer_records
from autolip.report.table import render_html, render_text
from autolip.values import Upper

LARGEST = 2**28
"""Chosen: bytes of a result in a file; the witness of an image of 224 x 224 takes 6 MB."""


@dataclass(frozen=True, repr=False)
class Result(Findings):
    """A bracket on the Lipschitz constant, and how each side of it was obtained."""

    def __repr__(self) -> str:
        return render_text(self)

    def _repr_html_(self) -> str:
        return render_html(self)

    @cached_property
    def layer_list(self) -> tuple[Layer, ...]:
        """What each layer contributes to the smallest upper bound, in the network's order: of all
        differences of outputs, to the one with the largest.

        The method of that bound is asked about the network up to each layer, for five seconds of
        counted work in all.  Empty where the output does not depend on the input.  Raises
        InputError where AutoLip has no bound in these norms, and for a result that was pickled or
        read from a file before anybody asked.
        """
        if self.problem is None and self.graph is None:
            raise InputError(
                "this result comes from a file, without the network: ask for layers before"
            )
        if self.problem is None:
            return ()
        problem, lower = self.problem, self.lower
        if self.pairs:
            worst = self.worst_pair
            shape = problem.slopes.output_shape
            problem, lower = (
                problem.reading(Difference(worst.i, worst.j).readout(shape)),
                worst.lower,
            )
        witness = None if lower is None else lower.witness
        found = layers_of(problem, witness, *self._taken())
        if isinstance(found, Refusal):
            raise InputError(f"the layers have no product bound: {found}")
        return found

    def _taken(self) -> tuple[str, Upper | None]:
        """The method of the smallest upper bound, and that bound."""
        row = self.upper
        return (row.method, row.answer) if row and isinstance(row.answer, Upper) else ("", None)

    @property
    def layers(self) -> Any:
        """What each layer contributes, as a pandas.DataFrame; without pandas, a list of
        dictionaries.

        bound: the network's up to here, by the method of the smallest upper bound; gain: by how
        much it grows at the layer; attained: how far the witness pair is apart here, against how
        far it is apart as inputs (no bound); loss: the gain against theirs; share: of the logarithm
        of the bound; neurons and stable: entries of an operation that acts entry by entry, and
        those with one slope alone on the region.  Along the main path gains multiply to the bound,
        losses to the width of the bracket.

        >>> import torch, autolip
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()).eval()
        >>> result = autolip.lipschitz(model, torch.zeros(1, 2), method="autolip")
        >>> len(result.layers)
        2
        """
        return frame(layer_records(self.layer_list))

    def explain(self) -> str:
        """Sentences on what limits the bound: how wide the bracket is, which layers make the bound
        large, where it exceeds what a pair of inputs attains, what a region would do."""
        return "\n".join(explained(self, self.layer_list))

    def to_frame(self) -> Any:
        """The rows of the table as a pandas.DataFrame; without pandas, a list of dictionaries."""
        return frame([row.to_dict() for row in self.bounds])

    def to_latex(self) -> str:
        """The table for a LaTeX document with booktabs."""
        return str(FORMATS[".tex"](self))

    def plot(self) -> Any:
        """The bounds as bars on a logarithmic axis: a matplotlib Figure (extra: report, without
        which InputError says so)."""
        from autolip.report.bars import bars

        check_drawable(".png")
        return bars(self)

    def save(self, path: str | Path) -> None:
        """Write a file in the format that its suffix says: .json (which `Result.load` reads), .txt,
        .csv, .tex, .html, .svg, .pdf, .png, or .cert, the smallest upper bound's certificate."""
        save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> "Result":
        """The result in a .json file: every number and the witness; no proof, and no network."""
        text = read_text(path, "a result in JSON", LARGEST)
        try:
            stored = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{printable(str(path))} is no JSON: {error}") from error
        if not isinstance(stored, dict):
            raise InputError(f"{printable(str(path))} holds no result: write one with --json")
        return cls.from_dict(stored)
