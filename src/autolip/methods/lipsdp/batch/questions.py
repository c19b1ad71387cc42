"""Questions about one network, and what was found: everything has a leading axis."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

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
    (lam of a statement whose value it is); `energies` are lam (rho |v|)^2: what a neuron's freedom
    to bend is worth, for a choice among neurons to branch on.  `vectors` start others.
    """

    value: Float[Tensor, " b"]
    attained: Float[Tensor, " b"]
    multipliers: Mapping[str, Tensor]
    energies: Mapping[str, Tensor]
    vectors: Vectors

    def written(self, index: Tensor, other: "Answers") -> "Answers":
        """These, with others for some questions: the smaller value with its multipliers."""
        better = other.value < self.value[index]
        at = index[better]
        value, attained = self.value.clone(), self.attained.clone()
        value[at] = other.value[better]
        attained[index] = torch.maximum(attained[index], other.attained)
        multipliers = {
            name: x.index_copy(0, at, other.multipliers[name][better])
            for name, x in self.multipliers.items()
        }
        energies = {
            name: x.index_copy(0, index, other.energies[name]) for name, x in self.energies.items()
        }
        x = self.vectors.x.index_copy(0, index, other.vectors.x)
        u = {
            name: part.index_copy(0, index, other.vectors.u[name])
            for name, part in self.vectors.u.items()
        }
        return replace(
            self,
            value=value,
            attained=attained,
            multipliers=multipliers,
            energies=energies,
            vectors=Vectors(x, u),
        )

    @staticmethod
    def none(like: "Answers", count: int) -> "Answers":
        """Nothing known yet, of questions like these."""

        def blank(x: Tensor) -> Tensor:
            return x.new_zeros(count, *x.shape[1:])

        vectors = Vectors(blank(like.vectors.x), {k: blank(u) for k, u in like.vectors.u.items()})
        return Answers(
            torch.full((count,), math.inf, dtype=DTYPE),
            torch.zeros(count, dtype=DTYPE),
            {name: blank(x) for name, x in like.multipliers.items()},
            {name: blank(x) for name, x in like.energies.items()},
            vectors,
        )
