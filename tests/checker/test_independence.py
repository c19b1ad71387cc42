"""The checker stands alone: numpy and the standard library, short, usable without PyTorch."""

import ast
import subprocess
import sys
from pathlib import Path

import autolip_check

FOLDER = Path(autolip_check.__file__).parent


def test_it_imports_only_numpy_and_the_standard_library() -> None:
    allowed = sys.stdlib_module_names | {"numpy", "autolip_check"}
    for file in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= allowed, file.name


def code_lines(text: str) -> int:
    """Lines that are neither blank nor a comment nor part of a docstring."""
    texts = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ]
    told = {line for node in texts for line in range(node.lineno, (node.end_lineno or 0) + 1)}
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and number not in told
        for number, line in enumerate(text.splitlines(), 1)
    )


def test_it_can_be_read_in_an_evening() -> None:
    """Some four thousand three hundred lines of code, a step of the argument each."""
    assert sum(code_lines(file.read_text(encoding="utf-8")) for file in FOLDER.rglob("*.py")) < 4300


def test_running_it_loads_neither_torch_nor_autolip(tmp_path: Path) -> None:
    code = (
        "import sys; from autolip_check.__main__ import main; code = main(['nothing.cert']);"
        "assert code == 2 and not {'torch', 'autolip', 'scipy', 'safetensors'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("not checked: nothing.cert cannot be read")
