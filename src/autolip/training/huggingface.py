"""The monitor as a callback of Hugging Face's Trainer (extra `transformers`)."""

from collections.abc import Callable
from typing import Any

from torch import nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from autolip.training.monitor import Monitor


class LipschitzCallback(TrainerCallback):
    """Proves the bracket of `network(model)` at the end of epochs; its numbers go into the
    trainer's log.

    `network` names the module whose forward pass is meant: an attribute of the model
    ("classifier"), or a function of it; it must return one tensor.
    `trainer.add_callback(callback)` and then `callback.trainer = trainer` makes the numbers reach
    every report of the trainer (TensorBoard and others); without it they are in
    `state.log_history`. The rest is as in `Monitor`.
    """

    def __init__(
        self, network: str | Callable[[nn.Module], nn.Module], example_inputs: Any, **options: Any
    ) -> None:
        self.network = network
        self.example_inputs = example_inputs
        self.options = options
        self.monitor: Monitor | None = None
        self.trainer: Trainer | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Captures the network once."""
        model = kwargs["model"]
        chosen = (
            getattr(model, self.network) if isinstance(self.network, str) else self.network(model)
        )
        self.monitor = Monitor(chosen, self.example_inputs, **self.options)

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """One record, by one process of several."""
        if self.monitor is None or not state.is_world_process_zero:
            return
        record = self.monitor(round(state.epoch or 0))
        if record is None:
            return
        if self.trainer is not None:
            self.trainer.log(record.to_dict())
        else:
            state.log_history.append(
                {**record.to_dict(), "epoch": state.epoch or 0.0, "step": state.global_step}
            )
