"""Efforts: a proof that was begun in time may end half of the time later."""

from autolip.budget import Budget, counting
from autolip.methods.lipsdp.search.effort import Effort


def test_overtime_is_half_of_the_time_again() -> None:
    with counting() as clock:
        effort = Effort.within(Budget.of(2.0, clock), 0.01, None, 0.01, 100)
        assert effort.budget.affords(1.999) and not effort.budget.affords(2.001)
        assert effort.overtime.affords(2.999) and not effort.overtime.affords(3.001)


def test_what_has_expired_has_no_overtime() -> None:
    effort = Effort.within(Budget.of(-1.0), 0.01, None, 0.01, 100)
    assert effort.budget.expired and effort.overtime.expired
