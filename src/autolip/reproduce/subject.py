"""A network of an experiment, with what the searches for lower bounds need, and its fingerprint."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor, nn

from autolip.capture.replay import replay
from autolip.capture.torch.export import Capture, capture_model
from autolip.methods import Problem
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.regions import Everywhere, Region
from autolip.reproduce.steps import Facts


@dataclass(frozen=True)
class Subject:
    """A network in evaluation mode and an example input.

    `region` is where lower bounds are searched (what is attained there holds everywhere), `data`
    the inputs of the data set, `facts` what is known about the training; `depth` counts its layers.
    """

    label: str
    depth: int
    model: nn.Module
    example: Tensor
    region: Region
    data: Tensor | None = None
    facts: Facts = field(default_factory=dict)
    _problems: dict[int, Problem] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @cached_property
    def capture(self) -> Capture:
        """The network as a graph."""
        capture = capture_model(self.model, (self.example,))
        replay(capture)
        return capture

    def problem(self, seed: int) -> Problem:
        """What upper bounds are asked for: l2 to l2, everywhere; norms are remembered from one
        column to the next."""
        if seed not in self._problems:
            graph = self.capture.graph
            options = NormOptions(delta=1e-9 / (4 * len(graph.nodes)), seed=seed)
            self._problems[seed] = Problem.pose(graph, Everywhere(), Norm.L2, Norm.L2, options)
        return self._problems[seed]

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the weights, the example, the region and the data."""
        tensors = [*self.model.state_dict().values(), self.example]
        tensors += [value for value in vars(self.region).values() if isinstance(value, Tensor)]
        return digest(
            [*tensors, *([] if self.data is None else [self.data])],
            f"{self.model}{type(self.region)}",
        )


def digest(tensors: Iterable[Tensor], text: str = "") -> str:
    """SHA-256 of shapes, types and numbers."""
    total = hashlib.sha256(text.encode())
    for tensor in tensors:
        total.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        total.update(tensor.detach().contiguous().cpu().numpy().tobytes())
    return total.hexdigest()
