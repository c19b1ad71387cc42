"""Options from a file, and how much is said: with autolip.cli.progress."""

import logging
from pathlib import Path

import numpy as np
import pytest

from autolip import zoo
from autolip.cli.main import app

QUICK = """model = "digits-mlp"
norm = "linf:l2"
[estimate]
method = "autolip"
lower = ["dataset"]
data = "three.npy"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "three.npy", zoo.digits()[:3].numpy())

    def write(text: str) -> str:
        (tmp_path / "run.toml").write_text(text, encoding="utf-8")
        return "run.toml"

    return write


def test_a_file_holds_what_every_option_would_be(run, file) -> None:
    ran = run("estimate", "--config", file(QUICK + "center = [0]\nradius = 0.1\n"), "--json")
    assert ran.code == 0
    assert '"kind": "ball"' in ran.out and '"input": "linf"' in ran.out
    assert '"method": "dataset"' in ran.out


def test_what_is_given_counts_more(run, file) -> None:
    ran = run("estimate", "--config", file(QUICK), "--norm", "l2", "--json")
    assert '"input": "l2"' in ran.out


def options_of(command: str, file: str) -> dict[str, object]:
    """What a command is given, with options from a file."""
    parent = app.make_context("autolip", [command])
    return app.commands[command].make_context(command, ["--config", file], parent).params


def test_options_of_several_numbers_are_lists(file) -> None:
    name = file("model = 'digits-mlp'\nclip = [0, 1]\nfirst = 3\n")
    taken = options_of("certify", name)
    assert (taken["clip"], taken["first"]) == ((0.0, 1.0), 3)


def test_an_option_may_be_named_as_a_command(file) -> None:
    """norm is an option of some, and a command with a table of its own."""
    assert options_of("norm", file(QUICK))["norm"] == "linf:l2"


def test_every_command_takes_the_common_options() -> None:
    for command in app.commands.values():
        named = {option for one in command.params for option in one.opts}
        assert {"--config", "-v", "-q"} <= named, command.name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('nrom = "l2"', "no command has an option 'nrom': did you mean 'norm'?"),
        ("[estimate]\nradus = 1", "estimate has no option 'radus': did you mean 'radius'?"),
        ("norm = ", "is no TOML"),
        (QUICK.replace("linf:l2", "l7"), "norm 'l7' is not known"),
        (QUICK + "radius = 'wide'", "'wide' is not a valid float"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(text: str, said: str, run, file) -> None:
    ran = run("estimate", "--config", file(text))
    assert ran.code == 2 and said in ran.err


def test_lines_of_progress_where_they_are_asked_for(run, file) -> None:
    silent = run("estimate", "--config", file(QUICK))
    loud = run("estimate", "--config", file(QUICK), "-v")
    assert silent.err == "" and loud.out.split("\n")[0] == "digits-mlp"
    assert loud.err.startswith("autolip: capturing digits-mlp\n")
    assert logging.getLogger("autolip").handlers == []
    assert logging.getLogger("autolip").level == logging.NOTSET


def test_quiet_shows_no_spinner(run, file, monkeypatch: pytest.MonkeyPatch) -> None:
    from autolip.cli import progress

    seen = []
    real = progress.on_terminal

    def watched() -> bool:
        seen.append(logging.getLogger("autolip").getEffectiveLevel())
        return real()

    monkeypatch.setattr(progress, "on_terminal", watched)
    run("estimate", "--config", file(QUICK), "-q")
    assert seen == [logging.ERROR]
