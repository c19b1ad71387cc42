"""The list of mutants is true: each old text stands in its file once, the changes are programs, the
tests exist."""

import ast
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.mutants.listed import ROOT, mutants
from tests.mutants.running import ENDLESS, SURVIVED, Trial

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


@pytest.mark.parametrize(
    ("work", "verdict"), [(partial(time.sleep, 1.2), SURVIVED), (loop, ENDLESS)]
)
def test_patience_is_of_the_processor(
    work: Callable[[], None], verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting is no work, and tests without an end are neither noticed nor overlooked."""
    monkeypatch.setattr("tests.mutants.running.PATIENCE", 1)
    monkeypatch.setattr("tests.mutants.running._pytest", lambda folder, tests: work() or 0)
    trial = Trial((), None)
    trial.start(tmp_path)
    while not trial.ended():
        time.sleep(0.02)
    assert trial.verdict == verdict
