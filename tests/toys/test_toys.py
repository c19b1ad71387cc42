"""One of each kind, dropped as a file into a copy of the package and nothing else: it is found, it
works, and the laws run on it by themselves."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TOYS = Path(__file__).parent

HOMES = {
    "rule": "rules",
    "method": "methods",
    "norm_engine": "operators/norms",
    "search": "lower",
    "operator": "operators",
    "region": "regions",
    "output": "outputs",
    "range_engine": "ranges",
}
"""Into which folder of the package each toy is dropped."""

MISTAKES = {
    "rule": ("HEIGHT * torch.exp", "0.9 * HEIGHT * torch.exp"),
    "method": ("walk(problem, problem.fused)", "Bound(Upper(0.001))"),
    "norm_engine": ("max(sums", "0.5 * max(sums"),
    "operator": ("y + 2 * y.roll(1, 1)", "y + 2 * y.roll(-1, 1)"),
    "region": ("(x <= self.side)", "(x <= 2 * self.side)"),
    "output": ('return "Lipschitz constant of the mean"', 'return ""'),
}
"""Old and new text of a mistake in a toy that a law sees."""

LAWS = {
    "rule": "test_every_rule_explains_every_difference[aten.special_ndtr",
    "method": "test_every_method_is_tight_somewhere[toy-product]",
    "norm_engine": "test_every_engine_is_an_upper_bound_and_somewhere_tight[toy-columns",
    "search": "test_every_search_stays_below[toy-search]",
    "operator": "test_every_example_is_one_matrix[ToyCircle",
    "region": "test_the_answers_of_a_region_fit_each_other[shape0-ToyCube",
    "output": "test_every_kind_obeys_the_law[ToyMean",
}
"""The law that runs on each of them."""

CHOSEN = "(toy or ndtr) and not everything"
"""Of their tests those that are quick."""

FILES = (
    "tests/laws/test_rules.py",
    "tests/laws/test_tight.py",
    "tests/laws/test_operators.py",
    "tests/regions/test_region.py",
    "tests/outputs/test_outputs.py",
)


def with_toys(folder: Path, mistakes: bool = False) -> Path:
    """A copy of the tree with all toys in it."""
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for toy, home in HOMES.items():
        text = (TOYS / f"toy_{toy}.py").read_text(encoding="utf-8")
        if mistakes and toy in MISTAKES:
            old, new = MISTAKES[toy]
            assert text.count(old) == 1, toy
            text = text.replace(old, new)
        (folder / "src" / "autolip" / home / f"toy_{toy}.py").write_text(text, encoding="utf-8")
    return folder


def ran(folder: Path, *command: str) -> str:
    """What a Python command prints in the copy."""
    environment = os.environ | {"PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True
    )
    return done.stdout + done.stderr


def verdicts(folder: Path) -> dict[str, set[str]]:
    """PASSED or FAILED for every toy's law."""
    options = ("-p", "no:cacheprovider", "-k", CHOSEN, "-rA", "--tb=no", "-q")
    said = ran(folder, "-m", "pytest", *options, *FILES)
    lines = [line for line in said.split("\n") if re.match("PASSED|FAILED|ERROR", line)]
    found = {
        toy: {line.split()[0] for line in lines if f"::{law}" in line} for toy, law in LAWS.items()
    }
    assert all(found.values()), said
    return found


FOUND = """
import json, torch
from autolip.lower import LOWER_METHODS
from autolip.methods import METHODS
from autolip.operators.norms.engine import ENGINES
from autolip.outputs import KINDS
from autolip.ranges import ENGINES as RANGES
from autolip.regions import REGIONS
from autolip.rules import RULES
from autolip.testing.operators import operator_kinds

print(json.dumps({
    "rule": torch.ops.aten.special_ndtr.default in RULES,
    "method": "toy-product" in METHODS,
    "norm_engine": ("toy-columns", "l1", "l1") in ENGINES,
    "search": "toy-search" in LOWER_METHODS,
    "operator": "ToyCircle" in {kind.__name__ for kind in operator_kinds()},
    "region": "toy-cube" in REGIONS,
    "output": "toy-mean" in KINDS,
    "range_engine": "toy-nothing" in RANGES,
}))
"""

USED = """
import sys, torch
from torch import nn
from autolip import lipschitz
from autolip.regions import read
from autolip.testing.operators import operator_kinds
from autolip.operators.norms import NormOptions, operator_norm
from autolip.norms import Norm
from pathlib import Path
from autolip_check.check import check

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 5)

    def forward(self, x):
        return self.last(torch.special.ndtr(self.first(x)))

torch.manual_seed(0)
result = lipschitz(
    Network().eval(),
    torch.zeros(1, 3),
    region=read({"kind": "toy-cube", "side": 0.5}),
    output="toy-mean",
    method="toy-product",
    lower="toy-search",
)
assert 0 < result.lower.value <= result.upper.value < 10 * result.lower.value, result
assert {row.method for row in result.bounds} == {"toy-product", "toy-search"}, result
(circle,) = (kind for kind in operator_kinds() if kind.__name__ == "ToyCircle")
norm = operator_norm(circle(5), Norm.L1, Norm.L1, NormOptions())
assert 3 <= norm.value <= 3 * (1 + 1e-12), norm
result = lipschitz(
    Network().eval(),
    torch.zeros(1, 3),
    region=read({"kind": "toy-cube", "side": 0.5}),
    output="toy-mean",
    method="autolip",
    lower=None,
)
result.certificate().save("toy.cert")
verdict = check(Path("toy.cert"))
assert '{"kind":"toy-cube","side":0.5}' in verdict.claim, verdict
assert any("kind 'toy-cube'" in sentence for sentence in verdict.assumed), verdict
print("used")
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_toys(tmp_path_factory.mktemp("toys"))


def test_each_toy_is_found(copy: Path) -> None:
    said = ran(copy, "-c", FOUND)
    assert said.startswith("{"), said
    assert json.loads(said) == dict.fromkeys(HOMES, True)


def test_each_toy_is_offered_on_the_command_line(copy: Path) -> None:
    assert "toy-product" in ran(copy, "-m", "autolip", "methods")
    assert "special_ndtr" in ran(copy, "-m", "autolip", "rules")


def test_each_toy_works_with_the_others(copy: Path) -> None:
    assert ran(copy, "-c", USED) == "used\n"


def test_the_laws_run_on_each_toy(copy: Path) -> None:
    assert verdicts(copy) == {toy: {"PASSED"} for toy in LAWS}


def test_the_laws_see_a_mistake_in_each_toy(tmp_path: Path) -> None:
    found = verdicts(with_toys(tmp_path, mistakes=True))
    assert {toy for toy, verdict in found.items() if "FAILED" in verdict} == set(MISTAKES)
