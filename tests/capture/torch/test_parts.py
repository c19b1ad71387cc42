"""Complex numbers within a network: the graph of their parts computes the same, and transforms have
their norms."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from autolip import lipschitz
from autolip.capture.torch.export import capture_model
from autolip.errors import AutolipError
from autolip.graph.evaluate import evaluate

X = torch.tensor([[0.3, -1.2, 2.0, 0.7, -0.4, 1.1], [0.2, -0.9, 1.6, 0.8, -2.0, 0.5]]).double()
MATRIX = torch.complex(X[:, :3].mT, X[:, 3:].mT.flip(0))
FILTER = torch.tensor([1.0, 0.5 + 0.2j, -0.3j, 0.1]).to(torch.complex128)
fft = torch.fft

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "rfft": lambda x: torch.view_as_real(fft.rfft(x)),
    "rfft of odd length": lambda x: torch.view_as_real(fft.rfft(x[:, :5], norm="ortho")),
    "irfft": lambda x: fft.irfft(torch.view_as_complex(x.reshape(2, 3, 2)), n=4),
    "irfft, odd": lambda x: fft.irfft(torch.view_as_complex(x.reshape(2, 3, 2)), n=5),
    "irfft, cut": lambda x: fft.irfft(fft.rfft(x), n=4, norm="forward"),
    "filter": lambda x: fft.irfft(fft.rfft(x) * FILTER, n=6),
    "rfft2": lambda x: fft.irfft2(fft.rfft2(x), s=(2, 6)),
    "fft and back": lambda x: fft.ifft2(fft.fft2(x)).real,
    "imag": lambda x: fft.fft(x, norm="ortho").imag,
    "abs": lambda x: fft.fft(x).abs(),
    "angle": lambda x: fft.rfft(x + 3)[:, 1:3].angle(),
    "conj": lambda x: (fft.rfft(x).conj() * fft.rfft(x)).real,
    "hfft": lambda x: fft.hfft(fft.ihfft(x)),
    "matrix": lambda x: torch.view_as_real(fft.rfft(x)[:, :3] @ MATRIX),
    "modes": lambda x: fft.irfft(torch.einsum("bi,io->bo", fft.rfft(x)[:, :3], MATRIX), n=6),
    "polar": lambda x: torch.view_as_real(torch.polar(x.abs(), x)),
    "complex": lambda x: torch.view_as_real(torch.complex(x, 2 * x) / (1 + 2j) - 1j * x + x),
    "padded": lambda x: fft.irfft(torch.nn.functional.pad(fft.rfft(x), (0, 2)), n=10),
    "cat": lambda x: torch.view_as_real(torch.cat([fft.rfft(x), -fft.rfft(x)], 1).sum(0)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_graph_computes_the_same(name: str) -> None:
    function = FUNCTIONS[name]
    graph = capture_model(function, (X,)).graph
    for x in (X, X.flip(0) * 1.7 - 0.4):
        torch.testing.assert_close(evaluate(graph, x), function(x), rtol=1e-10, atol=1e-10)


CONSTANTS = {"rfft": 6**0.5, "rfft of odd length": 1.0, "rfft2": 1.0, "fft and back": 1.0}


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_transform_has_its_norm(name: str) -> None:
    """sqrt(N) of all coefficients, the constant one alone attains it; 1 there and back."""
    result = lipschitz(FUNCTIONS[name], X, method="autolip", lower="random", seed=0)
    assert result.upper is not None
    assert result.upper.value is not None
    assert CONSTANTS[name] <= result.upper.value <= CONSTANTS[name] * (1 + 1e-6)


REFUSED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "exp": (lambda x: fft.fft(x).exp().real, "exp.default .* computes complex numbers"),
    "quotient": (lambda x: (1 / fft.fft(x)).abs(), "complex numbers"),
    "output": (lambda x: fft.fft(x), "holds complex numbers: return torch.view_as_real"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_written_in_parts_is_refused(name: str) -> None:
    function, reason = REFUSED[name]
    with pytest.raises(AutolipError, match=reason):
        capture_model(function, (X,))
