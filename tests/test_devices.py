"""Searches on another device, proofs on the processor: autolip.arguments.computing, and who asks
it.

PyTorch's lazy device stands for a GPU: it holds values of its own, and refuses to mix them with the
processor's.  It cannot be shut down, so what it does is seen in another process.
"""

import json
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from autolip import Ball, InputError, lipschitz
from autolip.arguments import computing
from autolip.cli.main import main
from autolip.lower import problem as lower_problem
from autolip.methods import LipSDP
from autolip.methods.lipsdp.search import iterate, rounds
from autolip.result import Result

POINT = torch.zeros(1, 6)

ON_THE_LAZY_DEVICE = """
import json
import torch, torch._lazy.ts_backend
from tests.test_devices import found, iterate, lower_problem, recorded, summary
torch._lazy.ts_backend.init()
iterate.SMALL_PASS = 0.0
places = recorded()
there = summary(found("lazy:0", input_scale=2.0))
def cannot(graph, device):
    raise RuntimeError("there is no such operation")
lower_problem.Graph.on = cannot
said = []
lower = found("lazy:0", input_scale=2.0, method=None, progress=said.append).lower.value
print(json.dumps([places, there, lower, said]))
"""


def model() -> nn.Module:
    torch.manual_seed(0)
    layers = nn.Linear(6, 16), nn.SiLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3)
    return nn.Sequential(*layers).eval()


def found(device: Any, **asked: object) -> Result:
    asked = {"method": LipSDP(seconds=60.0), "seed": 1, "region": Ball(POINT, 0.5), **asked}
    return lipschitz(model(), POINT, device=device, **asked)


def recorded() -> list[str]:
    """Where the vector power method and the searches from below are made from now on."""
    places: list[str] = []
    made, evaluated = iterate.Ascent.__post_init__, lower_problem.evaluate_batch

    def noted(self: iterate.Ascent) -> None:
        places.append(f"ascent on {self.device.type}")
        made(self)

    def passed(graph: Any, x: torch.Tensor) -> torch.Tensor:
        places.append(f"pass on {x.device.type}")
        return evaluated(graph, x)

    iterate.Ascent.__post_init__ = noted
    lower_problem.evaluate_batch = passed
    return places


def summary(result: Result) -> list[Any]:
    """What devices agree about, the numbers nearly."""
    witness = result.lower.witness
    numbers = result.upper.value, result.lower.value
    return [*numbers, str(witness.x.device), witness.evaluated]


def test_what_cannot_be_computed_with_is_refused_in_a_sentence() -> None:
    for name in ("meta", "nonsense", "", [], "cuda:99", "cpu:x"):
        with pytest.raises(InputError, match="cannot be computed with here"):
            found(name)
    assert computing(None) is None and computing("cpu") == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_cuda_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", "digits-mlp", "--device", "cuda"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert said.err.startswith("autolip: device 'cuda' cannot be computed with here (")


def test_on_the_processor_nothing_changes() -> None:
    here, asked = found(None, method="autolip"), found("cpu", method="autolip")
    assert here.upper.value == asked.upper.value and here.lower.value == asked.lower.value
    assert asked.options["device"] == "cpu" and "device" not in here.options


@pytest.mark.slow
def test_searches_on_another_device() -> None:
    """Passes of searches are made there, the witness is evaluated on the processor; what the device
    cannot do is done on the processor, and said."""
    code = [sys.executable, "-c", ON_THE_LAZY_DEVICE]
    ran = subprocess.run(code, capture_output=True, text=True, check=True)
    places, there, lower, said = json.loads(ran.stdout)
    assert {"ascent on lazy", "pass on lazy"} <= set(places) and "ascent on cpu" not in places
    here = summary(found(None, input_scale=2.0))
    assert there == [*(pytest.approx(value, rel=0.1) for value in here[:2]), *here[2:]]
    assert lower == here[1] and any("on the processor, for lazy:0 cannot" in text for text in said)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_searches_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iterate, "SMALL_PASS", 0.0)
    here, there = summary(found("cpu")), summary(found("cuda"))
    assert there == [*(pytest.approx(value, rel=0.1) for value in here[:2]), *here[2:]]


def test_the_question_everywhere_keeps_the_device() -> None:
    """A bound on a region may be that with the slopes everywhere, searched for there."""
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    x = torch.zeros(1, 3)
    problem = lipschitz(model, x, region=Ball(x, 0.1), lower=None, device="cpu").problem
    assert problem is not None and problem.anywhere is not None
    assert problem.anywhere.device == problem.device == torch.device("cpu")


def test_a_device_that_fails_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's device without values fails in the first pass, or in a later one."""
    meta = torch.device("meta")
    monkeypatch.setattr(iterate, "SMALL_PASS", 0.0)
    monkeypatch.setattr(iterate, "place_of", lambda asked: meta)
    monkeypatch.setattr(rounds, "place_of", lambda asked: meta)
    result = found(None, method=[LipSDP(seconds=60.0), "liplt"], lower=None)
    (lipsdp,) = [row for row in result.bounds if row.method == "lipsdp"]
    said = " ".join(lipsdp.notes) or str(lipsdp.answer)
    assert "passes on meta failed (" in said and "give device='cpu'" in said
    assert "please report" not in said

    def late(self: rounds.Search) -> None:
        self._climb(0.0)
        self._round()
        raise RuntimeError("out of memory\nand more")

    monkeypatch.setattr(iterate, "place_of", lambda asked: torch.device("cpu"))
    monkeypatch.setattr(rounds.Search, "_rounds", late)
    kept = found(None, lower=None)
    assert kept.upper is not None and "lipsdp" in kept.upper.method
    assert any("passes on meta failed (out of memory): give" in note for note in kept.upper.notes)
