"""Samples judged by one process or many, and what a store keeps of them.

Covers autolip.robustness.keeping.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autolip
from autolip import Certified, InputError, zoo
from autolip.robustness import judge as judging
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

    def verdict(self: judging.Judge, index: int, x: Any, label: int) -> Any:
        judged.append(index)
        return original(self, index, x, label)

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


def test_a_sample_that_fails_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = judging.Judge.verdict

    def verdict(self: judging.Judge, index: int, x: Any, label: int) -> Any:
        if index == 1:
            raise RuntimeError("out of luck")
        return original(self, index, x, label)

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
