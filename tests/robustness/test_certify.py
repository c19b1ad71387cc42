"""Samples of a data set: certified, attacked, open, misclassified; how far each holds.

Covers autolip.robustness.certify, autolip.robustness.judge, autolip.robustness.request,
autolip.robustness.verdict, autolip.robustness.certified and autolip.robustness.curve.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import autolip
from autolip import Certified, InputError, zoo
from autolip.capture.torch.export import capture_model
from autolip.norms import Norm
from autolip.regions import Ball
from autolip.robustness.attack import attacked
from autolip.robustness.certify import fitted
from autolip.robustness.classifier import Classifier
from autolip.robustness.request import Request, sample_digest
from autolip.robustness.verdict import Outcome, Verdict


@pytest.fixture(scope="module")
def digits() -> Certified:
    model, _ = zoo.load("digits-mlp")
    images, labels = zoo.held_out()
    return autolip.certify(model, images[:20], labels[:20], radius=0.3)


def test_every_outcome_is_what_it_says(digits: Certified) -> None:
    model, _ = zoo.load("digits-mlp")
    images, labels = zoo.held_out()
    classifier = Classifier.of(capture_model(model, (images[:1],)), "digits")
    exact = classifier.values(images[:20].double()).argmax(1)
    assert digits.predicted.tolist() == exact.tolist()
    assert {"certified", "attacked", "misclassified"} <= set(digits.outcome)
    for row in digits.rows:
        label = int(labels[row.index])
        rivals = tuple(j for j in range(10) if j != label)
        x = images[row.index : row.index + 1].double()
        if row.outcome is Outcome.CERTIFIED:
            region = Ball(x, 0.3, "l2")
            assert attacked(classifier, region, label, rivals, Norm.L2, 20, seed=7) is None
        elif row.outcome is Outcome.ATTACKED:
            point = row.point(classifier.shape)
            assert point is not None and Ball(x, 0.3, "l2").contains(point)
            assert int(model(point.float()).argmax()) != label
        elif row.outcome is Outcome.MISCLASSIFIED:
            assert row.predicted != row.label and row.margin < 0


def test_columns_agree_with_rows(digits: Certified) -> None:
    right = digits.outcome == "certified"
    assert digits.certified.tolist() == right.tolist()
    assert digits.radius.tolist() == [0.3 if one else 0.0 for one in right]
    assert digits.accuracy == np.mean([row.predicted == row.label for row in digits.rows])
    assert digits.certified_accuracy(0.3) == right.mean()
    assert digits.certified_accuracy(0.31) == 0
    assert digits.certified_accuracy(0.3) <= digits.attack_ceiling(0.3) <= digits.accuracy
    assert bool((digits.seconds > 0).all()) and len(digits.method) == 20
    assert digits.complete


def test_largest_radii_of_an_affine_network_are_exact_to_a_percent() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4)).eval()
    weight, bias = (part.detach().double() for part in (model[0].weight, model[0].bias))
    x = torch.randn(5, 6)
    values = x.double() @ weight.T + bias
    for norm in Norm:
        found = autolip.certify(model, x, norm=norm)
        assert found.predicted.tolist() == values.argmax(1).tolist()
        for row, outputs in zip(found.rows, values, strict=True):
            best = int(outputs.argmax())
            rivals = [j for j in range(4) if j != best]
            rows = weight[best] - weight[rivals]
            exact = float(((outputs[best] - outputs[rivals]) / norm.dual.of_rows(rows)).min())
            assert exact / 1.0101 <= row.radius < exact
            assert row.attacked is None or row.attacked > 0.9999 * exact
            assert row.complete


def test_radius_and_largest_together_begin_there(digits: Certified) -> None:
    model, _ = zoo.load("digits-mlp")
    images, labels = zoo.held_out()
    found = autolip.certify(model, images[1:2], labels[1:2], radius=0.3, largest=True)
    assert found.radius[0] > 0.3 and found.certified.tolist() == [True]


@pytest.mark.slow
def test_targets_and_clip_allow_more() -> None:
    model, _ = zoo.load("digits-mlp")
    images, labels = zoo.held_out()
    plain = autolip.certify(model, images[:1], labels[:1])
    clipped = autolip.certify(model, images[:1], labels[:1], clip=(0, 1))
    against = autolip.certify(model, images[:1], labels[:1], targets=[0])
    assert clipped.radius[0] >= plain.radius[0] / 1.01
    assert against.radius[0] > plain.radius[0]


def test_the_rounding_of_the_program_counts() -> None:
    """(x + 2^24) - 2^24 is 0 in float32 at x = 1, and 1 in truth: below 1/4, and above."""
    model = nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 2)).eval()
    model[0].weight.data = torch.tensor([[1.0], [0.0]])
    model[0].bias.data = torch.tensor([2.0**24, 0.25])
    model[1].weight.data = torch.eye(2)
    model[1].bias.data = torch.tensor([-(2.0**24), 0.0])
    x = torch.ones(1, 1)
    assert int(model(x).argmax()) == 1
    counted = autolip.certify(model, x, [0], radius=0.1)
    assert counted.outcome.tolist() == ["attacked"] and counted.rows[0].by == "float32"
    left_out = autolip.certify(model, x, [0], radius=0.1, rounding=False)
    assert left_out.certified.tolist() == [True]
    assert "left out" in left_out.notes[0] and "bounded" in counted.notes[0]


def test_a_rounding_that_is_not_known_is_a_reason() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.LogSoftmax(1)).eval()
    found = autolip.certify(model, torch.ones(1, 2), radius=1e-3)
    assert found.outcome.tolist() == ["open"] and "log_softmax" in found.rows[0].reason


def test_the_time_of_a_sample_ends() -> None:
    model, _ = zoo.load("digits-conv")
    images, labels = zoo.held_out()
    found = autolip.certify(model, images[:1], labels[:1], radius=0.4, time_budget=1e-4)
    assert found.outcome.tolist() == ["open"] and "time ended" in found.rows[0].reason
    assert not found.complete


def test_files(digits: Certified, tmp_path: Path) -> None:
    for suffix in ("csv", "json", "txt", "html"):
        digits.save(tmp_path / f"found.{suffix}")
    stored = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert tuple(map(Verdict.from_dict, stored["samples"])) == digits.rows
    assert stored["certified_accuracy"] == digits.certified.mean()
    lines = (tmp_path / "found.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 21 and lines[0].startswith("index,label,predicted,outcome,radius")
    assert digits.headline in (tmp_path / "found.html").read_text(encoding="utf-8")
    with pytest.raises(InputError, match="does not say its format"):
        digits.save(tmp_path / "found.xls")


def test_a_frame(digits: Certified, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    digits.save(tmp_path / "found.parquet")
    frame = pandas.read_parquet(tmp_path / "found.parquet")
    assert frame.radius.tolist() == digits.to_frame().radius.tolist() == digits.radius.tolist()


def test_a_figure(digits: Certified) -> None:
    pytest.importorskip("matplotlib")
    (axes,) = digits.plot().axes
    above, below = (line.get_ydata() for line in axes.get_lines())
    assert bool((np.asarray(below) <= np.asarray(above)).all())


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"radius": -1}, "finite number >= 0"),
        ({"radius": math.nan}, "finite number >= 0"),
        ({"norm": "l3"}, "write l1, l2 or linf"),
        ({"clip": 3}, "least and the largest value"),
        ({"clip": (1, 0)}, "the smaller one first"),
        ({"clip": (0.4, 0.6)}, "entries outside"),
        ({"targets": [11]}, "no class 11"),
        ({"targets": [0.5]}, "number of a class"),
        ({"time_budget": 0}, "seconds > 0"),
        ({"device": "nowhere"}, "cannot be computed with"),
        ({"labels": [1, 2]}, "2 labels for 1 samples"),
        ({"labels": [10]}, "the classes are 0 to 9"),
    ],
)
def test_what_cannot_be_meant_is_refused(asked: dict[str, Any], said: str) -> None:
    model, _ = zoo.load("digits-mlp")
    images, _ = zoo.held_out()
    with pytest.raises(InputError, match=said):
        autolip.certify(model, images[:1], **asked)


def test_samples_that_are_none_are_refused() -> None:
    model, _ = zoo.load("digits-mlp")
    with pytest.raises(InputError, match="along the first axis"):
        autolip.certify(model, torch.zeros(0, 64), radius=1)
    with pytest.raises(InputError, match="sample 0 has NaN"):
        autolip.certify(model, torch.full((1, 1, 8, 8), math.nan), radius=1)


def test_layouts_of_samples() -> None:
    shape = torch.Size((1, 3, 4, 5))
    x = torch.arange(120.0).reshape(2, 3, 4, 5)
    assert torch.equal(fitted(x, shape)[0], x[:1])
    assert torch.equal(fitted(x.flatten(1), shape)[1], x[1:])
    assert torch.equal(fitted(x.movedim(1, -1), shape)[1], x[1:])
    with pytest.raises(InputError, match="do not fit"):
        fitted(x[:, :, :2], shape)


def test_requests_and_samples_have_names_of_their_own() -> None:
    requests = [Request.asked(radius=r, norm=n) for r in (1, 2) for n in ("l2", "linf")]
    assert len({one.digest for one in requests}) == 4
    assert requests[0].digest == Request.asked(radius=1.0).digest
    x = torch.ones(2, 2).double()
    names = {sample_digest(x, 0), sample_digest(x, 1), sample_digest(2 * x, 0)}
    assert len(names) == 3 and sample_digest(x.clone(), 0) in names


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.names())
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_nothing_certified_falls(name: str, norm: str) -> None:
    """Twenty restarts on every certified sample, at its radius."""
    model, _ = zoo.load(name)
    images, labels = zoo.held_out()
    radius = 0.2 if norm == "l2" else 0.03
    found = autolip.certify(model, images[:3], labels[:3], norm=norm, radius=radius, time_budget=10)
    classifier = Classifier.of(capture_model(model, (images[:1],)), name)
    for row in found.rows:
        if row.outcome is Outcome.CERTIFIED:
            region = Ball(images[row.index : row.index + 1].double(), row.radius, norm)
            rivals = tuple(j for j in range(10) if j != row.label)
            search = attacked(classifier, region, row.label, rivals, Norm(norm), 20, seed=3)
            assert search is None
