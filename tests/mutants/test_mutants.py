"""The list of mutants is true: each old text stands in its file once, the changes are programs, the
tests exist."""

import ast
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.mutants.__main__ import _note, _well
from tests.mutants.listed import ROOT, Mutant, mutants
from tests.mutants.running import ENDLESS, NOT_COLLECTED, NOTICED, SURVIVED, Trial, _by_file

MUTANTS = mutants()


def test_there_are_many_and_none_twice() -> None:
    assert len(MUTANTS) >= 150
    assert len({(m.file, m.old, m.new) for m in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize("file", sorted({m.file for m in MUTANTS}))
def test_every_change_applies(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    for mutant in (m for m in MUTANTS if m.file == file):
        changed = mutant.applied(text)
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text)), (
            f"{mutant} changes nothing"
        )


def test_their_tests_exist() -> None:
    for name in {name for m in MUTANTS for name in m.tests}:
        path, _, test = name.partition("::")
        file = ROOT / Path(path)
        assert file.exists(), name
        assert (
            f"def {test.partition('[')[0]}(" in file.read_text(encoding="utf-8") if test else True
        ), name


def loop() -> None:
    while True:
        pass


def hoard() -> None:
    bytearray(10**9)


def verdict_of(trial: Trial, tree: Path) -> str:
    trial.start(tree)
    while not trial.ended():
        time.sleep(0.02)
    return trial.verdict


@pytest.mark.parametrize(
    ("work", "verdict"),
    [(partial(time.sleep, 1.2), SURVIVED), (loop, ENDLESS), (hoard, NOTICED)],
)
def test_patience_is_of_the_processor_and_memory_has_an_end(
    work: Callable[[], None], verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting is no work; tests without an end are neither noticed nor overlooked; one that asks
    for too much memory fails."""

    def pytest_here(folder: Path, tests: tuple[str, ...]) -> int:
        try:
            work()
        except MemoryError:
            return 1
        return 0

    monkeypatch.setattr("tests.mutants.running.PATIENCE", 1)
    monkeypatch.setattr("tests.mutants.running.MEMORY", 10**9)
    monkeypatch.setattr("tests.mutants.running._pytest", pytest_here)
    assert verdict_of(Trial((), None), tmp_path) == verdict


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small program with a test of it."""
    for name in ("src", "tests"):
        (tmp_path / "tree" / name).mkdir(parents=True)
    (tmp_path / "tree" / "src" / "seven.py").write_text("SEVEN = 7\nEIGHT = 8\n")
    (tmp_path / "tree" / "tests" / "test_seven.py").write_text(
        "from seven import SEVEN\n\ndef test_it():\n    assert SEVEN == 7\n"
    )
    (tmp_path / "tree" / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    return tmp_path / "tree"


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [
        ("SEVEN = 7", "SEVEN = 6", NOTICED),
        ("EIGHT = 8", "EIGHT = 9", SURVIVED),
        ("SEVEN = 7", "SIX = 6", NOT_COLLECTED),
    ],
)
def test_the_tests_see_the_mutant(old: str, new: str, verdict: str, tree: Path) -> None:
    """And the tree stays as it is."""
    before = (tree / "src" / "seven.py").read_text()
    trial = Trial(("tests/test_seven.py",), Mutant("src/seven.py", old, new, ()))
    assert verdict_of(trial, tree) == verdict
    assert bool(trial.problem) == (verdict != NOTICED)
    assert ("test_it" in trial.failed) == (verdict == NOTICED)
    assert (tree / "src" / "seven.py").read_text() == before


def test_each_test_runs_once_without_mutants() -> None:
    chosen = [Mutant("", "", "", tests) for tests in (("a::x", "b"), ("a::y", "b::z"), ("a::x",))]
    assert _by_file(chosen) == [("a::x", "a::y"), ("b",)]


def test_what_was_well_stands_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    well, survived = (Trial((name,), Mutant("f", "a", "b", ())) for name in ("well", "not"))
    well.verdict, survived.verdict = NOTICED, SURVIVED
    assert _well(log) == set()
    for trial in (well, survived):
        _note(trial, log)
    assert _well(log) == {well.name}
