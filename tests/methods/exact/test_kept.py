"""A search that is ended at any moment goes on from its file; what is about something else is
refused."""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from autolip import Ball, Box, lipschitz
from autolip.errors import InputError
from autolip.methods import Bound
from autolip.methods.exact import kept, method
from autolip.methods.exact.cases import Effort
from autolip.methods.exact.kept import about, forget
from autolip.methods.exact.method import Exact
from autolip.methods.exact.tree import Tree
from autolip.outputs import Component
from autolip.regions import Everywhere, Region
from autolip_check.check import check
from tests.methods.exact.test_method import chain, problem

X = torch.zeros(1, 3, dtype=torch.float64)


@pytest.fixture(autouse=True)
def trees(monkeypatch: pytest.MonkeyPatch) -> list[Tree]:
    """The searches of a test, in steps of two cases and written after each."""
    made = list[Tree]()

    def small(*given: object) -> Tree:
        made.append(Tree(*given, effort=Effort(batch=2)))  # type: ignore[arg-type, misc]
        return made[-1]

    monkeypatch.setattr(kept, "EVERY", 0.0)
    monkeypatch.setattr(method, "Tree", small)
    return made


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bound]:
    """Bound a problem, interrupted in some step; with a function of Tree that is called in it."""

    def bound(exact: Exact, posed: object, step: int, name: str = "_children") -> Bound:
        steps, seen = itertools.count(1), getattr(Tree, name)

        def interrupted(tree: Tree, *given: object) -> object:
            if next(steps) >= step:
                raise KeyboardInterrupt
            return seen(tree, *given)

        with monkeypatch.context() as patch:
            patch.setattr(Tree, name, interrupted)
            found = exact.bound(posed)  # type: ignore[arg-type]
        assert isinstance(found, Bound)
        return found

    return bound


@pytest.mark.parametrize(
    ("norm", "region"),
    [("l2", Everywhere()), ("l2", Box(-1, 0.5)), ("linf", Ball(0.1, 0.7))],
    ids=str,
)
def test_it_ends_as_if_nothing_had_been(
    norm: str, region: Region, tmp_path: Path, stopped: Callable[..., Bound], trees: list[Tree]
) -> None:
    """The same bracket, and a certificate of the whole tree that is accepted."""
    model, file = chain(3, 7, 6, 2, seed=4), tmp_path / "x.tree"
    posed = problem(model, (1, 3), norm, region.shaped(X.shape))
    whole = Exact().bound(posed)
    ended = stopped(Exact(store=file), posed, 3)
    assert isinstance(whole, Bound)
    assert "interrupted" in ended.notes[0] and str(file) in ended.notes[1] and not ended.complete
    assert ended.value.value > whole.value.value * (1 + 1e-6)
    result = lipschitz(
        model, X, method=Exact(store=file, resume=True), norm=norm, region=region, lower=None
    )
    assert result.upper is not None and "exact to 1e-06" in result.upper.notes[0]
    assert result.upper.value == pytest.approx(whole.value.value, rel=1e-6)
    assert trees[2].nodes >= trees[1].nodes
    result.certificate().save(tmp_path / "x.cert")
    assert check(tmp_path / "x.cert").claim
    forget(file)
    assert not file.exists()


def test_what_is_restored_is_what_was_saved(
    tmp_path: Path, stopped: Callable[..., Bound], trees: list[Tree]
) -> None:
    posed = problem(chain(4, 12, 8, 2, seed=1), (1, 4))
    for step in (4, 1):
        stopped(Exact(store=tmp_path / "x.tree", resume=True), posed, step)
    before, after = trees
    for name in ("upper", "lower", "settled", "nodes", "leaves", "empty"):
        assert getattr(before, name) == getattr(after, name), name
    cases = [sorted(case.bound for *_, case in tree.open) for tree in trees]
    assert cases[0] == cases[1] and len(cases[0]) > 1
    parts = [sum(tree.record.nodes[case.node].share for *_, case in tree.open) for tree in trees]
    assert parts[0] == parts[1] < 1
    forget(tmp_path / "x.tree")
    assert (tmp_path / "x.tree").exists()


def test_steps_that_are_broken_off_lose_nothing(
    tmp_path: Path, stopped: Callable[..., Bound], trees: list[Tree]
) -> None:
    """Before the first bound there is none; interrupted while cases are put back, too, it holds."""
    posed = problem(chain(3, 7, 6, 2, seed=4), (1, 3))
    file = tmp_path / "x.tree"
    known = Exact(tolerance=1e-9).bound(posed)
    with pytest.raises(KeyboardInterrupt):
        stopped(Exact(store=file), posed, 1, "_relaxed")
    assert not file.exists()
    twice = stopped(Exact(store=file), posed, 6, "push")
    assert isinstance(known, Bound)
    assert twice.value.value >= known.value.value and "interrupted" in twice.notes[0]
    assert trees[-1].held >= known.value.value and not trees[-1].finished
    with np.load(file) as stored:
        assert stored["bound"].max() >= trees[-1].held, "the file is that of a whole step"
    resumed = Exact(store=file, resume=True).bound(posed)
    assert isinstance(resumed, Bound)
    assert resumed.value.value == pytest.approx(known.value.value, rel=1e-6)


def test_what_is_about_something_else_is_refused(
    tmp_path: Path, stopped: Callable[..., Bound], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, file = chain(3, 7, 6, 2, seed=4), tmp_path / "x.tree"
    posed = problem(model, (1, 3))
    stopped(Exact(store=file), posed, 2)
    on = {"method": Exact(store=file, resume=True), "lower": None}
    for others in (
        {"norm": "linf"},
        {"region": Box(-1, 1)},
        {"output": 0},
        {"output": 1},
        {"input_scale": 2.0},
        {"method": Exact(store=file, resume=True, tolerance=1e-3)},
    ):
        with pytest.raises(InputError, match="another question"):
            lipschitz(model, X, **{**on, **others})  # type: ignore[arg-type]
    reads = [posed.reading(Component(index).readout(posed.slopes.output_shape)) for index in (0, 1)]
    assert about(reads[0], 1e-6) != about(reads[1], 1e-6)
    with pytest.raises(InputError, match="another network, or other weights"):
        lipschitz(chain(3, 7, 6, 2, seed=5), X, **on)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is there already"):
        lipschitz(model, X, method=Exact(store=file), lower=None)
    monkeypatch.setattr(kept, "version", lambda name: "0.0.1")
    with pytest.raises(InputError, match=r"written by autolip .*, another version"):
        lipschitz(model, X, **on)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="name its file"):
        Exact(resume=True)


def test_damaged_files_are_refused(tmp_path: Path, stopped: Callable[..., Bound]) -> None:
    """Cut short, with a bit turned, pickled, of another kind, with an entry missing."""
    posed, file = problem(chain(3, 7, 6, 2, seed=4), (1, 3)), tmp_path / "x.tree"
    stopped(Exact(store=file), posed, 2)
    data = file.read_bytes()
    turned = bytearray(data)
    turned[len(data) // 2] ^= 1
    with np.load(file) as stored:
        entries = dict(stored)
    without = {name: value for name, value in entries.items() if name != "ends"}
    np.savez(tmp_path / "short.npz", **without)  # type: ignore[arg-type]
    pickled = {**entries, "bound": np.array([{}], dtype=object)}
    np.savez(tmp_path / "pickled.npz", **pickled)  # type: ignore[arg-type]
    others = [data[:1000], bytes(turned), b"hello", b"{}"]
    others += [(tmp_path / name).read_bytes() for name in ("short.npz", "pickled.npz")]
    for content in others:
        file.write_bytes(content)
        with pytest.raises(InputError, match="damaged, or no tree of a search"):
            Exact(store=file, resume=True).bound(posed)


def test_a_file_that_cannot_be_written_does_not_end_the_search(
    tmp_path: Path, stopped: Callable[..., Bound], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> None:
        raise kept.OutputError("x.tree cannot be written: No space left on device")

    monkeypatch.setattr(kept, "write", full)
    posed = problem(chain(3, 7, 6, 2, seed=4), (1, 3))
    ended = stopped(Exact(store=tmp_path / "x.tree"), posed, 3)
    assert "No space left" in ended.notes[1] and "interrupted" in ended.notes[0]


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path) -> None:
    """By SIGKILL, again and again: the file is always whole, the bracket the same in the end."""
    (tmp_path / "nets.py").write_text(
        "from tests.methods.exact.test_method import chain\n\n"
        "def net():\n    return chain(6, 16, 12, 1, seed=3)\n"
    )
    options = ["estimate", "nets:net", "--input-shape", "1,6", "--method", "exact"]
    options += ["--lower", "random", "-o", "x.json"]
    program = (
        "import sys; from autolip.methods.exact import kept; kept.EVERY = 0.0; "
        "from autolip.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    path = os.pathsep.join([str(Path(__file__).resolve().parents[3]), *sys.path])
    store, draw = tmp_path / "x.json.tree", random.Random(1)
    for number in range(3):
        more = ["--resume", store.name] if number else []
        before = store.stat().st_mtime_ns if number else 0
        running = subprocess.Popen(
            [sys.executable, "-c", program, *options, *more],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
        )
        while number < 2 and not (store.exists() and store.stat().st_mtime_ns > before):
            assert running.poll() is None
            time.sleep(0.005)
        if number < 2:
            time.sleep(0.2 * draw.random())
            running.send_signal(signal.SIGKILL)
        assert running.wait() == (-signal.SIGKILL if number < 2 else 0)
    result = json.loads((tmp_path / "x.json").read_text())
    known = Exact().bound(problem(chain(6, 16, 12, 1, seed=3), (1, 6)))
    assert isinstance(known, Bound) and not store.exists()
    assert result["upper"]["value"] == pytest.approx(known.value.value, rel=1e-6)
