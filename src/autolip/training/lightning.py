"""The monitor as a callback of Lightning (extra `lightning`)."""

from collections.abc import Callable
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn

from autolip.training.monitor import Monitor


class LipschitzMonitor(Callback):
    """Proves the bracket of `network(module)` at the end of training epochs; its numbers go to the
    module's loggers.

    `network` names the module whose forward pass is meant: an attribute of the LightningModule
    ("model"), or a function of it.  The rest is as in `Monitor`, which is available as `monitor`
    once training has begun.
    """

    def __init__(
        self,
        network: str | Callable[[LightningModule], nn.Module],
        example_inputs: Any,
        **options: Any,
    ) -> None:
        super().__init__()
        self.network = network
        self.example_inputs = example_inputs
        self.options = options
        self.monitor: Monitor | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Captures the network once."""
        chosen = (
            getattr(pl_module, self.network)
            if isinstance(self.network, str)
            else self.network(pl_module)
        )
        self.monitor = Monitor(chosen, self.example_inputs, **self.options)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """One record, by one process of several."""
        if self.monitor is None or not trainer.is_global_zero:
            return
        record = self.monitor(trainer.current_epoch)
        if record is not None:
            for logger in trainer.loggers:
                logger.log_metrics(record.to_dict(), step=trainer.global_step)
