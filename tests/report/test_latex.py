"""Tables for LaTeX."""

import doctest

from autolip.report import latex
from autolip.result import Result


def test_the_example_runs() -> None:
    assert doctest.testmod(latex).failed == 0


def test_what_latex_would_read_otherwise_is_escaped() -> None:
    assert latex.escaped(r"a_b & 5% <= $x^2 \#~{}") == (
        r"a\_b \& 5\% \textless{}= \$x\textasciicircum{}2 \textbackslash{}\#\textasciitilde{}\{\}"
    )


def test_every_row_is_there(bracket: Result) -> None:
    table = bracket.to_latex()
    assert table.count(r"\\") == 5 and "28.0413" in table and table.count("&") == 5 * 6
