"""Capture of PyTorch models: what is folded, what is refused, and in which words.

Covers autolip.capture.torch.builder, autolip.capture.torch.decompositions and
autolip.capture.torch.unwrapping too.
"""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autolip import zoo
from autolip.capture.replay import replay
from autolip.capture.torch.decompositions import taken_apart
from autolip.capture.torch.export import Capture, capture_model, export
from autolip.errors import InputError, UnsupportedOperation

aten = torch.ops.aten


def targets(capture: Capture) -> list[object]:
    return [node.target for node in capture.graph]


@pytest.mark.parametrize("name", zoo.names())
def test_shipped_networks_replay_exactly(name: str) -> None:
    model, inputs = zoo.load(name)
    assert replay(capture_model(model, inputs)) <= 1e-12


def test_constants_are_folded_in_float64() -> None:
    torch.manual_seed(0)
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(5, 4)).eval()
    capture = capture_model(layer, (torch.randn(1, 5),))
    assert targets(capture) == [aten.linear.default]
    weight = capture.graph.nodes[0].args[1]
    assert weight.dtype is torch.float64
    assert torch.linalg.matrix_norm(weight, 2) < 2


def test_several_inputs_one_varies() -> None:
    def function(x: Tensor, y: Tensor) -> Tensor:
        return x * y

    x, y = torch.randn(3), torch.tensor([1.0, -2.0, 5.0])
    first, second = capture_model(function, (x, y)), capture_model(function, (x, y), 1)
    assert torch.equal(first.graph.nodes[0].args[1], y.double())
    assert second.input_name == "y"
    assert replay(first) == replay(second) == 0.0


def test_inputs_by_name_and_unknown_names() -> None:
    model = nn.Bilinear(2, 3, 4).eval()
    capture = capture_model(model, (torch.randn(1, 2), torch.randn(1, 3)), "input2")
    assert capture.graph.input_shape == (1, 3)
    with pytest.raises(InputError, match=r"no input 'z'.*input1, input2"):
        capture_model(model, (torch.randn(1, 2), torch.randn(1, 3)), "z")


def several(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return x[:, :1], 2 * x, torch.ones(3)


def test_of_several_outputs_one_is_chosen_or_all_are_one_vector() -> None:
    x = (torch.randn(1, 4),)
    with pytest.raises(
        InputError,
        match=r"returns 3 tensors \(0 of shape \(1, 1\), 1 of .*outputs='0'.*outputs='all'",
    ):
        capture_model(several, x)
    second, everything = (
        capture_model(several, x, outputs=1),
        capture_model(several, x, outputs="all"),
    )
    assert (second.graph.output_shape, everything.graph.output_shape) == ((1, 4), (8,))
    assert replay(second) == replay(everything) == 0.0
    with pytest.raises(InputError, match=r"no tensor 3: it returns 0 of shape"):
        capture_model(several, x, outputs=3)


def test_outputs_by_name() -> None:
    def function(x: Tensor) -> dict[str, Tensor]:
        return {"logits": 3 * x, "loss": x.sum()}

    capture = capture_model(function, (torch.randn(1, 4),), outputs="loss")
    assert (capture.graph.output_shape, capture.choices) == ((), 2)
    assert replay(capture) <= 1e-12


def test_in_place_operations_are_functional() -> None:
    def function(x: Tensor) -> Tensor:
        y = x.clone()
        return F.relu_(y.mul_(2.0)).add_(1.0)

    assert replay(capture_model(function, (torch.randn(4),))) == 0.0


@pytest.mark.slow
def test_recurrent_cells_are_unrolled() -> None:
    torch.manual_seed(0)
    for kind in (nn.LSTM, nn.GRU, nn.RNN):
        model = kind(3, 4, batch_first=True).eval()
        assert replay(capture_model(lambda x, m=model: m(x)[0], (torch.randn(1, 5, 3),))) <= 1e-5


def test_places_name_module_and_line() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Tanh()))
    place = capture_model(model.eval(), (torch.randn(1, 3),)).graph.nodes[1].place
    assert place.module == "1.0" and place.source.startswith("activation.py:")


def test_a_network_that_ignores_its_input() -> None:
    capture = capture_model(lambda x: torch.ones(3), (torch.randn(2),))
    assert capture.graph.constant is not None and not capture.graph.nodes


class Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x * self.calls


def nan_weights() -> nn.Module:
    model = nn.Linear(2, 2)
    model.weight.data[0, 0] = float("nan")
    return model


def mixed_devices() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, device="meta"))


class Complex(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2, 2, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        return (x.to(torch.complex64) @ self.weight).real


class Stored(nn.Module):
    """x @ W with W stored in another type."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.float()


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn, torch.float16, torch.bfloat16])
def test_weights_of_other_types_are_exact(dtype: torch.dtype) -> None:
    weight = torch.tensor([[1.0, -2.0], [0.5, 3.0]]).to(dtype)
    capture = capture_model(Stored(weight), (torch.randn(1, 2),))
    assert torch.equal(capture.graph.nodes[-1].args[1], weight.double())
    assert replay(capture) <= 1e-12


def masked(where: float) -> nn.Module:
    return nn.Sequential(Stored(torch.eye(2)), Masked(where))


class Masked(nn.Module):
    def __init__(self, where: float) -> None:
        super().__init__()
        self.register_buffer("mask", torch.tensor([0.0, where]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(x + self.mask, -1)


def test_an_infinite_mask_under_a_softmax_is_no_fault() -> None:
    assert replay(capture_model(masked(-torch.inf), (torch.randn(1, 2),))) == 0.0


def leaves(x: Tensor) -> Tensor:
    raise SystemExit(0)


class Hidden(nn.Module):
    """Its weights cannot be listed."""

    def named_parameters(self, *args: object, **kwargs: object):
        raise SystemExit(0)


SPARSE = torch.eye(2).to_sparse()
UNFIT = [
    (Hidden(), r"looking at the model called sys.exit\(0\)"),
    (
        nn.LeakyReLU(torch.nan),
        r"'negative_slope' of aten.leaky_relu.default at the model itself .* value nan",
    ),
    (nn.LeakyReLU(torch.inf), "has the value inf"),
    (nn.Sequential(nn.ELU(torch.nan)), r"'alpha' of aten.elu.default at 0 .* has the value nan"),
    (lambda x: x.clamp(max=torch.nan), "'max' of aten.clamp.default"),
    (lambda x: x * torch.tensor([1.0, torch.nan]), "have 1 NaN entries"),
    (
        lambda x: x * torch.tensor([1.0, torch.inf]),
        "'other' of aten.mul.Tensor .* has the value inf",
    ),
    (masked(torch.nan), "weights 1.mask have 1 NaN"),
    (lambda x: torch.full((2,), torch.nan), "of aten.full.default .* is NaN"),
    (lambda x: torch.full((2,), torch.inf), "the output is NaN or infinite, whatever the input"),
    (
        lambda x: x.masked_fill(torch.tensor([True, False]), -torch.inf),
        "entries of the output are infinite",
    ),
    (Complex(), "weights weight are torch.complex64"),
    (Stored(torch.eye(2).to_sparse()), "stored as torch.sparse_coo: make them dense"),
    (Stored(torch.quantize_per_tensor(torch.eye(2), 0.1, 0, torch.qint8)), "are quantized"),
    (nn.LazyLinear(2), "no shape yet .a lazy module"),
    (
        nn.Sequential(torch.jit.script(nn.Linear(2, 2)), nn.ReLU()).eval(),
        "0 is compiled by torch.jit inside",
    ),
    (lambda x: torch.sparse.mm(SPARSE, x.T), "it holds sparse tensors"),
    (nn.Linear, "is the class Linear"),
    (
        type("Bare", (nn.Module,), {"__init__": lambda self: None})(),
        "Bare is made without super.*: call it first",
    ),
    (lambda x: torch.linalg.cholesky(x.T @ x), "leave it out"),
    ({"weight": torch.eye(2)}, "the model is a dict"),
    (lambda x: x.argmax(-1), "is torch.int64: a Lipschitz constant needs floating-point numbers"),
    (lambda x: x > 0, "is torch.bool"),
    (lambda x: torch.arange(2), "is torch.int64"),
    (lambda x: x[:, :0], "the output is empty"),
    (lambda x: (x * torch.tensor([1.0, 2j])).to(torch.float32), "computes complex numbers"),
    (lambda x: torch.fft.fft(x).exp().abs(), "computes complex numbers"),
    (
        lambda x: x.to(torch.float8_e4m3fn).float(),
        "rounds to the few numbers of torch.float8_e4m3fn",
    ),
    (
        lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8).dequantize(),
        "rounds to the few numbers",
    ),
    (lambda x: torch.distributions.Normal(x, 1.0), "returns a Normal: return its tensors"),
    (lambda x: x + torch.zeros(10**5, 10**5).sum(), r"makes a tensor of shape \(100000, 100000\)"),
    (lambda x: x.expand(10**5, 10**5, 2).sum(), "makes a tensor of shape"),
    (lambda x: x + torch.randn(2), r"aten.randn.default .* draws random numbers"),
    (lambda x: F.dropout(x), "draws random numbers"),
    (
        lambda x: x * x.sum().item(),
        "depends on the data .*py:[0-9]+.; item takes numbers out of a tensor, use the",
    ),
    (lambda x: x[x > 0], "depends on the data"),
    (
        lambda x: torch.from_numpy(x.detach().numpy()),
        "numpy takes numbers out of a tensor, use the functions of torch",
    ),
    (
        np.abs,
        "depends on the data; array takes numbers out of a tensor, use the functions of torch",
    ),
    (
        math.sin,
        "depends on the data; float takes numbers out of a tensor, use the functions of torch",
    ),
    (lambda x: torch.tensor([x[0, 0], x[0, 1]]), "numbers taken out of others: use torch.stack"),
    (
        lambda x: torch.sparse.mm(torch.eye(2).to_sparse(), x.T),
        "makes a sparse tensor .torch.sparse_coo.: use dense",
    ),
    (leaves, r"calls sys.exit\(0\)"),
]


@pytest.mark.parametrize(("model", "reason"), UNFIT)
def test_what_is_no_function_of_real_numbers_is_refused(model: object, reason: str) -> None:
    with pytest.raises((InputError, UnsupportedOperation), match=reason) as caught:
        capture_model(model, (torch.tensor([[0.5, -1.0]]),))  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_random_numbers_that_do_not_reach_the_output_are_no_fault() -> None:
    def policy(x: Tensor) -> tuple[Tensor, Tensor]:
        distribution = torch.distributions.Normal(x, torch.ones(2))
        return distribution.rsample(), distribution.mean * 2

    x = torch.zeros(1, 2)
    assert replay(capture_model(policy, (x,), outputs=1)) == 0.0
    with pytest.raises(InputError, match="draws random numbers"):
        capture_model(policy, (x,), outputs=0)


def test_an_empty_input_is_refused() -> None:
    with pytest.raises(InputError, match=r"input input of shape \(0, 2\) is empty"):
        capture_model(nn.Linear(2, 2), (torch.zeros(0, 2),))


@pytest.mark.parametrize(
    "model", [nn.Identity(), nn.Sequential(), nn.Sequential(nn.Dropout()).eval()]
)
def test_the_identity_has_no_nodes_and_no_constant_output(model: nn.Module) -> None:
    graph = capture_model(model, (torch.zeros(1, 3),)).graph
    assert graph.constant is None and graph.output_shape == (1, 3)


@pytest.mark.parametrize(
    "wrap", [torch.compile, nn.DataParallel, lambda model: torch.compile(nn.DataParallel(model))]
)
def test_wrappers_of_training_are_taken_off(wrap) -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU()).eval()
    capture = capture_model(wrap(model), (torch.randn(1, 2),))
    assert [node.place.module for node in capture.graph] == ["0", "1"]
    assert replay(capture) <= 1e-12


def test_arguments_that_are_no_tensors_are_held_fixed() -> None:
    def function(x: Tensor, scale: float, flag: bool, pair: tuple[Tensor, int]) -> Tensor:
        return (x * scale if flag else x) + pair[0] * pair[1]

    x, y = torch.randn(2), torch.ones(2)
    capture = capture_model(function, (x, 2.5, True, (y, 3)))
    assert torch.allclose(capture.reference(x), 2.5 * x.double() + 3)
    assert replay(capture) <= 1e-12
    with pytest.raises(InputError, match="input scale is a float: only a tensor can vary"):
        capture_model(lambda x, scale: x * scale, (x, 2.5), "scale")


class Parametrised(nn.Module):
    """x @ f(W)."""

    def __init__(self, function) -> None:
        super().__init__()
        self.weight, self.function = nn.Parameter(torch.tensor([[2.0, 1.0], [0.5, 3.0]])), function

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.function(self.weight)


@pytest.mark.parametrize(
    "function",
    [
        torch.linalg.inv,
        lambda w: torch.linalg.solve(w, torch.eye(2, dtype=w.dtype)),
        lambda w: torch.linalg.cholesky(w @ w.T),
        lambda w: w / torch.linalg.det(w),
        torch.linalg.pinv,
        torch.matrix_exp,
    ],
)
def test_linear_algebra_of_weights_is_evaluated_in_float64(function) -> None:
    model = Parametrised(function)
    capture = capture_model(model, (torch.randn(1, 2),))
    (node,) = capture.graph.nodes
    torch.testing.assert_close(
        node.args[1], function(model.weight.detach().double()).double(), rtol=1e-6, atol=0
    )
    assert replay(capture) <= 1e-7


@pytest.mark.parametrize("kind", ["cayley", "matrix_exp", "householder"])
def test_orthogonal_weights(kind: str) -> None:
    model = nn.utils.parametrizations.orthogonal(nn.Linear(4, 4), orthogonal_map=kind).eval()
    weight = capture_model(model, (torch.randn(1, 4),)).graph.nodes[0].args[1]
    torch.testing.assert_close(
        weight @ weight.T, torch.eye(4, dtype=torch.float64), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize(
    ("model", "inputs", "reason"),
    [
        (nan_weights(), (torch.randn(1, 2),), "weights weight have 1 NaN or infinite entries"),
        (
            nn.Sequential(nn.BatchNorm1d(2)),
            (torch.randn(3, 2),),
            r"0 \(BatchNorm1d\) is in training mode.*eval",
        ),
        (
            nn.Sequential(nn.Linear(2, 2), nn.Dropout()),
            (torch.randn(1, 2),),
            r"1 \(Dropout\) is in training mode",
        ),
        (
            nn.BatchNorm1d(2, track_running_stats=False).eval(),
            (torch.randn(3, 2),),
            "no running statistics",
        ),
        (nn.Linear(2, 2), (torch.randn(1, 3),), "cannot be exported"),
        (nn.Linear(2, 2), (), "no example input"),
        (nn.Linear(2, 2), ("x",), "inputs are str: give a tensor"),
        (nn.Linear(2, 2), (object(),), "is a object: give a tensor"),
        (nn.Linear(2, 2), (torch.full((1, 2), float("inf")),), "NaN or infinite entries"),
        (lambda x: x * 2, (torch.arange(3),), "needs a floating-point input"),
        (Branch(), (torch.randn(2),), "control flow depends on the data"),
        (Counter(), (torch.randn(2),), "changes its buffer calls"),
        (lambda x: x.mul_(2), (torch.randn(2),), "changes its input .* in place"),
        (lambda x: 3, (torch.randn(2),), "returns no tensor"),
        (nn.Linear(2, 2, device="meta"), (torch.randn(1, 2),), "on the meta device"),
        (nn.Linear(2, 2), (torch.empty(1, 2, device="meta"),), "on the meta device"),
        (mixed_devices(), (torch.randn(1, 2),), "on the meta device"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(
    model: object, inputs: tuple[object, ...], reason: str
) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        capture_model(model, inputs)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_rms_norm_without_eps_keeps_the_stored_precision() -> None:
    capture = capture_model(nn.RMSNorm(4).eval(), (torch.randn(2, 4),))
    assert capture.graph.nodes[0].args[3] == torch.finfo(torch.float32).eps
    assert replay(capture) <= 1e-12


@pytest.mark.parametrize(
    "model, whole",
    [
        (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh()), True),
        (nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True)), False),
    ],
)
def test_a_program_without_work_for_decompositions_is_left_as_it_is(
    model: nn.Module, whole: bool
) -> None:
    """Tracing it again costs more than the export; what changes a tensor in place must be traced
    again."""
    program = export(model.eval(), (torch.zeros(1, 3),), (0,))
    assert (taken_apart(program) is program) == whole


def test_results_written_into_a_tensor_one_by_one() -> None:
    """As fixed-step solvers do; a copy has neither a derivative nor a batch in PyTorch."""

    def solved(x: Tensor) -> Tensor:
        steps = torch.empty(3, *x.shape)
        for number in range(3):
            x = x + 0.1 * torch.tanh(x)
            steps[number] = x
        steps[2, 0] = x[0, 0]
        return steps

    capture = capture_model(solved, (torch.randn(1, 2),))
    assert replay(capture) < 1e-6
    assert not any("copy" in str(node.target) for node in capture.graph)


def test_numbers_put_where_a_mask_says() -> None:
    def clipped(x: Tensor) -> Tensor:
        y = x.clone()
        y[x > 1] = 1.0
        y[torch.isnan(x)] = 0.0
        return y

    capture = capture_model(clipped, (torch.randn(1, 4) * 3,))
    assert replay(capture) == 0.0
    assert "aten.where.self" in {str(node.target) for node in capture.graph}
