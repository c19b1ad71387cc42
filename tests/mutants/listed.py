"""The mutants: small changes that make the program wrong, each with the tests that notice."""

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
        """The source with the change; ValueError unless `old` stands in it exactly once."""
        if text.count(self.old) != 1:
            raise ValueError(f"{self}: the old text stands {text.count(self.old)} times in the file")
        return text.replace(self.old, self.new)


def mutants(folder: Path = LIST) -> list[Mutant]:
    """All mutants, in the order of their files."""
    return [mutant for path in sorted(folder.glob("*.toml")) for mutant in _read(path)]


def _read(path: Path) -> Iterator[Mutant]:
    """Each table is a source file: its tests, and its changes [old, new] or [old, new, tests of its own]."""
    for group in tomllib.loads(path.read_text(encoding="utf-8"))["group"]:
        for old, new, *own in group["changes"]:
            yield Mutant(group["file"], old, new, tuple(own or group["tests"]))
