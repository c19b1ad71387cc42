"""`autolip reproduce`: what it writes and prints, and its errors in a sentence."""

from collections.abc import Callable
from pathlib import Path

import pytest

from autolip.cli.reproduce import NAMES
from autolip.reproduce import EXPERIMENTS, ideal
from autolip.reproduce import run as run_module
from autolip.reproduce.ideal import IdealExperiment
from tests.cli.conftest import Ran

Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The ideal scenario in a second, in a fresh current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(IdealExperiment, "quick", lambda: IdealExperiment(2, 8, (0.5, 0.0), 2, 3))


def test_the_choices_are_the_experiments() -> None:
    assert tuple(EXPERIMENTS) == NAMES


def test_the_table_is_printed_and_written_and_found_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = run("reproduce", "ideal", "--quick", "--seed", 4)
    assert ran.code == 0 and ran.err == ""
    folder = Path("reproduced/ideal-quick")
    assert ran.out.startswith((folder / "ideal.txt").read_text().rstrip())
    assert ran.out.rstrip().endswith(
        "written: "
        + ", ".join(
            str(folder / f"ideal.{suffix}") for suffix in ("txt", "json", "csv", "png", "svg")
        )
    )
    monkeypatch.setattr(
        ideal.IdealExperiment, "draw", lambda *arguments: pytest.fail("computed again")
    )
    assert run("reproduce", "ideal", "--quick", "--seed", 4).out == ran.out


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (
            ("mlp", "--data", "x"),
            "--data holds images for the experiments cnn and regularise; mlp reads none: "
            "leave it out",
        ),
        (
            ("ideal", "--weights", "file"),
            "--weights holds AlexNet's weights; the experiment ideal reads none",
        ),
        (("cnn", "--data", "absent"), "absent is not a folder: put there the four files of MNIST"),
        (("alexnet", "--weights", "absent.pth"), "absent.pth cannot be read: No such file"),
        (("ideal", "--quick", "--out", "file"), "cannot be written"),
        (("vgg",), "'vgg' is not one of 'ideal', 'mlp', 'cnn', 'alexnet'"),
    ],
)
def test_errors_are_a_sentence(run: Run, arguments: tuple[str, ...], sentence: str) -> None:
    Path("file").write_text("")
    ran = run("reproduce", *arguments)
    assert ran.code == 2 and ran.out == ""
    assert ran.err.startswith("autolip: ") and sentence in ran.err and ran.err.count("\n") == 1


def test_an_interruption_has_its_own_code(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(run_module.EXPERIMENTS, "ideal", interrupted)
    assert run("reproduce", "ideal").code == 130
