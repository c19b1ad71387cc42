"""What the site shows of the program itself: operations, methods, architecture, measurements."""

import ast
import html
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import coverage_of as coverage

HERE = Path(__file__).parent
ROOT = HERE.parent
SOURCE = ROOT / "src" / "autolip"
OUT = HERE / "_generated"

WIDTH, ROW, BOX, GAP = 760, 62, 34, 12
"""Chosen: pixels of the drawing's width, of a layer, of a box's height, between boxes."""


def write_all() -> None:
    """Every generated page, anew."""
    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "measured").mkdir(parents=True)
    (OUT / "operations.md").write_text(operations(), encoding="utf-8")
    (OUT / "coverage.md").write_text(coverage.page(), encoding="utf-8")
    (OUT / "methods.md").write_text(methods(), encoding="utf-8")
    (OUT / "architecture.svg").write_text(drawn(part_imports()), encoding="utf-8")
    measured()


def operations() -> str:
    """Every rule: operation, slope set, group."""
    from autolip.rules import RULES

    rows = sorted((rule.group, rule.name, rule.claim) for rule in RULES.values())
    lines = [f"| `{name}` | {group} | {cell(claim)} |" for group, name, claim in rows]
    head = (
        f"# Supported operations\n\n{len(rows)} ATen operations have a rule; any other is refused "
        "by name, with its place in the model. `autolip rules` prints this table.\n\n"
        "| operation | group | slope set |\n|---|---|---|\n"
    )
    return head + "\n".join(lines) + "\n"


def methods() -> str:
    """Every method and search: name, claim, source."""
    from autolip.lower import LOWER_METHODS
    from autolip.methods import METHODS
    from autolip.rules.rule import first_paragraph

    def table(entries: Iterable[tuple[str, object]]) -> Iterator[str]:
        yield "| name | claim | source |\n|---|---|---|"
        for name, one in entries:
            yield f"| `{name}` | {cell(first_paragraph(type(one)))} | {cell(one.source)} |"  # type: ignore[attr-defined]

    upper = table((name, make()) for name, make in sorted(METHODS.items()))
    lower = table((name, make()) for name, make in sorted(LOWER_METHODS.items()))
    return "\n".join(
        [
            "# Methods",
            "\n`autolip methods` prints them with what they refuse.\n",
            "## Upper bounds\n",
            *upper,
            "\n## Lower bounds, attained by a pair of inputs\n",
            *lower,
            "",
        ]
    )


def cell(text: str) -> str:
    """A text within a table."""
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


# The architecture


def part_imports() -> dict[str, set[str]]:
    """For every part of the package (a folder or a file of it) the parts that it imports when it is
    run, those imported late apart."""
    found: dict[str, set[str]] = {}
    for file in sorted(SOURCE.rglob("*.py")):
        part = file.relative_to(SOURCE).with_suffix("").parts[0]
        if part.startswith("__"):
            continue
        found.setdefault(part, set()).update(imported(ast.parse(file.read_text("utf-8"))) - {part})
    return {part: others & found.keys() for part, others in found.items()}


def imported(tree: ast.Module) -> set[str]:
    """The parts that the head of a module imports."""
    names = [node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[1] for name in names if name.startswith("autolip.")}


def ranks(graph: dict[str, set[str]]) -> dict[str, int]:
    """How long the longest chain of imports below each part is."""
    known: dict[str, int] = {}

    def rank(part: str) -> int:
        if part not in known:
            known[part] = 1 + max((rank(other) for other in graph[part]), default=-1)
        return known[part]

    for part in graph:
        rank(part)
    return known


def direct(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same without the imports that others imply (the transitive reduction)."""

    def below(part: str) -> set[str]:
        return graph[part].union(*(below(other) for other in graph[part]))

    return {
        part: others - set().union(*(below(other) for other in others))
        for part, others in graph.items()
    }


def drawn(graph: dict[str, set[str]]) -> str:
    """The parts as boxes, each above what it imports; lines for imports that no others imply."""
    layers: dict[int, list[str]] = {}
    for part, rank in ranks(graph).items():
        layers.setdefault(rank, []).append(part)
    height = ROW * len(layers)
    places = {
        part: (x, height - ROW * (rank + 1) + (ROW - BOX) / 2, width)
        for rank, parts in layers.items()
        for part, (x, width) in zip(parts, _row([len(part) for part in parts]), strict=True)
    }
    lines = [_line(places[a], places[b]) for a, others in direct(graph).items() for b in others]
    boxes = [_box(part, *place) for part, place in places.items()]
    label = "The parts of autolip, each above those that it imports"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
        f"<title>{label}</title><style>{STYLE}</style>{''.join(lines)}{''.join(boxes)}</svg>"
    )


STYLE = (
    "text{font:13px sans-serif;fill:#1c2024;text-anchor:middle}"
    "rect{fill:#eef3f9;stroke:#1f5fa8}line{stroke:#8a9199}"
)


def _row(lengths: list[int]) -> Iterator[tuple[float, float]]:
    """Where the boxes of a layer begin, and how wide they are."""
    widths = [8 * length + 16 for length in lengths]
    x = (WIDTH - sum(widths) - GAP * (len(widths) - 1)) / 2
    for width in widths:
        yield x, width
        x += width + GAP


def _box(part: str, x: float, y: float, width: float) -> str:
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{BOX}" rx="4"/>'
        f'<text x="{x + width / 2:g}" y="{y + BOX / 2 + 4:g}">{html.escape(part)}</text>'
    )


def _line(above: tuple[float, float, float], below: tuple[float, float, float]) -> str:
    (x, y, width), (u, v, breadth) = above, below
    return f'<line x1="{x + width / 2:g}" y1="{y + BOX:g}" x2="{u + breadth / 2:g}" y2="{v:g}"/>'


# Measurements


def measured() -> None:
    """The pages under benchmarks/results, and an index of them with the command that repeats
    each."""
    rows = []
    for file in sorted((ROOT / "benchmarks" / "results").iterdir()):
        if file.suffix in (".md", ".svg"):
            shutil.copy(file, OUT / "measured" / file.name)
        if file.suffix == ".md":
            text = file.read_text(encoding="utf-8")
            title = text.partition("\n")[0].lstrip("# ")
            command = re.search(r"`(python -m benchmarks[^`]*|autolip reproduce[^`]*)`", text)
            said = f"`{command[1]}`" if command else "on the page"
            rows.append(f"| [{cell(title)}](measured/{file.name}) | {said} |")
    listed = "\n".join(f"measured/{row.name}" for row in sorted((OUT / "measured").glob("*.md")))
    (OUT / "measured.md").write_text(
        "# Measured\n\nEvery figure that is claimed, and the command that repeats it.\n\n"
        "| what | again by |\n|---|---|\n" + "\n".join(rows) + "\n\n"
        "```{toctree}\n:hidden:\n\n" + listed + "\n```\n",
        encoding="utf-8",
    )


def linked(text: str, page: Path) -> str:
    """Links out of this folder, as they are right in the repository: to the copies of what was
    measured, else without a link."""

    def replaced(match: re.Match[str]) -> str:
        said, target = match[1], match[2]
        aim = (page.parent / target.partition("#")[0]).resolve()
        if aim.is_relative_to(HERE):
            return match[0]
        copy = OUT / "measured" / aim.name
        up = "../" * len(page.parent.relative_to(HERE).parts)
        return f"[{said}]({up}_generated/measured/{aim.name})" if copy.exists() else said

    return re.sub(r"\[([^\]]*)\]\((?!https?:|#|mailto:)([^)\s]+)\)", replaced, text)


def as_rst(lines: list[str]) -> list[str]:
    """A docstring of ours as reStructuredText: what has a meaning there is taken literally, code in
    single backticks is code, indented lines are kept as they are."""
    found: list[str] = []
    literal = False
    for line in lines:
        example = line.lstrip().startswith((">>>", "..."))
        indented = line.startswith("    ") and not line.lstrip().startswith("* ")
        if indented and not literal and not example:
            found += ["::", ""] if not found or not found[-1].strip() else ["", "::", ""]
        elif literal and line.strip() and not indented:
            found += [] if not found[-1].strip() else [""]
        literal = indented or (literal and not line.strip())
        found.append(line if example or indented else escaped(line))
    return found


def escaped(line: str) -> str:
    """A line whose special characters stand for themselves; a bullet stays one."""
    start = re.match(r"\s*(\* )?", line)
    bullet = start[0] if start else ""
    parts = re.split(r"(`[^`]+`)", line[len(bullet) :])
    return bullet + "".join(
        f"`{part}`" if part.startswith("`") else re.sub(r"([*|_\\])", r"\\\1", part)
        for part in parts
    )
