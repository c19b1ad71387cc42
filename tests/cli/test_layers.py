"""`autolip layers`: with autolip.cli.tables."""

import sys

import pytest

from autolip.cli.tables import show_text


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


def test_sentences_are_wrapped_between_words_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    text = "The bound grows [mostly] at a layer of the network, a long one.\n\nThe end."
    show_text(text)
    assert capsys.readouterr().out == f"{text}\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    show_text(text)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 40 and " ".join(lines).split() == text.split()
