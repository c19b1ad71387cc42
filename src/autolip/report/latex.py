"""A table for LaTeX, with the rules of booktabs."""

import re

from autolip.report.content import Sheet

SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}
"""What LaTeX reads as something else, and how it is written."""


def latex_table(sheet: Sheet, caption: str) -> str:
    """A sheet as a `table` environment, words flush left and numbers flush right.

    >>> print(latex_table(Sheet("", ("method", "value"), (("a_b", "1"),)), "50% <= c"))
    \\begin{table}
      \\caption{50\\% \\textless{}= c}
      \\begin{tabular}{lr}
        \\toprule
        method & value \\\\
        \\midrule
        a\\_b & 1 \\\\
        \\bottomrule
      \\end{tabular}
    \\end{table}
    <BLANKLINE>
    """
    sides = "".join("l" if sheet.is_text(column) else "r" for column in range(len(sheet.headings)))
    head, *body = (f"    {_line(cells)}" for cells in (sheet.headings, *sheet.rows))
    lines = [
        r"\begin{table}",
        rf"  \caption{{{escaped(sheet.caption or caption)}}}",
        rf"  \begin{{tabular}}{{{sides}}}",
        r"    \toprule",
        head,
        r"    \midrule",
        *body,
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _line(cells: tuple[str, ...]) -> str:
    return " & ".join(map(escaped, cells)) + r" \\"


def escaped(text: str) -> str:
    """The text as LaTeX prints it."""
    return re.sub(r"[\\~^<>&%$#_{}]", lambda match: SPECIAL[match[0]], text)
