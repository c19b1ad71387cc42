"""Samples judged by one process or many, and what a store keeps of them.

Covers autolip.robustness.keeping.
"""

import contextlib
import csv
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autolip
from autolip import Certified, InputError, zoo
from autolip.robustness import judge as judging
from autolip.robustness import keeping
from autolip.robustness.rungs import ladder
from autolip.robustness.verdict import Outcome
from autolip.workers import Store


def certify(count: int, **options: Any) -> Certified:
    model, _ = zoo.load("digits-mlp")
    images, labels = zoo.held_out()
    return autolip.certify(model, images[:count], labels[:count], radius=0.3, **options)


def same(a: Certified, b: Certified) -> bool:
    return a.outcome.tolist() == b.outcome.tolist() and a.radius.tolist() == b.radius.tolist()


def test_what_is_stored_is_not_judged_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.sqlite"
    whole = certify(6)
    part = certify(4, store=path)
    judged = list[int]()
    original = judging.Judge.verdict

    def verdict(self: judging.Judge, index: int, *rest: Any) -> Any:
        judged.append(index)
        return original(self, index, *rest)

    monkeypatch.setattr(judging.Judge, "verdict", verdict)
    rest = certify(6, store=path, resume=True)
    assert judged == [4, 5] and same(rest, whole)
    assert rest.rows[:4] == part.rows
    judged.clear()
    images, labels = zoo.held_out()
    model, _ = zoo.load("digits-mlp")
    order = [5, 0, 3]
    moved = autolip.certify(
        model, images[order], labels[order], radius=0.3, store=path, resume=True
    )
    assert not judged and moved.outcome.tolist() == whole.outcome[order].tolist()
    assert [row.index for row in moved.rows] == [0, 1, 2]
    certify(1, store=path, resume=True, rounding=False)
    assert judged == [0], "another question is another row"
    with Store.reading(path) as store:
        assert len(store) == 7


def test_rows_of_another_ladder_are_judged_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rung that is missing, or another version: new rows; the old ones stay."""
    path = tmp_path / "rows.sqlite"
    certify(1, store=path)
    monkeypatch.setattr(keeping, "version", lambda name: "of tomorrow")
    certify(1, store=path, resume=True)
    rungs = ladder()
    monkeypatch.setattr(keeping, "ladder", lambda: rungs[:-1])
    certify(1, store=path, resume=True)
    certify(1, store=path, resume=True)
    with Store.reading(path) as store:
        assert len(store) == 3


def test_a_sample_that_fails_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = judging.Judge.verdict

    def verdict(self: judging.Judge, index: int, *rest: Any) -> Any:
        if index == 1:
            raise RuntimeError("out of luck")
        return original(self, index, *rest)

    monkeypatch.setattr(judging.Judge, "verdict", verdict)
    found = certify(3, store=tmp_path / "rows.sqlite")
    assert found.rows[1].outcome is Outcome.FAILED
    assert found.rows[1].reason == "RuntimeError: out of luck"
    assert not found.complete and found.certified.tolist()[1] is False
    with Store.reading(tmp_path / "rows.sqlite") as store:
        assert len(store) == 2


def test_to_resume_there_must_be_a_store() -> None:
    with pytest.raises(InputError, match="name its file"):
        certify(1, resume=True)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["digits-conv", "digits-tanh"])
def test_two_workers_find_what_one_finds(network: str) -> None:
    pytest.importorskip("distributed")
    model, _ = zoo.load(network)
    images, labels = zoo.held_out()
    options: dict[str, Any] = {"radius": 0.02, "norm": "linf" if network == "digits-conv" else "l2"}
    one = autolip.certify(model, images[:4], labels[:4], **options)
    two = autolip.certify(model, images[:4], labels[:4], workers=2, **options)
    assert same(one, two)
    assert np.array_equal(one.margin, two.margin)


def certifying(store: Path, file: Path, workers: int) -> subprocess.Popen[bytes]:
    """The command on forty images, in a process group of its own."""
    asked = ["certify", "digits-mlp", "--radius", "0.3", "--first", "40", "--quiet"]
    kept = ["--store", str(store), "--resume", "--workers", str(workers), "-o", str(file)]
    command = [sys.executable, "-m", "autolip", *asked, *kept]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)


def rows_of(store: Path) -> dict[str, Any]:
    """What the file holds, seconds included: a row that is judged again has others."""
    if not store.exists():
        return {}
    try:
        with contextlib.closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as opened:
            return dict(opened.execute("SELECT key, row FROM rows").fetchall())
    except sqlite3.OperationalError:  # the table is not there yet
        return {}


def killed_after(more: int, store: Path, file: Path, workers: int, whole: bool) -> dict[str, Any]:
    """Start it, kill it (or one of its processes) once so many rows were added; all rows then."""
    before = len(rows_of(store))
    process = certifying(store, file, workers)
    deadline = time.monotonic() + 240
    while len(rows_of(store)) < before + more and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    if whole:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
    return rows_of(store)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_what_was_finished_is_there_after_the_client_is_killed(
    tmp_path: Path, workers: int
) -> None:
    """Three times, at random moments: the client alone, so that its workers are orphans, or all."""
    if workers > 1:
        pytest.importorskip("distributed")
    store, file = tmp_path / "rows.sqlite", tmp_path / "rows.csv"
    held = dict[str, Any]()
    for more, whole in ((3, False), (8, True), (5, False)):
        now = killed_after(more, store, file, workers, whole)
        assert held.items() <= now.items(), "a stored row was lost, or judged again"
        assert len(held) < len(now) < 40 and not file.exists()
        held = now
    assert certifying(store, file, workers).wait(240) == 0
    last = rows_of(store)
    assert held.items() <= last.items() and len(last) == 40
    with file.open(encoding="utf-8", newline="") as lines:
        found = list(csv.DictReader(lines))
    uninterrupted = certify(40)
    assert [row["outcome"] for row in found] == uninterrupted.outcome.tolist()
    assert [float(row["radius"]) for row in found] == uninterrupted.radius.tolist()
    assert [int(row["index"]) for row in found] == list(range(40))
