"""What is shipped beside the code: versions agree, and what others run names options that exist."""

import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml

from autolip.cli.main import app

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_citation_is_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert {entry["name"] for entry in citation["authors"]} == {
        author["name"] for author in PROJECT["authors"]
    }


@pytest.mark.parametrize("file", [".pre-commit-hooks.yaml", "examples/lipschitz-action.yml"])
def test_what_others_run_names_options_that_exist(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    yaml.safe_load(text)
    known = {option for one in app.commands["estimate"].params for option in one.opts}
    named = {
        option
        for line in re.findall(r"autolip estimate.*", text)
        for option in re.findall(r"(?<!\S)--?[a-z][\w-]*", line)
    }
    assert named <= known


def test_the_container_installs_extras_that_exist() -> None:
    text = (ROOT / "Containerfile").read_text(encoding="utf-8")
    extras = re.search(r'"\.\[([^\]]*)\]"', text)
    assert extras is not None
    assert set(extras[1].split(",")) <= PROJECT["optional-dependencies"].keys()


def test_hints_quote_extras_that_exist() -> None:
    """pip install 'autolip[onnx]', in quotes: a shell would expand the brackets."""
    for file in (ROOT / "src").rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        for quote, extra in re.findall(r"pip install (.?)autolip\[(\w+)\]", text):
            assert quote in "'\"" and extra in PROJECT["optional-dependencies"], file.name


def test_everything_needed_is_pinned() -> None:
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    }
    wanted = [
        *PROJECT["dependencies"],
        *chain.from_iterable(PROJECT["optional-dependencies"].values()),
    ]
    names = {re.split(r"[><=\[ ]", one)[0].lower() for one in wanted} - {"autolip"}
    assert names <= pinned, names - pinned


@pytest.mark.parametrize(
    "what",
    [
        "import autolip",
        "from autolip.cli.main import app; app(['--help'], standalone_mode=False)",
        "from autolip.cli.main import app; app(['estimate', '--help'], standalone_mode=False)",
    ],
)
def test_to_import_or_to_ask_for_help_is_cheap(what: str) -> None:
    """Neither loads what takes long: PyTorch, NumPy, ONNX."""
    code = f"{what}\nimport sys; print({{'torch', 'numpy', 'scipy', 'onnx'}} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "set()"
