"""Searches in lockstep: every value asked for is given, in batches, whatever ends first."""

import threading

import pytest

from autolip.lower.batched_searches import Lockstep


def test_every_search_gets_its_own_values_in_full_batches() -> None:
    sizes, results = [], {}

    def evaluate(numbers, points):
        sizes.append(len(numbers))
        return [10 * number + point[0] for number, point in zip(numbers, points, strict=True)]

    def search(number, rounds):
        def run(value):
            results[number] = [value([float(k)]) for k in range(rounds)]

        return run

    Lockstep(evaluate).run([search(0, 2), search(1, 4), search(2, 3)])
    assert results == {
        i: [10 * i + k for k in range(rounds)] for i, rounds in ((0, 2), (1, 4), (2, 3))
    }
    assert sizes == [3, 3, 2, 1]


def test_the_end_of_the_budget_ends_every_search() -> None:
    rounds = iter([[1.0, 1.0], None])
    reached = []

    def search(value):
        value([0.0])
        reached.append(1)
        value([0.0])
        reached.append(2)

    Lockstep(lambda numbers, points: next(rounds)).run([search, search])
    assert reached == [1, 1] and threading.active_count() < 10


@pytest.mark.parametrize("where", ["search", "evaluate"])
def test_errors_are_raised_and_leave_no_thread(where: str) -> None:
    before = threading.active_count()

    def evaluate(numbers, points):
        if where == "evaluate":
            raise ValueError("broken")
        return [0.0] * len(numbers)

    def search(value):
        value([0.0])
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        Lockstep(evaluate).run([search] * 3)
    assert threading.active_count() == before
