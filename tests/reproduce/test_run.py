"""From a request to files: options are checked before any work."""

import json
from pathlib import Path

import pytest

from autolip.errors import InputError
from autolip.reproduce import EXPERIMENTS, Request, reproduce, run
from autolip.reproduce.steps import Steps
from tests.reproduce.test_outcome import OUTCOME


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Experiments that return a ready outcome; the requests they got."""
    asked: list[Request] = []

    def ready(request: Request, steps: Steps, track: object) -> object:
        asked.append(request)
        return OUTCOME

    monkeypatch.setattr(run, "EXPERIMENTS", dict.fromkeys(EXPERIMENTS, ready))
    return asked


def test_five_files_are_written(stub: list[Request], tmp_path: Path) -> None:
    outcome, paths = reproduce("mlp", Request(tmp_path / "new" / "folder"))
    assert [path.name for path in paths] == ["mlp.txt", "mlp.json", "mlp.csv", "mlp.png", "mlp.svg"]
    assert (
        paths[0].read_text() == outcome.text()
        and json.loads(paths[1].read_text())["experiment"] == "mlp"
    )
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == sorted(
        p.name for p in paths
    )


@pytest.mark.parametrize(
    "name, request_, reason",
    [
        (
            "mlp",
            {"data": Path("x")},
            "--data holds images for the experiments cnn and regularise; mlp reads none: "
            "leave it out",
        ),
        (
            "cnn",
            {"weights": Path("x")},
            "--weights holds AlexNet's weights; the experiment cnn reads none",
        ),
        (
            "vgg",
            {},
            "there is no experiment 'vgg': choose from alexnet, cnn, ideal, mlp, regularise",
        ),
    ],
)
def test_options_nobody_reads_are_refused(
    name: str, request_: dict[str, Path], reason: str, stub: list[Request], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=reason):
        reproduce(name, Request(tmp_path, **request_))
    assert not stub


def test_without_matplotlib_the_remedy_is_named(
    stub: list[Request], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"figures need matplotlib: pip install 'autolip\[report\]'"
    ):
        reproduce("ideal", Request(tmp_path))
    assert not stub
