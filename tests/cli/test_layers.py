"""`autolip layers`: with autolip.cli.tables."""

import pytest


def test_layers_are_listed_and_explained(run) -> None:
    near = ("--center", "example", "--radius", "0.1")
    ran = run("layers", "digits-mlp", *near, "--method", "layerwise")
    assert (ran.code, ran.err) == (0, "")
    first, second, *_ = ran.out.splitlines()
    assert first == "digits-mlp" and " <= Lipschitz constant <= " in second
    assert "stable" in ran.out and "relu" in ran.out
    assert "multiply to the bound of layerwise; most comes from affine at" in ran.out


@pytest.mark.parametrize("option", ["--norm=l7", "--output=x", "--center=example"])
def test_bad_options_are_said_before_the_work(option: str, run) -> None:
    ran = run("layers", "digits-mlp", option)
    assert ran.code == 2 and ran.err.startswith("autolip: ")
