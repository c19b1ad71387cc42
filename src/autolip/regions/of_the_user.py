"""A region that the user defines, each of whose answers is checked before it is used."""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autolip.arguments import shown
from autolip.errors import AutolipError, InputError, printable
from autolip.intervals import Interval
from autolip.norms import Norm
from autolip.regions.region import Region, flat
from autolip.values import Upper


@dataclass(frozen=True, eq=False)
class OfTheUser(Region):
    """A region that the user defines: the same answers, each of them checked before it is used."""

    own: Region

    def interval(self, shape: torch.Size) -> Interval:
        box = self._answer("interval", shape)
        if not isinstance(box, Interval) or box.shape != shape or not box.lo.is_floating_point():
            raise self._useless("interval", box, f"an Interval of shape {tuple(shape)}")
        if not bool((box.lo <= box.hi).all()):
            raise self._useless("interval", box, "lower ends that do not exceed the upper ones")
        return Interval(box.lo.detach().double(), box.hi.detach().double())

    def contains(self, x: Tensor) -> bool:
        answer = self._answer("contains", x)
        if not isinstance(answer, bool | np.bool_) and not (
            isinstance(answer, Tensor) and answer.dim() == 0
        ):
            raise self._useless("contains", answer, "True or False")
        return bool(answer)

    def project(self, x: Tensor) -> Tensor:
        return self._points("project", x.shape, x)

    def inward(self, x: Tensor) -> Tensor:
        return self._points("inward", x.shape, x)

    def sample(self, count: int, example: Tensor, generator: torch.Generator) -> Tensor:
        return self._points(
            "sample", torch.Size((count, *example.shape)), count, example, generator
        )

    def centre(self, shape: torch.Size) -> Tensor | None:
        """Its own even where that follows from its interval: its bounds are counted from there."""
        self.interval(shape)
        found = self._answer("centre", shape)
        if found is None:
            return None
        finite = _are_numbers(found, shape) and bool(found.isfinite().all())
        if not finite:
            raise self._useless("centre", found, f"finite numbers of shape {tuple(shape)}, or None")
        return _doubles(found)

    def reach(self, shape: torch.Size) -> Tensor:
        """The least of what the region says itself and of what its interval says."""
        least = super().reach(shape)
        if not self._defines("reach"):
            return least
        return least.minimum(self._bounds("reach", shape, 0.0, shape))

    def support(self, rows: Tensor) -> Tensor:
        """The least of what the region says itself and of what its interval says; it is asked about
        rows of finite numbers only."""
        least = super().support(rows)
        if not self._defines("support"):
            return least
        known = flat(rows).isfinite().all(1)
        finite = torch.where(known.reshape(-1, *[1] * (rows.dim() - 1)), rows, 0.0)
        own = self._bounds("support", rows.shape[:1], -math.inf, finite)
        return least.minimum(torch.where(known, own, math.inf))

    def spread(self, norm: Norm, shape: torch.Size) -> Upper:
        """The least of what the region says itself and of what its interval says."""
        least = super().spread(norm, shape)
        if not self._defines("spread"):
            return least
        found = self._answer("spread", norm, shape)
        if not isinstance(found, Upper) or found.events:
            raise self._useless("spread", found, "an Upper without events")
        return Upper.least([least, found])

    def settled(self, shape: torch.Size) -> Tensor:
        if not self._defines("settled"):
            return super().settled(shape)
        found = self._answer("settled", shape)
        if not isinstance(found, Tensor) or found.shape != shape or found.dtype != torch.bool:
            raise self._useless("settled", found, f"truth values of shape {tuple(shape)}")
        return found

    def stride(self, shape: torch.Size) -> Tensor:
        if not self._defines("stride"):
            return super().stride(shape)
        return self._bounds("stride", shape, 0.0, shape)

    def describe(self) -> dict[str, object]:
        plain = self._answer("describe")
        if (
            not isinstance(plain, dict)
            or not isinstance(plain.get("kind"), str)
            or not _is_json(plain)
        ):
            raise self._useless(
                "describe", plain, "a dictionary of plain data whose 'kind' is a text"
            )
        return plain

    def _defines(self, method: str) -> bool:
        """Whether the answer is the region's own: one that follows from its interval follows here,
        from the interval as it was examined."""
        return getattr(type(self.own), method) is not getattr(Region, method)

    def _points(self, method: str, shape: torch.Size, *arguments: Any) -> Tensor:
        found = self._answer(method, *arguments)
        if not _are_numbers(found, shape):
            raise self._useless(method, found, f"floating-point numbers of shape {tuple(shape)}")
        return _doubles(found)

    def _bounds(self, method: str, shape: torch.Size, least: float, *arguments: Any) -> Tensor:
        found = self._answer(method, *arguments)
        if not _are_numbers(found, shape) or not bool((found >= least).all()):
            raise self._useless(method, found, f"numbers >= {least} of shape {tuple(shape)}")
        return _doubles(found)

    def _answer(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self.own, method)(*arguments)
        except AutolipError:
            raise
        except (Exception, SystemExit) as error:
            said = printable(" ".join(str(error).split()))
            raise InputError(
                f"{type(self.own).__name__}.{method} failed with {type(error).__name__} "
                f"({said}): repair the region"
            ) from error

    def _useless(self, method: str, answer: Any, wanted: str) -> InputError:
        return InputError(
            f"{type(self.own).__name__}.{method} answered {shown(answer)}: it must return {wanted}"
        )


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _are_numbers(found: Any, shape: torch.Size) -> bool:
    return isinstance(found, Tensor) and found.shape == shape and found.is_floating_point()


def _doubles(found: Tensor) -> Tensor:
    return found.detach().double()
