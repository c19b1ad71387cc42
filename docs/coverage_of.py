"""What is supported of ATen's core operations, of ONNX and of torch.nn, and why the rest is not."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

Row = tuple[str, str, str]
"""Name, status, and how or why."""

YES, PARTS, CONSTANT, NO, OTHER = "yes", "in pieces", "constants", "**refused**", "-"

ATEN_REASONS = (
    (r"backward", "a derivative: of a network's own gradients"),
    (r"rand|normal_func|dropout", "draws random numbers: no function of the input"),
    (r"nonzero|sym_|item|_local_scalar", "its shape or number depends on values"),
    (r"as_strided|empty_strided", "reads memory, not entries: use views"),
    (r"_embedding_bag", "its input is the number of a row: no function of real numbers"),
    (r"_native_batch_norm_legit", "training mode: call model.eval()"),
)


INTRODUCTION = """# Coverage

What has no rule is refused by name, with its place in the model; nothing is guessed. *yes*: an
operation with a rule, a module that is bounded; *in pieces*: written with operations that have one;
*constants*: evaluated, where no value of the input reaches it.
"""


def page() -> str:
    """The three tables."""
    tables = (
        ("ATen core operations", aten_rows(), "Operations of the core ATen opset"),
        ("ONNX operators", onnx_rows(), "Operators of opset 24"),
        ("torch.nn modules", list(module_rows()), "Modules, in eval mode"),
    )
    parts = [INTRODUCTION]
    for title, rows, what in tables:
        known = sum(status not in (NO, OTHER) for _, status, _ in rows)
        total = sum(status != OTHER for _, status, _ in rows)
        head = "| name | status | how, or why not |\n|---|---|---|"
        lines = [f"| `{name}` | {status} | {_cell(how)} |" for name, status, how in rows]
        body = "\n".join([head, *lines])
        parts.append(f"## {title}\n\n{what}: {known} of {total}.\n\n{body}\n")
    return "\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;").replace("\n", " ")


# ATen


def aten_rows() -> list[Row]:
    """Every overload that PyTorch tags as core and that changes no tensor."""
    registered = (name.partition(".")[0] for name in torch._C._dispatch_get_all_op_names())
    names = {name.removeprefix("aten::") for name in registered if name.startswith("aten::")}
    packets = (getattr(torch.ops.aten, name) for name in names)
    overloads = (getattr(packet, name) for packet in packets for name in packet.overloads())
    pure = (o for o in overloads if torch.Tag.core in o.tags and not o._schema.is_mutable)
    core = sorted({str(overload): overload for overload in pure}.items())
    return [(name, *_aten(overload)) for name, overload in core]


def _aten(overload: Any) -> tuple[str, str]:
    from autolip.capture.torch.parts import TRANSLATED
    from autolip.capture.torch.written import WRITTEN
    from autolip.rules import RULES

    if overload in RULES:
        return YES, RULES[overload].claim
    if overload in WRITTEN or overload in torch.export.default_decompositions():
        return PARTS, "written with other operations"
    if overload in TRANSLATED:
        return PARTS, "by real and imaginary parts"
    if not any("Tensor" in str(a.type) for a in overload._schema.arguments):
        drawn = re.search(r"rand", str(overload))
        return (NO, ATEN_REASONS[1][1]) if drawn else (CONSTANT, "makes a tensor of numbers")
    found = (why for pattern, why in ATEN_REASONS if re.search(pattern, str(overload)))
    return NO, next(found, "no rule yet")


# ONNX


def onnx_rows() -> list[Row]:
    """Every operator of the standard domain up to the newest opset that is read."""
    from onnx import defs

    from autolip.capture.onnx.control import CONTROL
    from autolip.capture.onnx.missing import reason
    from autolip.capture.onnx.reading import NEWEST_OPSET
    from autolip.capture.onnx.translation import find_operator

    schemas = defs.get_all_schemas_with_history()
    names = {s.name for s in schemas if not s.domain and s.since_version <= NEWEST_OPSET}
    rows: list[Row] = []
    for name in sorted(names):
        entry = find_operator(name, NEWEST_OPSET)
        if name in CONTROL:
            rows.append((name, PARTS, "written out, by conditions and counts that are known"))
        elif entry is not None:
            rows.append((name, PARTS, f"since opset {max(entry.since, 6)}"))
        else:
            rows.append((name, NO, reason(name)))
    return rows


# torch.nn

Made = tuple[Callable[[], nn.Module], tuple[int, ...]]
"""How to make a module, and the shape of its input."""


def _spaces(name: str, *options: Any, size: int = 6, channels: int = 2) -> dict[str, Made]:
    """A module in one, two and three dimensions."""
    return {
        f"{name}{d}d": (
            lambda d=d: getattr(nn, f"{name}{d}d")(*options),
            (1, channels, *[size] * d),
        )
        for d in (1, 2, 3)
    }


def _plain(names: str, shape: tuple[int, ...], *options: Any) -> dict[str, Made]:
    return {name: (lambda name=name: getattr(nn, name)(*options), shape) for name in names.split()}


def _losses(names: str, target: torch.Tensor) -> dict[str, Made]:
    """As functions of the scores, for one target."""
    return {
        name: (lambda name=name: _Fixed(getattr(nn, name)(), target), (2, 6))
        for name in names.split()
    }


SHARES = torch.linspace(0.05, 0.95, 12, dtype=torch.float64).reshape(2, 6)

MADE: dict[str, Made] = {
    **_spaces("AdaptiveAvgPool", 3),
    **_spaces("AdaptiveMaxPool", 3),
    **_spaces("AvgPool", 2),
    **_spaces("MaxPool", 2),
    **_spaces("LPPool", 2.0, 2),
    **_spaces("BatchNorm", 2),
    **_spaces("InstanceNorm", 2),
    **_spaces("Conv", 2, 3, 3),
    **_spaces("ConvTranspose", 2, 3, 3),
    **_spaces("CircularPad", 1),
    **_spaces("ConstantPad", 1, 0.5),
    **_spaces("ReflectionPad", 1),
    **_spaces("ReplicationPad", 1),
    **_spaces("ZeroPad", 1),
    **_spaces("Dropout"),
    **_plain(
        "AlphaDropout FeatureAlphaDropout CELU ELU GELU GLU Hardshrink Hardsigmoid Hardswish "
        "Hardtanh Identity LeakyReLU LogSigmoid Mish PReLU RReLU ReLU ReLU6 SELU SiLU Sigmoid "
        "Softplus Softshrink Softsign Tanh Tanhshrink Dropout Flatten",
        (2, 6),
    ),
    **_plain("LogSoftmax Softmax Softmin", (2, 6), -1),
    **_plain("LayerNorm RMSNorm", (2, 6), 6),
    **_plain("RNNCell LSTMCell GRUCell", (2, 6), 6, 4),
    **_plain("RNN LSTM GRU", (5, 2, 6), 6, 4),
    **_plain("UpsamplingBilinear2d UpsamplingNearest2d", (1, 2, 3, 3), None, 2),
    **_plain("PixelUnshuffle", (1, 2, 4, 4), 2),
    **_plain("PixelShuffle ChannelShuffle", (1, 4, 3, 3), 2),
    **_plain("Fold", (1, 18, 16), (6, 6), 3),
    **_plain("Unfold", (1, 2, 6, 6), 3),
    **_plain("Softmax2d", (1, 2, 3, 3)),
    **_plain("LocalResponseNorm CrossMapLRN2d", (1, 4, 3, 3), 2),
    **_plain("FractionalMaxPool2d", (1, 2, 6, 6), 2, 3),
    **_plain("FractionalMaxPool3d", (1, 2, 6, 6, 6), 2, 3),
    **_plain("SyncBatchNorm", (1, 2, 4), 2),
    **_plain("TransformerEncoderLayer", (1, 3, 8), 8, 2, 16),
    "TransformerEncoder": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), 2),
        (3, 1, 8),
    ),
    **_losses("BCEWithLogitsLoss HuberLoss KLDivLoss L1Loss MSELoss SmoothL1Loss", SHARES),
    **_losses("MultiLabelSoftMarginLoss PoissonNLLLoss", SHARES),
    **_losses("SoftMarginLoss HingeEmbeddingLoss", SHARES.round() * 2 - 1),
    **_losses("CrossEntropyLoss NLLLoss MultiMarginLoss", torch.tensor([1, 4])),
    "BCELoss": (lambda: nn.Sequential(nn.Sigmoid(), _Fixed(nn.BCELoss(), SHARES)), (2, 6)),
    "Linear": (lambda: nn.Linear(6, 3), (2, 6)),
    "GroupNorm": (lambda: nn.GroupNorm(2, 6), (2, 6)),
    "Threshold": (lambda: nn.Threshold(0.5, 0.5), (2, 6)),
    "Unflatten": (lambda: nn.Unflatten(1, (2, 3)), (2, 6)),
    "Upsample": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), (1, 2, 3, 3)),
    "Bilinear": (lambda: _Both(nn.Bilinear(6, 6, 3)), (2, 6)),
    "CosineSimilarity": (lambda: _Both(nn.CosineSimilarity()), (2, 6)),
    "PairwiseDistance": (lambda: _Both(nn.PairwiseDistance()), (2, 6)),
    "MultiheadAttention": (lambda: _Thrice(nn.MultiheadAttention(8, 2)), (3, 1, 8)),
    "Sequential": (lambda: nn.Sequential(nn.Linear(6, 3), nn.ReLU()), (2, 6)),
    "Transformer": (lambda: _Both(nn.Transformer(8, 2, 1, 1, 16)), (3, 1, 8)),
    "TransformerDecoder": (
        lambda: _Both(nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 1)),
        (3, 1, 8),
    ),
    "TransformerDecoderLayer": (lambda: _Both(nn.TransformerDecoderLayer(8, 2, 16)), (3, 1, 8)),
}

OTHERS = (
    (r"Loss", "a loss of several varying inputs, or of sequences of numbers"),
    (r"^Lazy", "initialise it first, by one call"),
    (r"Embedding", "its input is the number of a row: no function of real numbers"),
    (r"Container|List|Dict|Base|^Module$|DataParallel", "holds modules, computes nothing itself"),
    (r"MaxUnpool", "places that depend on the input: constant ones are captured"),
)
"""Modules that are no networks of one input."""


class _Fixed(nn.Module):
    """A module whose other arguments are constants."""

    def __init__(self, module: nn.Module, *others: torch.Tensor) -> None:
        super().__init__()
        self.module = module
        self.others = others

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(x, *self.others)


class _Both(nn.Module):
    """A module of two arguments: the input, and half of it."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(x, x / 2)


class _Thrice(_Both):
    """Attention of an input to itself."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(x, x, x)[0]


def modules() -> list[str]:
    """The names of all modules of torch.nn."""
    return [
        name
        for name in sorted(dir(nn))
        if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)
    ]


def module_rows() -> Iterator[Row]:
    """Every module: captured, and bounded on everything, or on a small box."""
    for name in modules():
        if name in MADE:
            yield (name, *bounded(*MADE[name]))
        else:
            found = (why for pattern, why in OTHERS if re.search(pattern, name))
            yield name, OTHER, next(found)


def bounded(make: Callable[[], nn.Module], shape: tuple[int, ...]) -> tuple[str, str]:
    """Whether a module of random weights has a finite bound: everywhere, or on a box alone."""
    import math

    from autolip import Ball, lipschitz
    from autolip.errors import AutolipError

    torch.manual_seed(0)
    module = make().double().eval()
    x = torch.randn(shape, dtype=torch.float64)
    said = {None: "finite everywhere", Ball(x, 1e-3): "finite on regions"}
    try:
        for region, finite in said.items():
            result = lipschitz(
                module, x, region=region, method="autolip", lower=None, outputs="all"
            )
            if result.upper and math.isfinite(result.upper.value):
                return YES, finite
        return YES, "infinite where it jumps"
    except AutolipError as error:
        return NO, str(error)
