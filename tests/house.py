"""`python -m tests.house`: what keeps the house in order, counted.

Every measure has a goal and a ceiling: where the goal is reached both are the same; elsewhere the
ceiling is the figure of the day it was last lowered, which `tests/test_architecture.py` holds.  A
figure above its ceiling is a step back; one below it is a ceiling to lower here.
"""

import ast
import itertools
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
LISTED = 20
"""Chosen: how many of the densest assignments are printed."""

MOST = 150
"""Chosen: how many places of one measure are printed."""

Module = tuple[str, ast.Module]
"""A module's full name and its syntax tree."""


@dataclass(frozen=True)
class Measure:
    """A figure that should be at most its goal, and where it comes from, worst first."""

    name: str
    goal: float
    ceiling: float
    places: Callable[[], list[str]]
    figure: Callable[[], float]


def counted(name: str, goal: int, ceiling: int, places: Callable[[], list[str]]) -> Measure:
    """The measure that counts places."""
    return Measure(name, goal, ceiling, places, lambda: len(places()))


def largest(name: str, goal: int, ceiling: int, sized: Callable[[], dict[str, float]]) -> Measure:
    """The measure of the largest of some sizes."""

    def places() -> list[str]:
        sizes = sorted(sized().items(), key=lambda item: -item[1])
        return [f"{place}: {size:g}" for place, size in sizes]

    return Measure(name, goal, ceiling, places, lambda: max(sized().values()))


def median(name: str, goal: int, ceiling: float, sized: Callable[[], dict[str, float]]) -> Measure:
    """The measure of the median of some sizes; its places are files, by their medians."""

    def places() -> list[str]:
        by_file: dict[str, list[float]] = {}
        for place, size in sized().items():
            by_file.setdefault(place.rpartition(":")[0], []).append(size)
        medians = {file: statistics.median(sizes) for file, sizes in by_file.items()}
        return [f"{file}: {medians[file]:g}" for file in sorted(medians, key=lambda f: -medians[f])]

    return Measure(name, goal, ceiling, places, lambda: statistics.median(sized().values()))


# What is read


@lru_cache
def modules() -> tuple[Module, ...]:
    """Every module of src."""
    files = sorted(SOURCE.rglob("*.py"))
    return tuple((name_of(file), ast.parse(file.read_text(encoding="utf-8"))) for file in files)


def name_of(file: Path) -> str:
    """src/autolip/rules/linear.py is autolip.rules.linear."""
    return ".".join(file.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def file_of(module: str) -> Path:
    """The file of a module, or the __init__.py of a package."""
    path = SOURCE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def ours(package: str = "autolip") -> list[Module]:
    """The modules of one of the two packages."""
    return [(name, tree) for name, tree in modules() if name.split(".")[0] == package]


def run_time(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node except what stands under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING"):
            yield child
            yield from run_time(child)


# Measures


def long_lines() -> list[str]:
    """Lines of over 100 columns in the Python files of the repository, pragmas apart."""
    roots = ("src", "tests", "benchmarks", "examples", "scripts")
    files = [file for root in roots for file in sorted((ROOT / root).rglob("*.py"))]
    return [
        f"{file.relative_to(ROOT)}:{number}"
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), 1)
        if len(PRAGMA.sub("", line)) > 100
    ]


PRAGMA = re.compile(r"  # (noqa|type: ignore).*")
"""What a linter or a type checker is told at the end of a line."""


def imported(tree: ast.Module, known: set[str]) -> set[str]:
    """The modules of src that a module imports when its code runs, at its head or later."""
    found = set[str]()
    for node in run_time(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner & known or {node.module}
    return found & known


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one vertex, largest first (Tarjan 1972)."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(vertex: str) -> None:
        number[vertex] = low[vertex] = len(number)
        stack.append(vertex)
        for other in sorted(graph[vertex]):
            if other not in number:
                visit(other)
                low[vertex] = min(low[vertex], low[other])
            elif other in stack:
                low[vertex] = min(low[vertex], number[other])
        if low[vertex] == number[vertex]:
            start = stack.index(vertex)
            component = stack[start:]
            del stack[start:]
            if len(component) > 1:
                found.append(sorted(component))

    for vertex in sorted(graph):
        if vertex not in number:
            visit(vertex)
    return sorted(found, key=len, reverse=True)


def import_circles() -> list[str]:
    """The circles of modules, late imports counted."""
    known = {name for name, _ in modules()}
    graph = {name: imported(tree, known) - {name} for name, tree in modules()}
    return [f"{len(circle)}: {' '.join(circle)}" for circle in circles(graph)]


def slope_tests() -> list[str]:
    """Places that ask by isinstance which of the three kinds a slope is."""
    return [
        f"{name}:{node.lineno}"
        for name, tree in ours()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "isinstance"
        and names_in(node.args[1]) & {"Exact", "Between", "Gain"}
    ]


def names_in(tree: ast.AST) -> set[str]:
    """The names that an expression reads."""
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


ROUNDING = ("values", "roundoff", "rounded", "intervals", "operators.norms")
"""The rooms where errors of rounding are estimated."""


def rounding_elsewhere() -> list[str]:
    """Modules outside those rooms that import `gamma` or `UNIT`."""

    def is_at_home(name: str) -> bool:
        return any(f"{name}.".startswith(f"autolip.{room}.") for room in ROUNDING)

    return [
        name
        for name, tree in ours()
        if not is_at_home(name)
        and any(
            alias.name in {"gamma", "UNIT"}
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        )
    ]


CLOCKS = {"monotonic", "perf_counter", "process_time", "monotonic_ns", "perf_counter_ns"}


def clocks() -> list[str]:
    """Modules that read a clock themselves."""

    def reads(node: ast.AST) -> bool:
        if isinstance(node, ast.ImportFrom):
            return node.module == "time" and any(alias.name in CLOCKS for alias in node.names)
        return (
            isinstance(node, ast.Attribute)
            and node.attr in CLOCKS
            and getattr(node.value, "id", "") == "time"
        )

    return [name for name, tree in ours() if any(reads(node) for node in ast.walk(tree))]


def mirror(module: str) -> Path:
    """autolip.rules.linear has its tests in tests/rules/test_linear.py, autolip_check.maps in
    tests/checker/test_maps.py."""
    package, *rooms, stem = module.split(".")
    root = ROOT / "tests" / "checker" if package == "autolip_check" else ROOT / "tests"
    return root.joinpath(*rooms, f"test_{stem}.py")


@lru_cache
def covered() -> frozenset[str]:
    """The modules that the docstring of a test file names: `autolip.rules.linear`, or
    `autolip.rules.*` for a law that runs on whatever is in that folder."""
    texts = [
        ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        for file in (ROOT / "tests").rglob("test_*.py")
    ]
    named = {found for text in texts for found in re.findall(r"\bautolip\w*(?:\.[\w*]+)+", text)}
    return frozenset(found.rstrip(".") for found in named)


def without_mirror() -> list[str]:
    """Modules, packages' __init__.py apart, without a test file of their own and named in none."""
    return [
        name
        for name, _ in modules()
        if file_of(name).name != "__init__.py"
        and not mirror(name).exists()
        and not {name, name.rpartition(".")[0] + ".*"} & covered()
    ]


ORIGIN = re.compile(r"\b(proved|tuned|measured|counted|chosen|choice|assumed|defined)\b", re.I)
"""How a constant says where it comes from."""


def is_numeric(value: ast.expr) -> bool:
    """Whether an expression is arithmetic of numbers that are written out."""
    parts = (ast.Constant, ast.UnaryOp, ast.BinOp, ast.Tuple, ast.operator, ast.unaryop, ast.Load)
    numbers = [node.value for node in ast.walk(value) if isinstance(node, ast.Constant)]
    are_numbers = all(type(number) in (int, float) for number in numbers)
    return bool(numbers) and are_numbers and all(isinstance(n, parts) for n in ast.walk(value))


def silent_constants() -> list[str]:
    """Numbers at the top of a module that do not say, beneath or beside, where they come from."""
    found = []
    for name, tree in modules():
        lines = file_of(name).read_text(encoding="utf-8").split("\n")
        for node, following in itertools.pairwise([*tree.body, ast.Pass()]):
            if not isinstance(node, ast.Assign) or not is_numeric(node.value):
                continue
            beneath = getattr(following, "value", None)
            text = str(beneath.value) if isinstance(beneath, ast.Constant) else ""
            beside = " ".join(lines[node.lineno - 2 : node.end_lineno])
            if not ORIGIN.search(text) and not ORIGIN.search(beside.partition("#")[2]):
                found.append(f"{name}:{node.lineno}")
    return found


def function_lengths() -> dict[str, float]:
    """Lines of every function."""
    return {
        f"{name}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for name, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def file_lengths() -> dict[str, float]:
    """Lines of every file of src."""
    return {name: file_of(name).read_text(encoding="utf-8").count("\n") for name, _ in modules()}


@lru_cache
def assignments(package: str) -> dict[str, float]:
    """Syntax nodes a line of every assignment `target = value`, all nodes of `ast.walk` counted."""
    return {
        f"{name}:{node.lineno}": nodes_a_line(node)
        for name, tree in ours(package)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
    }


def nodes_a_line(node: ast.Assign) -> float:
    nodes = sum(1 for _ in ast.walk(node))
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    return nodes / lines


def of_library() -> dict[str, float]:
    return assignments("autolip")


def of_checker() -> dict[str, float]:
    return assignments("autolip_check")


MEASURES = (
    counted("lines over 100 columns", 0, 0, long_lines),
    counted("circles of modules, late imports counted", 0, 0, import_circles),
    counted("isinstance on slopes", 15, 15, slope_tests),
    counted("modules with gamma or UNIT beside the rounding rooms", 0, 0, rounding_elsewhere),
    counted("modules that read a clock", 3, 3, clocks),
    counted("modules without a mirror test", 10, 10, without_mirror),
    counted("constants that do not say where they come from", 0, 0, silent_constants),
    largest("lines of the longest function", 59, 59, function_lengths),
    largest("lines of the longest file", 450, 450, file_lengths),
    median("nodes a line, median assignment of the library", 12, 14, of_library),
    median("nodes a line, median assignment of the checker", 12, 13, of_checker),
    largest("nodes a line, densest assignment of the library", 60, 47, of_library),
    largest("nodes a line, densest assignment of the checker", 60, 36, of_checker),
)


def source_lines(package: str) -> int:
    lengths = file_lengths()
    return int(sum(lengths[name] for name, _ in ours(package)))


def lines() -> Iterable[str]:
    """The table, then the densest assignments."""
    width = max(len(measure.name) for measure in MEASURES)
    yield f"{'':{width}}  {'today':>6}  {'ceiling':>7}  {'goal':>5}"
    for measure in MEASURES:
        figures = f"{measure.figure():>6g}  {measure.ceiling:>7g}  {measure.goal:>5g}"
        yield f"{measure.name:{width}}  {figures}"
    for package in ("autolip", "autolip_check"):
        yield f"{f'source lines of {package}':{width}}  {source_lines(package):>6}"
    for title, sizes in (("library", of_library()), ("checker", of_checker())):
        yield f"\nThe {LISTED} densest assignments of the {title}"
        densest = sorted(sizes, key=lambda place: -sizes[place])[:LISTED]
        yield from (f"{sizes[place]:6.1f}  {place}" for place in densest)


def main(asked: list[str]) -> None:
    """The table; or, for words, the places of the measures with all of them in their names."""
    if not asked:
        print("\n".join(lines()))
    for measure in MEASURES:
        if asked and all(word in measure.name for word in asked):
            print(f"{measure.name}: {measure.figure():g}")
            print("\n".join(f"  {place}" for place in measure.places()[:MOST]))


if __name__ == "__main__":
    main(sys.argv[1:])
