"""Certificates of samples, by the checker: what they say, and what it does not accept.

Covers autolip.robustness.certificates.
"""

import copy
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

import autolip
from autolip import InputError, zoo
from autolip.capture.torch.export import capture_model
from autolip.robustness.certificates import said
from autolip.robustness.classifier import Classifier
from autolip_check.check import check
from autolip_check.container import Rejected, canonical, read


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("certificates") / "of samples"
    model, _ = zoo.load("digits-mlp")
    images, labels = zoo.held_out()
    found = autolip.certify(
        model, images[[0, 2]], labels[[0, 2]], radius=0.2, clip=(0, 1), certificates=path
    )
    assert found.certified.tolist() == [True, True]
    assert "certificates of 2 samples" in found.notes[-1]
    return path


def test_each_says_that_a_margin_is_positive_on_the_ball(folder: Path) -> None:
    model, _ = zoo.load("digits-mlp")
    images, labels = zoo.held_out()
    classifier = Classifier.of(capture_model(model, (images[:1],)), "digits")
    files = sorted(folder.iterdir())
    assert len(files) == 18 and files[0].name.startswith("sample-000000-7-")
    generator = torch.Generator().manual_seed(0)
    for file in files[::5]:
        verdict = check(file)
        _, number, label, rival = file.stem.split("-")
        x = images[[0, 2][int(number)]].double()
        assert int(label) == int(labels[[0, 2][int(number)]])
        assert verdict.claim.startswith("f(x) > 0 for all x in the l2 ball of radius 0.2 around")
        assert "with entries within [0.0, 1.0]" in verdict.claim
        (given,) = [said for said in verdict.assumed if said.startswith("f(y) >=")]
        margin = float(given.split()[2])
        near = x + torch.randn(50, 1, *x.shape, generator=generator).double() * 0.02
        values = classifier.values(torch.cat([x[None, None], near.clamp(0, 1)]))
        margins = values[:, int(label)] - values[:, int(rival)]
        assert margins[0] - 1e-9 <= margin <= margins[0] and bool((margins > 0).all())


def changed(path: Path, target: Path, **claim: Any) -> Path:
    """The certificate with another claim; None leaves one out."""
    from safetensors.numpy import save

    document, tensors = read(path)
    document = copy.deepcopy(document)
    document["claim"] = {k: v for k, v in (document["claim"] | claim).items() if v is not None}
    target.write_bytes(save(dict(tensors), {"certificate": canonical(document)}))
    return target


def test_what_does_not_follow_is_rejected(folder: Path, tmp_path: Path) -> None:
    file = sorted(folder.iterdir())[0]
    claim = read(file)[0]["claim"]
    most = Fraction(claim["value"]) * Fraction(0.2)
    enough = float(most) * (1 + 1e-12)
    check(changed(file, tmp_path / "a.cert", margin=enough))
    check(changed(file, tmp_path / "b.cert", margin=None))
    shifted = [min(1.0, entry + 0.01) for entry in claim["centre"]]
    changes: list[tuple[dict[str, Any], str]] = [
        ({"margin": float(most) * (1 - 1e-12)}, "may be used up"),
        ({"margin": -1.0}, "may be used up"),
        ({"centre": None}, "of no ball's centre"),
        ({"centre": shifted}, "not the ball's"),
        ({"norms": ["linf", "l2"]}, "facts show|norm is not"),
        ({"margin": "much"}, "number|finite"),
    ]
    for number, (change, reason) in enumerate(changes):
        with pytest.raises(Rejected, match=reason):
            check(changed(file, tmp_path / f"{number}.cert", **change))


def test_a_margin_that_is_used_up_has_no_certificate(folder: Path) -> None:
    model, _ = zoo.load("digits-mlp")
    images, _ = zoo.held_out()
    found = autolip.lipschitz(
        model, images[:1], region=autolip.Ball(images[:1].double(), 0.2, "l2"), secants="centre",
        output="7-3", method="lipsdp", lower=None,
    )  # fmt: skip
    certificate = found.certificate()
    change = Fraction(certificate.value) * Fraction(0.2)
    assert certificate.of_margin(float(change) * 1.001).document["claim"]["margin"] > change
    with pytest.raises(InputError, match="may be used up"):
        certificate.of_margin(float(change) * 0.999)


def test_what_has_no_certificate_is_counted() -> None:
    assert said(Path("all"), 3, 3) == "all holds certificates of 3 samples"
    assert "certificates of 1 samples; 2 rest on more than LipSDP and the margin form" in said(
        Path("few"), 1, 3
    )


def test_what_cannot_be_written_is_said_before_anything_is_judged(
    folder: Path,
) -> None:
    model, _ = zoo.load("digits-mlp")
    images, labels = zoo.held_out()
    asked = images[:1], labels[:1]
    with pytest.raises(InputError, match="holds certificates already"):
        autolip.certify(model, *asked, radius=0.1, certificates=folder)
