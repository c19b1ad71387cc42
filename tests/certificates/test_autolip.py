"""Certificates of AutoLip and of operator norms are accepted by the checker, at the bound but for
rounding."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import autolip
from autolip.capture.load import load_network
from autolip.certificates.proof import NormFact
from autolip.errors import InputError, Refusal
from autolip.estimate import bracket
from autolip.norms import Norm
from autolip.operators import Convolution, Dense, Geometry
from autolip.operators.norms import NormOptions
from autolip.operators.norms.symbol.bound import symbol_norm
from autolip.operators.norms.symbol.torus import wrapped_norm
from autolip.regions import Box, Region
from autolip.values import Upper
from autolip_check.check import Verdict, check


def certified(result: autolip.Result, folder: Path) -> Verdict:
    certificate = result.certificate()
    assert result.upper is not None and result.upper.value is not None
    assert result.upper.value <= certificate.value <= result.upper.value * (1 + 1e-6)
    certificate.save(folder / "x.cert")
    verdict = check(folder / "x.cert")
    assert f"<= {certificate.value!r} ||" in verdict.claim
    return verdict


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["l2", "l1", "linf:l2", "l1:linf"])
@pytest.mark.parametrize("name", ["digits-mlp", "digits-conv"])
def test_shipped_networks(name: str, norm: str, tmp_path: Path) -> None:
    capture = load_network(name).capture
    verdict = certified(
        bracket(capture, model=name, norm=norm, method="autolip", lower=[]), tmp_path
    )
    assert "deterministically" in verdict.claim
    assert any("max_pool2d" in sentence for sentence in verdict.assumed) == (name == "digits-conv")


@pytest.mark.slow
def test_a_residual_network(tmp_path: Path) -> None:
    capture = load_network("digits-resnet").capture
    certified(bracket(capture, model="digits-resnet", method="autolip", lower=[]), tmp_path)


class Strange(nn.Module):
    """Grouped, dilated, strided and transposed convolutions, padding, pooling, a sum of branches,
    batch norm."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.a = nn.Conv2d(4, 6, (3, 2), stride=(2, 1), groups=2)
        self.norm = nn.BatchNorm2d(6)
        self.b = nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=(1, 0))
        self.c = nn.Conv2d(4, 4, 3, padding="same", dilation=2)
        self.last = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.a(nn.functional.pad(x, (1, 0, 1, 1))))
        x = self.b(torch.relu(x))
        x = x + self.c(torch.tanh(x)).flip(-1).transpose(-1, -2).transpose(-1, -2)
        x = nn.functional.avg_pool2d(x, 3, stride=2).cumsum(-1)
        return self.last(nn.functional.elu(x.flatten(2)[..., :5], 0.5))


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["l2", "linf:l2", "l1"])
def test_every_kind_of_linear_map(norm: str, tmp_path: Path) -> None:
    model = Strange().eval()
    result = autolip.lipschitz(
        model, torch.zeros(1, 4, 8, 7), norm=norm, method="autolip", lower=[]
    )
    verdict = certified(result, tmp_path)
    assert not any(
        "slopes within" in sentence or "gain" in sentence for sentence in verdict.assumed
    )
    (batch_norm,) = [sentence for sentence in verdict.assumed if "multiplies" in sentence]
    assert "batch_norm" in batch_norm and "by 0.99999500003" in batch_norm


def test_a_bound_through_l2_is_certified_after_its_time_is_over(tmp_path: Path) -> None:
    """||W||_{inf -> 1} <= sqrt(3) ||W||_2 sqrt(4) is below the sum of the entries: l2 is asked
    again."""
    torch.manual_seed(0)
    weight = torch.linalg.qr(torch.randn(4, 3, dtype=torch.float64))[0]
    assert weight.abs().sum() > 12**0.5
    model = nn.Linear(3, 4, bias=False).double().eval()
    model.weight.data = weight
    result = autolip.lipschitz(
        model, torch.zeros(1, 3).double(), norm="linf:l1", method="autolip", time_budget=1, lower=[]
    )
    time.sleep(1)
    certified(result, tmp_path)


def test_an_affine_network_is_an_operator_norm(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv1d(2, 3, 3, padding=1), nn.Conv1d(3, 3, 5, stride=2)).eval()
    result = autolip.lipschitz(model, torch.zeros(1, 2, 40), method="autolip", lower=[])
    certified(result, tmp_path)
    document = result.certificate().document
    assert [step["step"] for step in document["proof"]] == ["norm"]


def test_large_convolutions_go_by_their_symbol_or_by_lanczos(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(5, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 5, 3, padding=1)
    ).eval()
    result = autolip.lipschitz(model, torch.zeros(1, 5, 32, 32), method="autolip", lower=[])
    verdict = certified(result, tmp_path)
    ways = {step["by"] for step in result.certificate().document["proof"]}
    assert ways <= {"symbol", "lanczos"}
    assert ("deterministically" in verdict.claim) == ("lanczos" not in ways)


@pytest.mark.slow
def test_a_small_image_is_certified_by_the_whole_symbol() -> None:
    """An engine's bound may be below what the checker's cells can show: the fact is raised to that,
    and says so."""
    weight = torch.randn(
        100, 100, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    operator = Convolution(weight, (100, 7, 7), Geometry((1, 1), (1, 1), (1, 1)))
    bound, supremum = (engine(operator, NormOptions()) for engine in (wrapped_norm, symbol_norm))
    assert isinstance(bound, Upper) and isinstance(supremum, Upper) and bound.value < supremum.value
    fact = NormFact.of(operator, "x", "y", Norm.L2, Norm.L2, bound, bound)
    assert fact.by == "symbol" and supremum.value <= fact.value <= supremum.value * (1 + 1e-8)


def test_on_a_region_slopes_are_assumed(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).eval()
    box = Box(torch.full((1, 3), 1.0), torch.full((1, 3), 1.5))
    result = autolip.lipschitz(model, torch.ones(1, 3), region=box, method="autolip", lower=[])
    verdict = certified(result, tmp_path)
    (tanh,) = [sentence for sentence in verdict.assumed if "tanh" in sentence]
    assert "4 of 4 slopes narrower than [0, 1], its name's" in tanh
    assert "in the box from [1.0, 1.0, 1.0] to [1.5, 1.5, 1.5]" in verdict.claim


def test_a_readout_is_part_of_the_graph(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).eval()
    result = autolip.lipschitz(model, torch.ones(1, 3), output="0-1", method="autolip", lower=[])
    certified(result, tmp_path)


def test_what_has_no_certificate_says_so() -> None:
    linear = nn.Linear(3, 2).eval()
    with pytest.raises(
        InputError, match="autolip-raw comes without a proof; choose lipsdp or autolip"
    ):
        autolip.lipschitz(linear, torch.ones(1, 3), method="autolip-raw", lower=[]).certificate()
    with pytest.raises(InputError, match="infinite"):
        autolip.lipschitz(
            lambda x: torch.exp(x), torch.ones(1, 3), method="autolip", lower=[]
        ).certificate()


def test_the_smallest_bound_with_a_proof_is_certified(tmp_path: Path) -> None:
    capture = load_network("digits-mlp").capture
    result = bracket(capture, model="x", method=["eclipse-fast", "autolip"], lower=[])
    assert result.upper is not None and result.upper.method == "eclipse-fast"
    certificate = result.certificate()
    assert certificate.method == "autolip" and certificate.value >= (result.upper.value or 0.0)


def test_the_same_network_gives_the_same_file(tmp_path: Path) -> None:
    capture = load_network("digits-mlp").capture
    for name in "ab":
        bracket(capture, model="x", method="autolip", lower=[]).certificate().save(
            tmp_path / f"{name}.cert"
        )
    assert (tmp_path / "a.cert").read_bytes() == (tmp_path / "b.cert").read_bytes()
    size = int.from_bytes((tmp_path / "a.cert").read_bytes()[:8], "little")
    header = json.loads((tmp_path / "a.cert").read_bytes()[8 : 8 + size])
    assert list(header["__metadata__"]) == ["certificate"]


@pytest.mark.parametrize("p, q", [(Norm.LINF, Norm.L1), (Norm.L2, Norm.L1), (Norm.LINF, Norm.L2)])
def test_a_bound_through_l2_is_checked_so_where_the_time_had_ended(p: Norm, q: Norm) -> None:
    """What is then known of the l2 norm may be a stand-in; sums of entries do not show the
    bound."""
    matrix = torch.linalg.qr(
        torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    )[0]
    operator, exact = Dense(matrix, (6,)), Upper(1 + 1e-12)
    through = p.equivalence(Norm.L2, 6) * exact * Norm.L2.equivalence(q, 6)
    for known in (exact, Upper(2.0), Refusal("no time left")):
        assert NormFact.of(operator, "x", "y", p, q, through, known).by == "cholesky"
    assert (
        NormFact.of(operator, "x", "y", p, q, Upper(through.value / 2), Upper(2.0)).by == "entries"
    )


@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize(
    "wiring",
    [
        lambda v: v.transpose(-1, -2) + v,
        lambda v: v - v.flip(-1),
        lambda v: torch.nn.functional.pad(v, [1, 1, 0, 1], mode="reflect").sum(-1),
    ],
    ids=["symmetric", "odd", "padded sums"],
)
def test_norms_of_wiring_leave_the_check_its_margin(
    wiring: Callable[[Tensor], Tensor], size: int, tmp_path: Path
) -> None:
    """Sums of isometries attain their norm exactly; several wirings have a norm below that of their
    sums of entries."""
    certified(
        autolip.lipschitz(wiring, torch.zeros(1, 1, size, size), method="autolip", lower=None),
        tmp_path,
    )


class Reduced(nn.Module):
    """What a function of tensors returns."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


REDUCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "a number": lambda x: x.amax(-1).amax(-1).amax(-1),
    "a number again": lambda x: x.amax().amax(-1),
    "two axes of three": lambda x: x.amax((1, 2)),
    "axes kept": lambda x: x.amax((-1, 1), keepdim=True),
    "no axis kept": lambda x: x.amin(1),
    "positions left": lambda x: x.sort(-1)[0].max(1)[0],
    "blocks apart": lambda x: x.softmax(1).cumsum(-1).softmax(-2),
}


@pytest.mark.parametrize("method", ["autolip", "lipsdp"])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_blocks_along_axes_that_the_result_has_lost(name: str, method: str, tmp_path: Path) -> None:
    model = Reduced(REDUCTIONS[name]).eval()
    result = autolip.lipschitz(model, torch.zeros(1, 3, 2), method=method, lower=None)
    certified(result, tmp_path)


@pytest.mark.parametrize(
    "region",
    [autolip.Box(0.5, 0.5), *(autolip.Ball(0.0, 0.0, norm) for norm in ("l1", "l2", "linf"))],
    ids=["box", "l1", "l2", "linf"],
)
def test_a_region_of_one_point(region: Region, tmp_path: Path) -> None:
    """Nothing moves, and both sides count alike."""
    result = autolip.lipschitz(
        nn.Linear(2, 3).eval(),
        torch.zeros(1, 2, 2),
        norm="linf:l2",
        region=region,
        method="autolip",
        lower=None,
    )
    certified(result, tmp_path)


class Half(Box):
    """A box in which the second half of the entries stays at 0, under a name of its own."""

    def __init__(self) -> None:
        super().__init__(torch.zeros(1, 4), torch.tensor([[1.0, 1.0, 0.0, 0.0]]))

    def describe(self) -> dict[str, object]:
        return {"kind": "half a cube", "side": 1.0}


def test_a_region_of_a_kind_that_the_checker_does_not_know(tmp_path: Path) -> None:
    """The verdict repeats what its author says of it, and lets every entry move."""
    network = nn.Linear(4, 3).eval()
    nn.init.constant_(network.weight, 1.0)
    result = autolip.lipschitz(
        network,
        torch.zeros(1, 4),
        norm="linf:l2",
        region=Half(),
        method="autolip",
        lower=None,
    )
    result.certificate().save(tmp_path / "x.cert")
    verdict = check(tmp_path / "x.cert")
    assert '{"kind":"half a cube","side":1.0} of a kind that is not known' in verdict.claim
    assert any("kind 'half a cube'" in sentence for sentence in verdict.assumed)
