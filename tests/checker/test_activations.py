"""Slopes that names give: no secant is outside, none is far inside, and no parameter changes that
in silence."""

import math
from typing import Any

import pytest
import torch

from autolip_check.activations import GELU, PLAIN, WITH_PARAMETERS, global_slopes, name_of

CASES: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
    *((name, {}, ()) for name in PLAIN),
    ("gelu", {}, ()),
    ("gelu", {"approximate": "none"}, ()),
    ("gelu", {"approximate": "tanh"}, ()),
    *(("leaky_relu", {"negative_slope": s}, (s,)) for s in (0.01, -3.0, 2.0, 0.0)),
    ("leaky_relu", {}, ()),
    *(
        ("elu", {"alpha": a, "scale": c, "input_scale": i}, (a, c, i))
        for a, c, i in (
            (1.0, 1.0, 1.0),
            (2.0, 0.5, 3.0),
            (0.3, 2.0, 1.0),
            (0.1, 0.1, 0.7),
            (0.0, 1.0, 1.0),
        )
    ),
    *(("celu", {"alpha": a}, (a,)) for a in (1.0, 0.25, 4.0)),
    *(
        ("softplus", {"beta": b, "threshold": t}, (b, t))
        for b, t in ((1.0, 20.0), (5.0, 20.0), (-0.5, 30))
    ),
    ("softshrink", {"lambd": 0.5}, (0.5,)),
    ("softshrink", {"lambd": 0.0}, (0.0,)),
    ("hardtanh", {"min_val": -0.5, "max_val": 2.0}, (-0.5, 2.0)),
    ("clamp", {"min": -1.0}, (-1.0,)),
    ("clamp", {"min": 2.0, "max": 1.0}, (2.0, 1.0)),
    ("clip", {"min": -1.0, "max": 1.0}, (-1.0, 1.0)),
    ("clamp_min", {"min": 0.5}, (0.5,)),
    ("clamp_max", {"max": 0.5}, (0.5,)),
]


def function(name: str, given: dict[str, Any], args: tuple[Any, ...]) -> Any:
    if name in ("softsign", "tanhshrink"):
        return getattr(torch.nn.functional, name)
    overload = getattr(torch.ops.aten, name).default
    return (lambda x: overload(x, **given)) if name == "gelu" else (lambda x: overload(x, *args))


@pytest.mark.parametrize("name, given, args", CASES, ids=lambda value: str(value))
def test_secants_lie_within_and_come_near(
    name: str, given: dict[str, Any], args: tuple[Any, ...]
) -> None:
    """Dense secants of width 2^-9: within, but for their rounding, and within 1e-5 (1e-2 at kinks)
    of both ends."""
    known = global_slopes(f"aten.{name}.default", given)
    assert known is not None
    x = torch.arange(-40 * 512, 40 * 512 + 1, dtype=torch.float64) / 512
    y = function(name, given, args)(x)
    secants = (y[1:] - y[:-1]) * 512
    rounding = 512 * 2.0**-50 * (1 + y.abs().max().item())
    if name == "softplus":
        rounding += 512 * math.log1p(math.exp(-given["threshold"])) / abs(given["beta"])
    assert (
        known[0] - rounding <= secants.min().item() <= secants.max().item() <= known[1] + rounding
    )
    if not (name == "clamp" and given.get("max") == 1.0 and given.get("min") == 2.0):
        far = (
            1e-5
            if name
            not in ("elu", "celu", "selu", "softsign", "softplus", "tanhshrink", "hardswish")
            else 1e-2
        )
        assert secants.min().item() <= known[0] + far + rounding or known[0] == 0
        assert secants.max().item() >= known[1] - far - rounding or (name, given) == ("elu", {})


def derivative(name: str, x: Any) -> Any:
    import mpmath as mp

    sigmoid = 1 / (1 + mp.exp(-x))
    if name == "silu":
        return sigmoid * (1 + x * (1 - sigmoid))
    if name == "mish":
        soft = mp.log(1 + mp.exp(x))
        return mp.tanh(soft) + x * sigmoid / mp.cosh(soft) ** 2
    if name == "none":
        return (1 + mp.erf(x / mp.sqrt(2))) / 2 + x * mp.exp(-x * x / 2) / mp.sqrt(2 * mp.pi)
    root, cubic = mp.sqrt(2 / mp.pi), mp.mpf("0.044715")
    inner, slope = root * (x + cubic * x**3), root * (1 + 3 * cubic * x**2)
    return (1 + mp.tanh(inner)) / 2 + x * slope / mp.cosh(inner) ** 2 / 2


@pytest.mark.parametrize("name", ["silu", "mish", "none", "tanh"])
def test_extremes_are_rounded_outward_and_are_sharp(name: str) -> None:
    """Against forty digits: the table is outside, by 1e-15 at most."""
    mp = pytest.importorskip("mpmath")
    least, most = GELU[name] if name in GELU else PLAIN[name]
    with mp.workdps(40):
        near = {
            "silu": (-2.4, 2.4),
            "mish": (-2.256, 1.49),
            "none": (-1.41, 1.41),
            "tanh": (-1.42, 1.42),
        }[name]
        for start, bound, sign in ((near[0], least, 1), (near[1], most, -1)):
            at = mp.findroot(lambda x: mp.diff(lambda y: derivative(name, y), x), start)
            gap = sign * (derivative(name, at) - mp.mpf(bound))
            assert 0 <= gap < 1e-15


def test_constants_are_rounded_up() -> None:
    mp = pytest.importorskip("mpmath")
    with mp.workdps(40):
        selu = mp.mpf("1.6732632423543772848170429916717") * mp.mpf(
            "1.0507009873554804934193349852946"
        )
        for value, name in (
            (2 / mp.sqrt(mp.pi), "erf"),
            (selu, "selu"),
            (mp.mpf(1) / 6, "hardsigmoid"),
        ):
            assert 0 <= mp.mpf(PLAIN[name][1]) - value < 1e-15
    assert PLAIN["erfc"] == (-PLAIN["erf"][1], 0.0)
    assert global_slopes("aten.elu.default", {"alpha": 0.1, "scale": 3.0, "input_scale": 7.0}) == (
        0.0,
        3.0,
    )
    least = global_slopes("aten.elu.default", {"alpha": 0.1, "scale": 0.7, "input_scale": 30.0})
    assert least is not None and mp.mpf(0.1) * mp.mpf(0.7) * 30 <= mp.mpf(least[1]) < 2.1000001


@pytest.mark.parametrize(
    "name, given",
    [
        ("softplus", {"beta": 1.0, "threshold": 1.0}),
        ("softplus", {"threshold": 19.999}),
        ("softplus", {"beta": 0.0}),
        ("softshrink", {"lambd": -0.1}),
        ("elu", {"alpha": -1.0}),
        ("elu", {"scale": -1.0}),
        ("elu", {"input_scale": -1.0}),
        ("celu", {"alpha": -1.0}),
        ("celu", {"alpha": 0.0}),
        ("gelu", {"approximate": "sigmoid"}),
        ("gelu", {"approximate": ["tanh"]}),
        ("leaky_relu", {"slope": 3.0}),
        ("relu", {"threshold": 1.0}),
        ("silu", {"beta": 5.0}),
        ("threshold", {"threshold": 1.0, "value": 0.0}),
        ("exp", {}),
        ("sort", {}),
        ("hardshrink", {"lambd": 0.5}),
        ("rrelu", {}),
        ("prelu", {}),
    ],
)
def test_a_name_with_other_parameters_tells_nothing(name: str, given: dict[str, Any]) -> None:
    assert global_slopes(f"aten.{name}.default", given) is None


@pytest.mark.parametrize(
    "name, key",
    [(name, key) for name, (keys, _) in WITH_PARAMETERS.items() for key in sorted(keys)],
)
@pytest.mark.parametrize("value", [math.nan, math.inf, "1", True, 1e-300, None])
def test_parameters_are_admitted_numbers(name: str, key: str, value: Any) -> None:
    assert global_slopes(f"aten.{name}.default", {key: value}) is None


@pytest.mark.parametrize(
    "operation, name",
    [
        ("aten.relu.default", "relu"),
        ("autolip.softsign", "softsign"),
        ("relu", "relu"),
        ("aten.relu.default.more", "aten.relu.default.more"),
        ("mine.relu.default", "mine.relu.default"),
        ("aten.relu_", "relu_"),
    ],
)
def test_names_are_read_in_one_way(operation: str, name: str) -> None:
    assert name_of(operation) == name
