"""Differences of outputs: what has a run of its own, and what the others are bounded by."""

from autolip.estimate import bracket
from autolip.pairwise import OWN_RUNS
from tests.test_portfolio import QUICK, captured


def test_pairs_keep_to_the_budget_and_all_have_a_bound(ticking: None) -> None:
    """The largest have runs of their own; the others the bound of one walk."""
    result = bracket(captured(3, 8, 30), model="net", output="pairs", lower=QUICK, time_budget=8.0)
    assert len(result.pairs) == 435 and not result.complete
    assert all(pair.upper is not None and pair.upper.value is not None for pair in result.pairs)
    own = [pair for pair in result.pairs if pair.lower is not None]
    assert 0 < len(own) < OWN_RUNS
    alone = 435 - len(own)
    assert any(
        note.startswith(f"{alone} of 435 pairs have a bound that was had for many at once")
        for note in result.notes
    )


def test_without_a_budget_as_many_pairs_as_ten_outputs_have_are_run() -> None:
    result = bracket(captured(2, 3, 11), model="net", output="pairs", method="autolip", lower=QUICK)
    assert (
        sum(pair.lower is not None for pair in result.pairs) == OWN_RUNS and len(result.pairs) == 55
    )
    shown = [
        pair.upper.value
        for pair in result.pairs
        if pair.lower is not None and pair.upper is not None
    ]
    others = [
        pair.upper.value for pair in result.pairs if pair.lower is None and pair.upper is not None
    ]
    assert min(shown) >= max(others) * (1 - 1e-2)
    assert result.upper is not None and result.upper.value == max(shown)
