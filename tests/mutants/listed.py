"""The mutants: small changes that make the program wrong, each with the tests that notice."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("mutants")


@dataclass(frozen=True)
class Mutant:
    """One occurrence of `old` in `file` becomes `new`; `tests` fail then, and only then."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.file}: {self.old!r} -> {self.new!r}"

    def applied(self, text: str) -> str:
        """The source with the change; ValueError unless `old` stands in it exactly once, however
        its lines are broken."""
        found = [match.span() for match in re.finditer(_anyhow_broken(self.old), text)]
        if len(found) != 1:
            raise ValueError(f"{self}: the old text stands {len(found)} times in the file")
        start, end = found[0]
        return text[:start] + self.new + text[end:]


def _anyhow_broken(code: str) -> str:
    """A pattern for this piece of code: lines may be broken between any two words or signs, with a
    comma before a bracket that closes."""
    words = re.findall(r"\w+|[^\w\s]", code)
    space = [code[: len(code) - len(code.lstrip())], code[len(code.rstrip()) :]]
    first, last = map(re.escape, space)
    between = [r",?\s*" if word in ")]}" else r"\s*" for word in words[1:]]
    inner = "".join(gap + re.escape(word) for gap, word in zip(between, words[1:], strict=True))
    return first + re.escape(words[0]) + inner + last


def mutants(folder: Path = LIST) -> list[Mutant]:
    """All mutants, in the order of their files."""
    return [mutant for path in sorted(folder.glob("*.toml")) for mutant in _read(path)]


def _read(path: Path) -> Iterator[Mutant]:
    """Each table is a source file: its tests, and its changes [old, new] or [old, new, tests of its
    own]."""
    for group in tomllib.loads(path.read_text(encoding="utf-8"))["group"]:
        for old, new, *own in group["changes"]:
            yield Mutant(group["file"], old, new, tuple(own or group["tests"]))
