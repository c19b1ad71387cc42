"""The bracket, proved now and then while a network trains."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from autolip.budget import stopwatch
from autolip.capture.checks import check_module
from autolip.capture.torch.export import capture_program, export
from autolip.errors import InputError
from autolip.estimate import answered
from autolip.norms import Norm
from autolip.outputs import All
from autolip.question import Question, example_tensors
from autolip.result import Result
from autolip.training.live import own_module, refresh

LABELLED = {Norm.L1: 1.0, Norm.L2: math.sqrt(2), Norm.LINF: 2.0}
"""|e_i - e_j| in the dual of the output norm: how far a margin moves where the output moves by
1."""


@dataclass(frozen=True)
class Record:
    """What was found at one epoch: the bracket, certified accuracy by radius, or why there is
    nothing."""

    epoch: int
    upper: float | None = None
    lower: float | None = None
    accuracy: float | None = None
    certified: dict[float, float] = field(default_factory=dict)
    seconds: float = 0.0
    failure: str | None = None
    result: Result | None = field(default=None, repr=False)

    @property
    def ratio(self) -> float | None:
        """upper / lower: 1 would be exact."""
        return self.upper / self.lower if self.upper is not None and self.lower else None

    def to_dict(self, prefix: str = "lipschitz/") -> dict[str, float]:
        """Numbers by name, for a logger; what is not known is left out."""
        named = {
            "upper": self.upper,
            "lower": self.lower,
            "ratio": self.ratio,
            "accuracy": self.accuracy,
        }
        named |= {f"certified@{radius:g}": share for radius, share in self.certified.items()}
        named["seconds"] = self.seconds
        return {prefix + name: value for name, value in named.items() if value is not None}


class Monitor:
    """Proves the bracket of a training network every `every` epochs, within `time_budget` seconds
    each time.

    The model is captured once; its weights are read again each time, in evaluation mode, whatever
    mode it is in. With `data` = (inputs, labels) it also counts the share of samples that are
    classified and *certified* at each of `radii`: their margin, in float64, is above what the
    proved constant lets it move.  Other options are those of `lipschitz`: norm, region, output,
    method, lower.

    Call it once an epoch; `history` keeps every record, `log` (a function of a dictionary and an
    epoch) is told each. A failure, of `log` too, is a record with its reason: a monitor never ends
    the training.

        >>> import torch
        >>> from torch import nn
        >>> from autolip.training import Monitor
        >>> model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
        >>> monitor = Monitor(model, torch.zeros(1, 8), time_budget=1.0)
        >>> record = monitor(epoch=0)
        >>> 0 < record.lower <= record.upper
        True
    """

    def __init__(
        self,
        model: nn.Module,
        example_inputs: Any,
        *,
        every: int = 1,
        time_budget: float = 10.0,
        data: tuple[Tensor, Tensor] | None = None,
        radii: Sequence[float] = (0.1, 0.25, 0.5),
        log: Callable[[dict[str, float], int], None] | None = None,
        **options: Any,
    ) -> None:
        if every < 1:
            raise InputError(f"every is {every}: give a number of epochs >= 1")
        self.every = every
        self.data = data
        self.radii = tuple(radii)
        self.log = log
        self.question = Question.asked(time_budget=time_budget, **options)
        self.history: list[Record] = []
        self._model = own_module(model)
        self._frozen = copy.deepcopy(self._model).cpu().eval()
        self._inputs = tuple(value.cpu() for value in example_tensors(model, example_inputs))
        self._program = export(self._frozen, self._inputs, (0,))

    def __call__(self, epoch: int | None = None) -> Record | None:
        """The record of this epoch (default: the next); None between the epochs that are proved."""
        epoch = len(self.history) * self.every if epoch is None else epoch
        if epoch % self.every:
            return None
        elapsed = stopwatch()
        try:
            record = self._found(epoch, elapsed)
        except Exception as error:  # a monitor never ends the training: the reason is in its record
            record = Record(epoch, seconds=elapsed(), failure=_reason(error))
        record = self._logged(record)
        self.history.append(record)
        return record

    def _logged(self, record: Record) -> Record:
        """The record, told to the logger; with the reason where that fails."""
        if self.log is not None:
            try:
                self.log(record.to_dict(), record.epoch)
            except Exception as error:
                return replace(record, failure=record.failure or f"log: {_reason(error)}")
        return record

    def _found(self, epoch: int, elapsed: Callable[[], float]) -> Record:
        refresh(self._frozen, self._program, self._model)
        check_module(self._frozen)
        capture = capture_program(self._program, self._inputs, 0, self._frozen)
        name = type(self._model).__name__
        result = answered(capture, self.question, model=name)
        upper = None if result.upper is None else result.upper.value
        lower = None if result.lower is None else result.lower.value
        accuracy, certified = self._certified(upper)
        seconds = elapsed()
        return Record(epoch, upper, lower, accuracy, certified, seconds, result=result)

    def _certified(self, upper: float | None) -> tuple[float | None, dict[float, float]]:
        """Accuracy, and the share of samples whose margin no change of a radius can use up."""
        if self.data is None:
            return None, {}
        x, y = (value.cpu() for value in self.data)
        with torch.no_grad():
            logits = copy.deepcopy(self._frozen).double()(x.double())
        right = logits.argmax(1) == y
        accuracy = float(right.double().mean())
        if upper is None or self.question.output != All():
            return accuracy, {}
        best = logits.topk(2, 1).values
        margin = best[:, 0] - best[:, 1]
        reach = LABELLED[self.question.q] * upper
        held = {r: right & (margin > reach * r) for r in self.radii}
        shares = {r: float(which.double().mean()) for r, which in held.items()}
        return accuracy, shares


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
