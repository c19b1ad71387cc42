"""The callback in a real Lightning training."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

lightning = pytest.importorskip(
    "lightning.pytorch", reason="the extra `lightning` is not installed"
)

from autolip.training.lightning import LipschitzMonitor  # noqa: E402

from .networks import mlp  # noqa: E402


class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.network = mlp()

    def training_step(self, batch: list[Tensor], index: int) -> Tensor:
        return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["network", lambda module: module.network])
def test_records_reach_the_csv_logger(network: Any, tmp_path: Path) -> None:
    data = torch.utils.data.TensorDataset(torch.randn(16, 8), torch.randint(0, 3, (16,)))
    callback = LipschitzMonitor(
        network, torch.zeros(1, 8), every=2, method="autolip", lower="random", time_budget=1.0
    )
    logger = lightning.loggers.CSVLogger(tmp_path)
    trainer = lightning.Trainer(
        max_epochs=3, logger=logger, callbacks=[callback], accelerator="cpu",
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(Module(), torch.utils.data.DataLoader(data, batch_size=8))
    assert callback.monitor is not None
    assert [record.epoch for record in callback.monitor.history] == [0, 2]
    (path,) = tmp_path.rglob("metrics.csv")
    rows = [row for row in csv.DictReader(path.open()) if row.get("lipschitz/upper")]
    uppers = [record.upper for record in callback.monitor.history]
    assert [float(row["lipschitz/upper"]) for row in rows] == pytest.approx(uppers)
