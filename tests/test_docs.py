"""README, docs and examples are executed; every command and option is documented."""

import re
import runpy
import shlex
import sys
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from autolip.cli.main import app, main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page, and the text block right after it: what it prints."""

    page: Path
    number: int
    language: str
    text: str
    printed: str | None

    def __str__(self) -> str:
        return f"{self.page.name}-{self.number}"


def blocks(language: str) -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        fences = list(FENCE.finditer(text))
        for number, fence in enumerate(fences):
            after = fences[number + 1] if number + 1 < len(fences) else None
            follows = (
                after is not None
                and after[1] == "text"
                and not text[fence.end() : after.start()].strip()
            )
            if fence[1] == language:
                found.append(
                    Block(page, number, language, fence[2], after[2] if follows and after else None)
                )
    return found


def shape_of(text: str) -> list[str]:
    """Text without its numbers and the width of its columns, which differ between machines and
    runs."""
    masked = re.sub(r"(\d[\d.]*(e[-+]?\d+)?|\binf\b)", "#", text)
    return [" ".join(line.split()) for line in masked.strip().splitlines()]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the user's files that the pages speak of."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    torch.export.save(
        torch.export.export(model, (torch.zeros(1, 3, 2, 2),)), tmp_path / "network.pt2"
    )
    _write_onnx(model, tmp_path / "network.onnx")
    (tmp_path / "mymodels.py").write_text(
        "from torch import nn\n\ndef build():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))\n",
        encoding="utf-8",
    )
    bounds = "".join(f"(assert (>= X_{i} 0))(assert (<= X_{i} 1))\n" for i in range(12))
    (tmp_path / "box.vnnlib").write_text(bounds, encoding="utf-8")
    np.save(tmp_path / "point.npy", np.full((1, 3, 2, 2), 0.5))
    lines = "name,lo,hi,method\nsmall,0.4,0.6,autolip\nlarge,0,1,autolip\n"
    (tmp_path / "questions.csv").write_text(lines, encoding="utf-8")
    np.save(tmp_path / "images.npy", np.random.default_rng(0).random((5, 3, 2, 2)))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "mymodels", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _write_onnx(model: nn.Module, path: Path) -> None:
    """The dense network as ONNX, node by node."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = [
        numpy_helper.from_array(value.numpy(), name) for name, value in model.state_dict().items()
    ]
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Gemm", ["flat", "1.weight", "1.bias"], ["hidden"], transB=1),
        helper.make_node("Relu", ["hidden"], ["active"]),
        helper.make_node("Gemm", ["active", "3.weight", "3.bias"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        weights,
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path
    )


def commands(block: Block) -> list[tuple[list[str], str]]:
    """`$ autolip ...` lines of a block, with what is printed under each."""
    parts = re.split(r"^\$ ", block.text.replace("\\\n", " "), flags=re.MULTILINE)[1:]
    pairs = [part.partition("\n")[::2] for part in parts]
    return [
        (shlex.split(line, comments=True), printed)
        for line, printed in pairs
        if line.startswith("autolip")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("block", blocks("console"), ids=str)
def test_commands_run_and_print_what_the_page_shows(
    block: Block, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    for arguments, printed in commands(block):
        code = main(arguments[1:])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        if printed.strip():
            assert shape_of(captured.out) == shape_of(printed)


@pytest.mark.slow
@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_runs_and_prints_what_the_page_shows(
    block: Block, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(compile(block.text, str(block), "exec"), {"__name__": "__main__"})
    if block.printed is not None:
        assert shape_of(capsys.readouterr().out) == shape_of(block.printed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem
)
def test_examples_run(
    example: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", [str(example)])
    with chdir(tmp_path):
        runpy.run_path(str(example), run_name="__main__")
    assert " <= Lipschitz constant" in capsys.readouterr().out


def test_every_command_is_in_the_readme() -> None:
    readme = PAGES[0].read_text(encoding="utf-8")
    for name in app.commands:
        assert f"autolip {name}" in readme, f"the README does not mention `autolip {name}`"


def test_every_option_of_estimate_is_in_the_documentation() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for parameter in app.commands["estimate"].params:
        for option in parameter.opts if parameter.param_type_name == "option" else ():
            assert re.search(rf"(?<![\w-]){option}(?![\w-])", text), (
                f"{option} is documented nowhere"
            )


def test_links_lead_to_files() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_example_is_executed() -> None:
    """A block in a language that is not run must not contain a command of ours."""
    for page in PAGES:
        for fence in FENCE.finditer(page.read_text(encoding="utf-8")):
            if fence[1] not in ("console", "python", "text"):
                assert "autolip " not in fence[2], (
                    f"{page.name}: write commands as ```console, with $"
                )


def test_contributing_is_short() -> None:
    assert len((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines()) <= 48
