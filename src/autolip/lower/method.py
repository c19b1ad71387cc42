"""What a search for a lower bound is: a frozen dataclass of its options."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from autolip.errors import Refusal
from autolip.lower.problem import LowerProblem
from autolip.registry import Registry, require_options
from autolip.values import Lower


class LowerMethod(ABC):
    """A way to find two inputs with a large slope. Subclasses are frozen dataclasses of their
    options."""

    name: ClassVar[str]
    source: ClassVar[str]
    """Authors, year, section."""
    automatic: ClassVar[float | None] = None
    """Where it comes among the searches of "auto"; None: not among them."""

    def brief(self) -> "LowerMethod":
        """The same search as one of "auto", which takes little time for all of them."""
        return self

    def shared(self, count: int) -> "LowerMethod":
        """The same search for each of several problems, in the time that it would take by default
        for one; one with options of its own keeps to them."""
        return self

    def search(self, problem: LowerProblem) -> Lower | Refusal:
        """The best lower bound found, with a `Witness`; a Refusal says why there is none."""
        if not bool(problem.free.any()):
            return Refusal("the region is a single point: nothing can vary, choose a larger one")
        return self._search(problem)

    @abstractmethod
    def _search(self, problem: LowerProblem) -> Lower | Refusal:
        """The search itself, on a region that is more than a point."""


LOWER_METHODS: Registry[str, Callable[[], LowerMethod]] = Registry("lower-bound search")


def lower_method(cls: type[LowerMethod]) -> type[LowerMethod]:
    """Register a search under its name."""
    require_options("lower-bound search", cls, {})
    LOWER_METHODS.enter(cls.name, cls, cls)
    return cls


def automatic_searches() -> list[LowerMethod]:
    """The searches of "auto", in their order."""
    members = [make() for make in LOWER_METHODS.values()]
    ranked = [(one.automatic, one) for one in members if one.automatic is not None]
    ranked.sort(key=lambda entry: entry[0])
    return [one for _, one in ranked]


def lower_named(name: str) -> LowerMethod:
    """The search registered under a name, with its default options; InputError lists the names
    otherwise."""
    return LOWER_METHODS.named(name)()
