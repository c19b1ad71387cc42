"""A shell is told what may follow: autolip.cli.completion."""

import pytest
from click.shell_completion import ShellComplete

from autolip.cli.main import COMPLETION, app, main


def completed(arguments: list[str], incomplete: str) -> list[str]:
    shell = ShellComplete(app, {}, "autolip", COMPLETION)
    return [item.value for item in shell.get_completions(arguments, incomplete)]


@pytest.mark.parametrize(
    ("arguments", "incomplete", "expected"),
    [
        (["estimate", "--method"], "lips", ["lipsdp", "lipsdp-cvxpy"]),
        (["estimate", "--method"], "aut", ["auto", "autolip", "autolip-raw"]),
        (["estimate", "--lower"], "asc", ["ascent"]),
        (["estimate"], "digits-m", ["digits-mlp", "digits-m"]),
        (["norm"], "digits-t", ["digits-tanh", "digits-t"]),
        ([], "est", ["estimate"]),
    ],
)
def test_names_are_completed(arguments: list[str], incomplete: str, expected: list[str]) -> None:
    assert completed(arguments, incomplete) == expected


def test_the_script_for_a_shell_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(COMPLETION, "zsh_source")
    assert main([]) == 0
    assert "#compdef autolip" in capsys.readouterr().out
