"""Running the command line in this process."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from autolip import zoo
from autolip.cli.main import main


@dataclass(frozen=True)
class Ran:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run `autolip` with these arguments, for a terminal of 100 columns."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: object) -> Ran:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write a module `nets` (after the usual imports) into a fresh current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "nets", raising=False)

    def write(code: str) -> Path:
        (tmp_path / "nets.py").write_text(
            f"import torch\nfrom torch import nn\n\n{code}\n", encoding="utf-8"
        )
        sys.modules.pop("nets", None)
        return tmp_path

    yield write
    sys.modules.pop("nets", None)


@pytest.fixture
def quick(tmp_path: Path) -> list[object]:
    """Options for a search over three images in place of the default one, which takes seconds."""
    np.save(tmp_path / "three.npy", zoo.digits()[:3].numpy())
    return ["--lower", "dataset", "--data", tmp_path / "three.npy"]
