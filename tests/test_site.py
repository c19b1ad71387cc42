"""The documentation's site: its generated pages say what there is, its links lead somewhere.
`make docs` builds it, and runs its notebooks."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import autolip
from autolip import training
from autolip.methods import METHODS
from autolip.rules import RULES

DOCS = Path(__file__).parents[1] / "docs"
NO = "**refused**"


@pytest.fixture
def generate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(DOCS))
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "OUT", tmp_path)
    yield module


def test_every_public_name_has_an_entry_with_an_example() -> None:
    text = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    cells = "".join(re.findall(r"^```{code-cell}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    named = {f"autolip.{name}" for name in autolip.__all__}
    named |= {f"autolip.training.{name}" for name in training.__all__}
    for name in named:
        assert f":: {name}\n" in text, f"{name} has no entry"
        short = name.removeprefix("autolip.") if "training" in name else name
        assert re.search(rf"\b{short}\b", cells), f"{name} has no example"


def test_operations_and_methods_are_all_there(generate: ModuleType) -> None:
    operations, methods = generate.operations(), generate.methods()
    assert all(f"`{rule.name}`" in operations for rule in RULES.values())
    assert all(f"| `{name}` |" in methods for name in METHODS)


def test_everything_is_covered_or_has_a_reason(generate: ModuleType) -> None:
    """The tables' rows, from the tables of the program; modules are bounded in the slow test."""
    coverage = generate.coverage
    aten, onnx = coverage.aten_rows(), coverage.onnx_rows()
    assert {"aten.relu.default", "aten.var.correction"} <= {name for name, _, _ in aten}
    assert {"Relu", "Loop", "GridSample"} <= {name for name, status, _ in onnx if status != NO}
    assert [name for name, status, why in aten if status == NO and why == "no rule yet"] == []
    assert sum(status != NO for _, status, _ in aten) >= 165
    assert sum(status != NO for _, status, _ in onnx) >= 150
    reasons = [pattern for pattern, _ in coverage.OTHERS]
    for name in coverage.modules():
        assert name in coverage.MADE or any(re.search(pattern, name) for pattern in reasons), name


@pytest.mark.long
def test_the_coverage_page_bounds_the_modules(generate: ModuleType) -> None:
    page = generate.coverage.page()
    assert "| `Linear` | yes | finite everywhere |" in page
    assert "| `Bilinear` | yes | finite on regions |" in page
    assert page.count(NO) <= 80


def test_the_architecture_is_drawn_from_the_imports(generate: ModuleType) -> None:
    graph = generate.part_imports()
    ranks = generate.ranks(graph)
    assert all(ranks[part] > ranks[other] for part, others in graph.items() for other in others)
    assert generate.direct({"a": {"b", "c"}, "b": {"c"}, "c": set()})["a"] == {"b"}
    drawing = generate.drawn(graph)
    assert all(f">{part}</text>" in drawing for part in graph)


def test_everything_measured_is_listed_with_its_command(
    generate: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "measured").mkdir()
    generate.measured()
    index = (tmp_path / "measured.md").read_text(encoding="utf-8")
    for page in (DOCS.parent / "benchmarks" / "results").glob("*.md"):
        assert f"(measured/{page.name})" in index


def test_links_out_of_the_folder_lead_to_copies(generate: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "measured").mkdir()
    (tmp_path / "measured" / "norms.md").touch()
    page = DOCS / "learn" / "local.md"
    text = "[a](../../benchmarks/results/norms.md) [b](../../README.md) [c](training.md)"
    assert generate.linked(text, page) == (
        "[a](../_generated/measured/norms.md) b [c](training.md)"
    )


def test_docstrings_mean_what_they_say(generate: ModuleType) -> None:
    assert generate.escaped("||x||_p <= `f(x)` * y_") == r"\|\|x\|\|\_p <= ``f(x)`` \* y\_"
    text = ["A claim:", "    a_1 * b", "* one_", "  more", "", ">>> a_b"]
    assert generate.as_rst(text) == [
        "A claim:",
        "",
        "::",
        "",
        "    a_1 * b",
        "",
        r"* one\_",
        "  more",
        "",
        ">>> a_b",
    ]


def test_links_of_the_site_lead_to_pages() -> None:
    for page in sorted(DOCS.rglob("*.md")):
        if not page.is_relative_to(DOCS / "_build") and not page.is_relative_to(
            DOCS / "_generated"
        ):
            for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8")):
                generated = "_generated" in target
                assert generated or (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_page_is_in_the_table_of_contents() -> None:
    contents = (DOCS / "index.md").read_text(encoding="utf-8").splitlines()
    for page in sorted(DOCS.rglob("*.md")):
        name = str(page.relative_to(DOCS).with_suffix(""))
        if not name.startswith("_") and name != "index":
            assert name in contents, f"docs/index.md does not list {name}"
