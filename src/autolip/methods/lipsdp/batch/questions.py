"""Questions about one network, and what was found: everything has a leading axis."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from autolip.slopes import Between

DTYPE = torch.float64


@dataclass(frozen=True)
class Questions:
    """Bound |R (y - y')|_2 / |x - x'| for every read-out R, with the slopes of its sample.

    `slopes` has for every pointwise vertex, by name, the slopes of all samples, (samples, *shape);
    question i reads R = readouts[i] of the flattened output, with those of sample `samples[i]`.
    """

    slopes: Mapping[str, Between]
    readouts: Float[Tensor, "b m n"]
    samples: Int[Tensor, " b"]

    def __post_init__(self) -> None:
        """Raises ValueError where an interval of slopes is empty or infinite."""
        for name, slope in self.slopes.items():
            if not slope.is_finite or not bool((slope.lo <= slope.hi).all()):
                raise ValueError(f"the slopes of {name} are no finite intervals")

    @staticmethod
    def each(
        slopes: Mapping[str, Between], readouts: Float[Tensor, "s m n"] | Float[Tensor, "m n"]
    ) -> "Questions":
        """One question for every sample: its own read-out, or one for all."""
        count = len(next(iter(slopes.values())).lo)
        rows = readouts.to(DTYPE).expand(count, *readouts.shape[-2:])
        return Questions(slopes, rows, torch.arange(count))

    @staticmethod
    def crossed(slopes: Mapping[str, Between], readouts: Float[Tensor, "r m n"]) -> "Questions":
        """Every read-out of every sample; all of the first sample come first."""
        count = len(next(iter(slopes.values())).lo)
        samples = torch.arange(count).repeat_interleave(len(readouts))
        return Questions(slopes, readouts.to(DTYPE).repeat(count, 1, 1), samples)

    def __len__(self) -> int:
        return len(self.readouts)

    @property
    def count(self) -> int:
        """How many samples there are."""
        given = next(iter(self.slopes.values()), None)
        return 1 + max(self.samples.tolist(), default=0) if given is None else len(given.lo)

    def taken(self, index: Tensor) -> "Questions":
        """Some of them, with the samples that they need."""
        samples, places = self.samples[index].unique(return_inverse=True)
        slopes = {name: Between(x.lo[samples], x.hi[samples]) for name, x in self.slopes.items()}
        return Questions(slopes, self.readouts[index], places)


@dataclass(frozen=True)
class Vectors:
    """Where a climb stands, or starts: the input and the direction of every result, r columns."""

    x: Float[Tensor, "b r *shape"]
    u: Mapping[str, Tensor]

    def taken(self, index: Tensor) -> "Vectors":
        """Those of some questions, or of what they become: an index may come several times."""
        return Vectors(self.x[index], {name: u[index] for name, u in self.u.items()})


@dataclass(frozen=True)
class Answers:
    """What was found for every question.

    `value` is proved, inf where nothing was; `attained` is what the relaxation attains, which no
    multipliers can undercut: neither bound on the constant itself.  `multipliers` prove the value
    (lam of a statement whose value it is), with weights mu of an linf input in `inputs`.
    `energies` are lam (rho |v|)^2: what a neuron's freedom to bend is worth, for a choice among
    neurons to branch on.  `vectors` start others.
    """

    value: Float[Tensor, " b"]
    attained: Float[Tensor, " b"]
    multipliers: Mapping[str, Tensor]
    inputs: Tensor | None
    energies: Mapping[str, Tensor]
    vectors: Vectors

    def __len__(self) -> int:
        return len(self.value)

    def written(self, index: Tensor, others: "Answers") -> "Answers":
        """These, with others for some questions: the smaller value with its multipliers, the rest
        as it is now."""
        better = others.value < self.value[index]
        at = index[better]

        def proved(mine: Tensor, its: Tensor) -> Tensor:
            return mine.index_copy(0, at, its[better])

        def latest(mine: Tensor, its: Tensor) -> Tensor:
            return mine.index_copy(0, index, its)

        inputs = None
        if self.inputs is not None and others.inputs is not None:
            inputs = proved(self.inputs, others.inputs)
        reached = torch.maximum(self.attained[index], others.attained)
        u = _each(latest, self.vectors.u, others.vectors.u)
        return Answers(
            proved(self.value, others.value),
            latest(self.attained, reached),
            _each(proved, self.multipliers, others.multipliers),
            inputs,
            _each(latest, self.energies, others.energies),
            Vectors(latest(self.vectors.x, others.vectors.x), u),
        )


def _each(
    change: Callable[[Tensor, Tensor], Tensor],
    mine: Mapping[str, Tensor],
    others: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    return {name: change(x, others[name]) for name, x in mine.items()}
