"""The direction of imports, and the measures of `tests/house.py`: what keeps the house in order."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import MEASURES, ROOT, SOURCE, Measure, circles, imported, name_of, run_time

LAYERS = [
    ["errors"],
    ["arguments", "files"],
    ["registry"],
    ["values"],
    ["budget"],
    ["norms"],
    ["roundoff"],
    ["units"],
    ["intervals"],
    ["rounded"],
    ["regions"],
    ["operators"],
    ["slopes"],
    ["graph"],
    ["rules"],
    ["ranges"],
    ["zoo"],
    ["capture"],
    ["certificates"],
    ["outputs"],
    ["piecewise"],
    ["methods", "lower"],
    ["layers", "quantisation"],
    ["secants"],
    ["question", "findings"],
    ["report"],
    ["result"],
    ["portfolio"],
    ["pairwise"],
    ["estimate"],
    ["workers"],
    ["testing", "training", "robustness", "sweeping"],
    ["reproduce"],
    ["cli"],
    ["__main__"],
]
"""Lowest first: a part imports from lower layers and from itself. (A result is findings that show
themselves, so report is between the two.)"""
RANK = {part: rank for rank, layer in enumerate(LAYERS) for part in layer}

files = pytest.mark.parametrize(
    "file",
    sorted(SOURCE.rglob("*.py")),
    ids=lambda file: str(file.relative_to(SOURCE).with_suffix("")),
)


def part_of(module: str) -> str:
    """`autolip.rules.linear` belongs to `rules`."""
    return module.split(".")[1] if "." in module else ""


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of every module of ours that is imported when the code runs."""
    for node in run_time(tree):
        if isinstance(node, ast.Import):
            yield from (
                (node.lineno, alias.name)
                for alias in node.names
                if alias.name.startswith("autolip")
            )
        elif isinstance(node, ast.ImportFrom) and node.module == "autolip":
            yield from ((node.lineno, f"autolip.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("autolip."):
            yield node.lineno, str(node.module)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"


def violations(part: str, tree: ast.AST) -> list[str]:
    return [
        f"line {line}: {part} must not import {name}"
        for line, name in imports(tree)
        if part_of(name) != part and RANK[part_of(name)] >= RANK[part]
    ]


@files
def test_imports_point_downwards(file: Path) -> None:
    module = name_of(file)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    if module.startswith("autolip_check"):
        assert not list(imports(tree)), "the checker shares no code with what it checks"
    elif part_of(module):
        assert part_of(module) in RANK, (
            f"{part_of(module)} has no place among the layers: give it one"
        )
        assert not violations(part_of(module), tree)


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
def test_no_measure_is_above_its_ceiling(measure: Measure) -> None:
    assert measure.figure() <= measure.ceiling, "\n".join(measure.places()[:20])


def test_circles_of_imports_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"a", "f"}, "f": {"e"}}
    assert sorted(circles(graph)) == [["b", "c"], ["e", "f"]]
    late = ast.parse("def f():\n    from autolip.rules import linear\nimport autolip.values")
    known = {"autolip.rules", "autolip.rules.linear", "autolip.values"}
    assert imported(late, known) == {"autolip.rules.linear", "autolip.values"}


@files
def test_modules_are_named_for_what_they_are(file: Path) -> None:
    assert file.stem not in {"utils", "helpers", "util", "helper", "misc", "common"}


def test_a_violation_is_seen() -> None:
    tree = ast.parse(
        "from autolip.rules import RULES\nif TYPE_CHECKING:\n    from autolip.estimate "
        "import lipschitz"
    )
    assert violations("operators", tree) == ["line 1: operators must not import autolip.rules"]
    assert violations("methods", tree) == []
    assert violations("methods", ast.parse("def f():\n    from autolip.lower import x")) != []
    assert violations("rules", ast.parse("from autolip import zoo")) == [
        "line 1: rules must not import autolip.zoo"
    ]


def test_the_page_on_the_layers_is_true() -> None:
    """It names the parts in an order in which each imports from those before it."""
    page = (ROOT / "docs" / "extend" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("## Layers")[2]
    rows = [line.split("|")[2] for line in table.splitlines() if line.startswith("| ")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    parts = [part for layer in LAYERS for part in layer if part != "__main__"]
    assert sorted(named) == sorted(parts)
    assert [RANK[name] for name in named] == sorted(RANK[name] for name in named)
