"""Outputs: the law on every kind that is registered, what each reads, and that a new kind is one
class.

Covers autolip.outputs.* and autolip.testing.outputs.
"""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from autolip import InputError, lipschitz
from autolip.capture.torch.export import capture_model
from autolip.errors import AutolipError
from autolip.estimate import bracket
from autolip.operators import Dense, Operator
from autolip.outputs import (
    KINDS,
    All,
    Component,
    Difference,
    Output,
    Pairs,
    output_kind,
    parse_output,
)
from autolip.testing import LawViolation, check_output

SHAPE = torch.Size([1, 4])
Y = torch.tensor([[3.0, 5.0, 11.0, 2.0]], dtype=torch.float64)


def read(output: Output) -> Tensor:
    readout = output.readout(SHAPE)
    return Y if readout is None else readout.mv(Y[None])[0]


EXAMPLES = [example for kind in KINDS.values() for example in kind.examples()]


@pytest.mark.parametrize("output", EXAMPLES, ids=lambda output: f"{type(output).__name__} {output}")
def test_every_kind_obeys_the_law(output: Output) -> None:
    check_output(output, SHAPE)


def test_what_is_read() -> None:
    assert torch.equal(read(All()), Y)
    assert read(Component(2)).tolist() == [11.0]
    assert read(Difference(2, 1)).tolist() == [6.0]


def test_pairs_are_all_differences() -> None:
    pairs = Pairs().differences(SHAPE)
    assert pairs == tuple(Difference(i, j) for i in range(4) for j in range(i + 1, 4))
    assert All().differences(SHAPE) == Component(1).differences(SHAPE) == ()


@pytest.mark.parametrize("output", [All(), Pairs(), Component(3), Difference(3, 5)])
def test_an_output_is_what_its_text_means(output: Output) -> None:
    assert parse_output(str(output)) == output
    assert type(output) in KINDS.values() and type(output).written in str(parse_output_refusal())


def parse_output_refusal() -> InputError:
    with pytest.raises(InputError) as caught:
        parse_output("best")
    return caught.value


@pytest.mark.parametrize(
    ("output", "shape", "reason"),
    [
        (Component(4), SHAPE, "output 4 does not exist: the network has 4, counted from 0"),
        (Difference(0, 7), SHAPE, "output 7 does not exist"),
        (Pairs(), torch.Size([1]), "output 'pairs' needs at least two outputs"),
    ],
)
def test_what_the_network_does_not_return(output: Output, shape: torch.Size, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        output.readout(shape)


def test_a_difference_of_a_component_with_itself() -> None:
    with pytest.raises(InputError, match="'3-3' is the difference of a component with itself"):
        Difference(3, 3)


@dataclass(frozen=True)
class Mean(Output):
    """A kind of its own: the mean of all components."""

    def __str__(self) -> str:
        return "mean"

    @property
    def subject(self) -> str:
        return "Lipschitz constant of the mean output"

    def readout(self, shape: torch.Size) -> Operator:
        return Dense(torch.full((1, shape.numel()), 1 / shape.numel(), dtype=torch.float64))


def test_a_kind_of_ones_own_is_bounded_printed_and_written() -> None:
    """Nothing but its class says what it is."""
    torch.manual_seed(0)
    layer = nn.Linear(3, 4, bias=False).double()
    constant = layer.weight.mean(0).norm().item()
    result = lipschitz(layer.eval(), torch.zeros(3, dtype=torch.float64), output=Mean())
    assert result.upper is not None and result.lower is not None
    assert result.lower.value == pytest.approx(constant, rel=1e-6)
    assert result.upper.value == pytest.approx(constant, rel=1e-6)
    assert "<= Lipschitz constant of the mean output <=" in repr(result)
    assert result.to_dict()["output"] == "mean"


class Nameless(Mean):
    """The mean, said of nothing."""

    @property
    def subject(self) -> str:
        return " "


class Masked(Mean):
    """The mean, written as another output."""

    def __str__(self) -> str:
        return "3"


class Misshapen(Mean):
    """The mean of a vector, whatever the shape."""

    def readout(self, shape: torch.Size) -> Operator:
        return Dense(torch.full((1, 5), 0.2, dtype=torch.float64))


class Double(Mean):
    """One map, and differences."""

    def differences(self, shape: torch.Size) -> tuple[Difference, ...]:
        return (Difference(0, 1),)


@pytest.mark.parametrize(
    ("kind", "broken"),
    [
        (Nameless, "what its bounds are bounds of"),
        (Masked, "means another output to Component"),
        (Misshapen, r"must read what has the shape \(4,\)"),
        (Double, "not both"),
    ],
)
def test_a_kind_that_breaks_the_law_is_seen(kind: type[Output], broken: str) -> None:
    check_output(Mean(), torch.Size([4]))
    with pytest.raises(LawViolation, match=broken):
        check_output(kind(), torch.Size([4]))


def test_what_a_registered_kind_forgets_is_an_error() -> None:
    class Unwritten(Mean):
        """The mean."""

    class Untried(Mean):
        """The mean."""

        written = "the mean"

    class Unread(Untried):
        """The mean."""

        @classmethod
        def examples(cls) -> tuple[Output, ...]:
            return (cls(),)

    class Silent(Mean):
        pass

    class Twice(All):
        """All of it again."""

    for kind, forgotten in (
        (Silent, "Silent has no docstring"),
        (Unwritten, "Unwritten has no `written`"),
        (Untried, "Untried has no `examples`"),
        (Unread, "Unread does not read 'mean'"),
        (Twice, "output kind all is there already"),
    ):
        with pytest.raises(AutolipError, match=forgotten):
            output_kind(kind)


class Forgetful(Output):
    """Says neither how it is written nor what it reads."""


def test_a_kind_that_forgets_an_answer_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="readout, subject"):
        Forgetful()  # type: ignore[abstract]


def test_an_output_goes_through_a_bracket_unchanged() -> None:
    capture = capture_model(nn.Linear(3, 4).eval(), (torch.zeros(3),))
    found = bracket(capture, model="net", output=Difference(0, 2), method="autolip", lower=None)
    assert found.output == Difference(0, 2)
