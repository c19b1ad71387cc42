"""What `lipschitz` returns: findings that show themselves."""

from dataclasses import dataclass

from autolip.findings import Findings
from autolip.report.table import render_html, render_text


@dataclass(frozen=True, repr=False)
class Result(Findings):
    """A bracket on the Lipschitz constant, and how each side of it was obtained."""

    def __repr__(self) -> str:
        return render_text(self)

    def _repr_html_(self) -> str:
        return render_html(self)
