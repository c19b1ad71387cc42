"""The law of an operator: it is one matrix, whichever way it is asked."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from autolip.operators.convolution import Convolution
from autolip.operators.dense import Dense
from autolip.operators.diagonal import Diagonal
from autolip.operators.norms.engine import must_be_formed
from autolip.operators.operator import DTYPE, Adjoint, Operator, flat
from autolip.registry import discover
from autolip.roundoff import TINY, sum_error
from autolip.testing.violation import LawViolation


def check_operator(operator: Operator, *, seed: int = 0) -> None:
    """An operator is one matrix, whichever way it is asked: products, adjoint, entries, majorant,
    split, and whatever it says that it knows of itself.

    The matrix is built from products with unit vectors, and everything else compared with it:
    batches of random vectors, the adjoint (dot test), `T`, `fold`, `cast`, `entrywise`,
    `magnitude`, `terms`, `majorant`, `split`, what it is (`is_zero`, `is_wiring`, `diagonal`,
    `matrices`, `kernel`, ...) and how it is scaled.  For operators of at most a few thousand
    entries per side.  Raises LawViolation with the law and the largest deviation.
    """
    matrix = _matrix(operator)
    bound = operator.majorant()
    size = matrix.abs() if bound is None else torch.maximum(_matrix(bound), matrix.abs())
    if bool((_matrix(bound) * (1 + 1e-12) < matrix.abs()).any() if bound is not None else False):
        raise LawViolation(f"{operator}: its majorant is below |A| in some entry")
    _check_products(operator, matrix, size, torch.Generator().manual_seed(seed))
    _check_entries(operator, matrix)
    _check_facts(operator, matrix)
    _check_scaling(operator, matrix, size)
    _check_forms(operator, matrix, size)
    parts = operator.split()
    if parts is not None:
        positive, negative = (_matrix(part) for part in parts)
        if (positive < 0).any() or (negative < 0).any():
            raise LawViolation(f"{operator}: a part of its split has negative entries")
        _same(f"{operator}: the difference of its split", positive - negative, matrix, size)


def _matrix(operator: Operator) -> Tensor:
    """(m, n), from products with the unit vectors of the input."""
    return operator.mv(_units(operator.in_shape)).reshape(operator.in_size, operator.out_size).T


def _check_products(
    operator: Operator, matrix: Tensor, size: Tensor, generator: torch.Generator
) -> None:
    x = torch.randn((3, *operator.in_shape), generator=generator, dtype=torch.float64)
    y = torch.randn((3, *operator.out_shape), generator=generator, dtype=torch.float64)
    image = operator.mv(x)
    pulled = operator.rmv(y)
    if (image.shape[1:], pulled.shape[1:]) != (operator.out_shape, operator.in_shape):
        raise LawViolation(
            f"{operator}: products have shapes {tuple(image.shape)} and {tuple(pulled.shape)}"
        )
    a = flat(x)
    b = flat(y)
    _same(f"{operator}: A x", flat(image), a @ matrix.T, a.abs() @ size.T)
    _same(f"{operator}: A^T y", flat(pulled), b @ matrix, b.abs() @ size)
    _same(f"{operator}: T x", operator.T.mv(y), pulled, (b.abs() @ size).reshape(pulled.shape))
    _same(f"{operator}: T^T y", operator.T.rmv(x), image, (a.abs() @ size.T).reshape(image.shape))
    _same(f"{operator}: its matrix()", operator.matrix(chunk=7), matrix, size)


def _check_facts(operator: Operator, matrix: Tensor) -> None:
    """What an operator says that it is, the matrix is."""
    sizes = matrix.abs()
    lines = [sizes.amax(axis) if matrix.numel() else matrix.new_zeros(0) for axis in (0, 1)]
    sums = [sizes.sum(axis) for axis in (0, 1)]
    is_permuted = all(bool((line == 1).all()) for line in (*lines, *sums))
    facts = {
        "is_zero": not bool(matrix.any()),
        "is_isometry": is_permuted,
        "is_nonnegative": bool((matrix >= 0).all()),
        "is_wiring": bool(((matrix == 0) | (matrix == 1)).all()),
    }
    for name, holds in facts.items():
        if getattr(operator, name) and not holds:
            raise LawViolation(f"{operator}: its matrix is none that {name} speaks of")
    if operator.is_wiring:
        counts = (operator.in_counts.reshape(-1), operator.out_counts.reshape(-1))
        if not all(torch.equal(count, total) for count, total in zip(counts, sums, strict=True)):
            raise LawViolation(f"{operator}: its counts are not the sums of rows and columns")
    for name, twin in _twins(operator):
        if (twin.in_shape, twin.out_shape) != (operator.in_shape, operator.out_shape):
            raise LawViolation(f"{operator}: what its {name} says has other shapes: {twin}")
        if not torch.equal(_matrix(twin), matrix):
            raise LawViolation(f"{operator}: its {name} says another matrix")


def _twins(operator: Operator) -> Iterator[tuple[str, Operator]]:
    """The operators that facts describe completely."""
    if operator.diagonal is not None:
        yield "diagonal", Diagonal(operator.diagonal, operator.in_shape)
    if operator.matrices is not None:
        yield "matrices", Dense(operator.matrices, operator.in_shape)
    conv = Convolution.of(operator)
    if conv is not None:
        yield "kernel", conv


def _check_scaling(operator: Operator, matrix: Tensor, size: Tensor) -> None:
    """What an operator makes of itself and a diagonal is their product."""
    for shape in _scales(operator.out_shape):
        scale = torch.arange(1.0, 1.0 + shape.numel(), dtype=DTYPE).reshape(shape)
        found = operator.scaled_outputs(scale, 2.0**-53)
        if found is not None:
            rows = scale.broadcast_to(operator.out_shape).reshape(-1, 1)
            _same(f"{operator}: its scaled outputs", _matrix(found), rows * matrix, rows * size)
    for shape in _scales(operator.in_shape):
        scale = torch.arange(1.0, 1.0 + shape.numel(), dtype=DTYPE).reshape(shape)
        found = operator.scaled_inputs(scale, 2.0**-53)
        if found is not None:
            columns = scale.broadcast_to(operator.in_shape).reshape(-1)
            wanted = matrix * columns
            _same(f"{operator}: its scaled inputs", _matrix(found), wanted, size * columns)


def _scales(shape: torch.Size) -> Iterator[torch.Size]:
    """Shapes of scales: one number, one for every entry, one for every place of an axis."""
    yield torch.Size(())
    yield shape
    for axis, size in enumerate(shape):
        yield torch.Size([size, *[1] * (len(shape) - axis - 1)])


def _check_forms(operator: Operator, matrix: Tensor, size: Tensor) -> None:
    """Other forms of an operator are the same map: read off, folded, in another format."""
    columns_there = operator.mv_units(_units(operator.in_shape))
    columns = columns_there.reshape(operator.in_size, -1)
    rows_there = operator.rmv_units(_units(operator.out_shape))
    rows = rows_there.reshape(operator.out_size, -1)
    _same(f"{operator}: its columns", columns.T, matrix, size)
    _same(f"{operator}: its rows", rows, matrix, size)
    product: Callable[[Operator, Tensor], Tensor] = lambda leaf, x: leaf.mv(x)  # noqa: E731
    folded = operator.fold(
        _units(operator.in_shape), product, lambda parts: sum(parts[1:], parts[0])
    )
    _same(f"{operator}: its fold", folded.reshape(operator.in_size, -1).T, matrix, size)
    if operator.is_composite and isinstance(operator.T, Adjoint):
        raise LawViolation(f"{operator}: a composite has to know its own T")
    narrow = operator.cast(torch.float32)
    single = narrow.mv(_units(operator.in_shape).float())
    if single.dtype != torch.float32:
        raise LawViolation(f"{operator}: cast to float32 it gives {single.dtype}")
    rounded = single.double().reshape(operator.in_size, -1).T
    deviation = (rounded - matrix).abs()
    wrong = deviation > 1e-5 * size + 1e-30
    if bool((wrong & (size < 1e30) & (size > 1e-30)).any()):
        raise LawViolation(f"{operator}: cast to float32 it is another matrix")


def _units(shape: torch.Size) -> Tensor:
    """The unit vectors of a space."""
    return torch.eye(shape.numel(), dtype=DTYPE).reshape(-1, *shape)


def _check_entries(operator: Operator, matrix: Tensor) -> None:
    doubled = operator.entrywise(lambda entry: entry + entry.abs())
    if (doubled is None) == operator.knows_entries:
        raise LawViolation(f"{operator}: knows_entries is not what entrywise shows")
    if doubled is None and not must_be_formed(operator):
        raise LawViolation(f"{operator}: it is known what it is, but not its entries")
    if doubled is None:
        return
    if not torch.equal(_matrix(doubled), matrix + matrix.abs()):
        raise LawViolation(f"{operator}: entrywise does not map every entry of the matrix")
    if operator.magnitude is None or (matrix.abs() > operator.magnitude).any():
        raise LawViolation(
            f"{operator}: its magnitude {operator.magnitude} is below an entry of the matrix"
        )
    used = max([*(matrix != 0).sum(0).tolist(), *(matrix != 0).sum(1).tolist()], default=0)
    if used > operator.terms:
        raise LawViolation(
            f"{operator}: a row or column has {used} entries, more than its terms, {operator.terms}"
        )


def _same(what: str, value: Tensor, wanted: Tensor, size: Tensor) -> None:
    """Equality up to the rounding of a few thousand terms of the given sizes."""
    excess = ((value - wanted).abs() - sum_error(10_000, size) - TINY).flatten()
    if not (excess <= 0).all():
        raise LawViolation(
            f"{what} deviates from the matrix by {excess.max().item():.3g} more than "
            "rounding explains"
        )


def operator_kinds(package: str = "autolip.operators") -> list[type[Operator]]:
    """The classes of operators that the modules of a package define, found by themselves."""
    discover(package)
    known = dict.fromkeys(_derived(Operator))  # type: ignore[type-abstract]
    return [
        kind
        for kind in known
        if kind.__module__.startswith(f"{package}.") and not kind.__name__.startswith("_")
    ]


def _derived(kind: type[Operator]) -> Iterator[type[Operator]]:
    for derived in kind.__subclasses__():
        yield derived
        yield from _derived(derived)
