"""Many sequential searches at once: each in a thread, their function values computed together in
one batch."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue

import numpy as np
from jaxtyping import Float

Point = Float[np.ndarray, " n"]
Search = Callable[[Callable[[Point], float]], object]
"""A search that calls the function it is given."""

Evaluate = Callable[[Sequence[int], Sequence[Point]], Sequence[float] | None]
"""Values at one point for each of some searches, given by number; None ends all searches."""


class _Ended(Exception):
    """No more values are given."""


@dataclass(frozen=True)
class Lockstep:
    """Searches that wait for one another: values are computed when every live search has asked for
    one.

    What a batch holds depends on the searches alone, not on the timing of threads, so that results
    repeat.  Each search waits on a queue of its own: a round of n questions wakes n threads, not
    n^2.
    """

    evaluate: Evaluate
    heard: "SimpleQueue[tuple[int, Point | None]]" = field(default_factory=SimpleQueue)
    """What the searches ask, None from one that has ended."""

    def run(self, searches: Sequence[Search]) -> None:
        """Run all searches to their ends, or until `evaluate` returns None; an error of any of them
        is raised here."""
        answers: list[SimpleQueue[float | None]] = [SimpleQueue() for _ in searches]
        errors: list[BaseException] = []
        threads = [
            threading.Thread(target=self._one, args=(number, search, answers[number], errors))
            for number, search in enumerate(searches)
        ]
        for thread in threads:
            thread.start()
        try:
            self._answer(answers)
        finally:
            for queue in answers:
                queue.put(None)
            for thread in threads:
                thread.join()
        if errors:
            raise errors[0]

    def _answer(self, answers: Sequence["SimpleQueue[float | None]"]) -> None:
        """Round by round, until every search has ended or no more values are given."""
        live = set(range(len(answers)))
        while asked := self._round(live):
            numbers = sorted(asked)
            points = [asked[number] for number in numbers]
            values = self.evaluate(numbers, points)
            if values is None:
                return
            for number, value in zip(numbers, values, strict=True):
                answers[number].put(value)

    def _round(self, live: set[int]) -> dict[int, Point]:
        """What every live search asks; those that end instead leave `live`."""
        asked: dict[int, Point] = {}
        while len(asked) < len(live):
            number, point = self.heard.get()
            if point is None:
                live.discard(number)
            else:
                asked[number] = point
        return asked

    def _one(
        self,
        number: int,
        search: Search,
        answers: "SimpleQueue[float | None]",
        errors: list[BaseException],
    ) -> None:
        def ask(point: Point) -> float:
            self.heard.put((number, np.array(point)))
            value = answers.get()
            if value is None:
                answers.put(None)  # for whoever asks again
                raise _Ended
            return value

        try:
            with contextlib.suppress(_Ended):
                search(ask)
        except BaseException as error:  # raised again by `run`
            errors.append(error)
        finally:
            self.heard.put((number, None))
