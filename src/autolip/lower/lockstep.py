"""Many sequential searches at once: each in a thread, their function values computed together in one batch."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

Point = Float[np.ndarray, " n"]
Search = Callable[[Callable[[Point], float]], object]
"""A search that calls the function it is given."""

Evaluate = Callable[[Sequence[int], Sequence[Point]], Sequence[float] | None]
"""Values at one point for each of some searches, given by number; None ends all searches."""


class _Ended(Exception):
    """No more values are given."""


@dataclass
class Lockstep:
    """Searches that wait for one another: values are computed when every live search has asked for one.

    What a batch holds depends on the searches alone, not on the timing of threads, so that results repeat.
    """

    evaluate: Evaluate
    asked: dict[int, Point] = field(default_factory=dict)
    answers: dict[int, float] = field(default_factory=dict)
    live: set[int] = field(default_factory=set)
    ended: bool = False
    turn: threading.Condition = field(default_factory=threading.Condition)

    def run(self, searches: Sequence[Search]) -> None:
        """Run all searches to their ends, or until `evaluate` returns None; an error of any of them is raised here."""
        self.live = set(range(len(searches)))
        errors: list[BaseException] = []
        threads = [threading.Thread(target=self._one, args=(i, x, errors)) for i, x in enumerate(searches)]
        for thread in threads:
            thread.start()
        try:
            while self._step():
                pass
        finally:
            with self.turn:
                self.ended = True
                self.turn.notify_all()
            for thread in threads:
                thread.join()
        if errors:
            raise errors[0]

    def _step(self) -> bool:
        """Answer one round of questions; whether there may be another."""
        with self.turn:
            self.turn.wait_for(lambda: len(self.asked) == len(self.live))
            numbers = sorted(self.asked)
            points = [self.asked[i] for i in numbers]
        values = self.evaluate(numbers, points) if numbers else None
        if values is None:
            return False
        with self.turn:
            self.asked.clear()
            self.answers.update(zip(numbers, values, strict=True))
            self.turn.notify_all()
        return True

    def _one(self, number: int, search: Search, errors: list[BaseException]) -> None:
        try:
            with contextlib.suppress(_Ended):
                search(lambda point: self._ask(number, point))
        except BaseException as error:  # raised again by `run`
            errors.append(error)
        finally:
            with self.turn:
                self.live.discard(number)
                self.turn.notify_all()

    def _ask(self, number: int, point: Point) -> float:
        with self.turn:
            self.asked[number] = np.array(point)
            self.turn.notify_all()
            self.turn.wait_for(lambda: number in self.answers or self.ended)
            if number not in self.answers:
                raise _Ended
            return self.answers.pop(number)
