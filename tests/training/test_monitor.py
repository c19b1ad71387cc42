"""The monitor proves the bracket of the weights of the moment, and never ends a training."""

import math

import pytest
import torch
from torch import nn

from autolip import InputError, lipschitz
from autolip.training import Monitor, Record

from .networks import conv, mlp

QUICK = {"method": "autolip", "lower": "random", "time_budget": 1.0}


def test_it_follows_the_weights_without_a_new_capture() -> None:
    model = mlp()
    monitor = Monitor(model, torch.zeros(1, 8), **QUICK)
    first = monitor()
    with torch.no_grad():
        model[0].weight.mul_(2)
    second = monitor()
    direct = lipschitz(model.eval(), torch.zeros(1, 8), method="autolip", lower=None).upper
    assert first is not None and second is not None and direct is not None
    assert second.upper == pytest.approx(2 * first.upper, rel=1e-3)
    assert second.upper == pytest.approx(direct.value, rel=1e-6)
    assert [record.epoch for record in monitor.history] == [0, 1]


def test_training_mode_is_left_as_it_is_and_running_statistics_are_read() -> None:
    model = conv().train()
    monitor = Monitor(model, torch.zeros(1, 1, 8, 8), **QUICK)
    before = monitor()
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm2d)
    norm.running_var.mul_(4)
    after = monitor()
    assert model.training and before is not None and after is not None
    assert after.upper == pytest.approx(before.upper / 2, rel=1e-2)


def test_certified_samples_are_those_whose_margin_no_change_uses_up() -> None:
    """x -> (x, -x): constant sqrt 2, a margin of 2 |x| moves by at most 2 for each unit."""
    model = nn.Linear(1, 2, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0], [-1.0]]))
    x = torch.tensor([[0.05], [0.2], [-0.3], [1.0]]).double()
    data = x, torch.tensor([0, 0, 1, 1])
    monitor = Monitor(model, x[:1], data=data, radii=(0.1, 0.25, 2.0), **QUICK)
    record = monitor()
    assert record is not None and record.upper == pytest.approx(math.sqrt(2))
    assert record.accuracy == 0.75
    assert record.certified == {0.1: 0.5, 0.25: 0.25, 2.0: 0.0}


def test_a_logger_that_fails_does_not_end_the_training() -> None:
    def full(numbers: dict[str, float], epoch: int) -> None:
        raise OSError("no space left")

    monitor = Monitor(mlp(), torch.zeros(1, 8), log=full, **QUICK)
    record = monitor(epoch=0)
    assert record is not None and record.failure == "log: OSError: no space left"
    assert record.upper is not None and monitor.history == [record]


def test_only_every_nth_epoch_and_the_logger_is_told() -> None:
    told: list[tuple[dict[str, float], int]] = []
    monitor = Monitor(
        mlp(), torch.zeros(1, 8), every=3, log=lambda d, e: told.append((d, e)), **QUICK
    )
    records = [monitor(epoch) for epoch in range(7)]
    assert [record is not None for record in records] == [True, False, False] * 2 + [True]
    assert [epoch for _, epoch in told] == [0, 3, 6]
    assert {"lipschitz/upper", "lipschitz/lower", "lipschitz/ratio", "lipschitz/seconds"} == set(
        told[0][0]
    )


def test_a_failure_is_a_record_with_its_reason() -> None:
    model = mlp()
    monitor = Monitor(model, torch.zeros(1, 8), **QUICK)
    with torch.no_grad():
        model[0].weight.fill_(float("nan"))
    record = monitor()
    assert record is not None and record.upper is None
    assert record.failure is not None and "InputError" in record.failure
    assert record.to_dict().keys() == {"lipschitz/seconds"}


def test_options_are_checked_when_it_is_made() -> None:
    with pytest.raises(InputError, match="every is 0"):
        Monitor(mlp(), torch.zeros(1, 8), every=0)
    with pytest.raises(InputError, match="time_budget"):
        Monitor(mlp(), torch.zeros(1, 8), time_budget=-1)
    with pytest.raises(InputError, match="autolop"):
        Monitor(mlp(), torch.zeros(1, 8), method="autolop")


def test_the_ratio_is_unknown_without_a_lower_bound() -> None:
    assert Record(0, upper=2.0, lower=1.0).ratio == 2
    assert Record(0, upper=2.0, lower=0.0).ratio is None
