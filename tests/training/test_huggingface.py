"""The callback in a real training by Hugging Face's Trainer."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

transformers = pytest.importorskip(
    "transformers", reason="the extra `transformers` is not installed"
)
pytest.importorskip("accelerate", reason="the extra `transformers` is not installed")

from autolip.training.huggingface import LipschitzCallback  # noqa: E402

from .networks import mlp  # noqa: E402


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = mlp()

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.network(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


@pytest.mark.slow
@pytest.mark.parametrize("reports", [False, True])
def test_records_reach_the_trainers_log(reports: bool, tmp_path: Path) -> None:
    data = [{"x": torch.randn(8), "labels": torch.tensor(number % 3)} for number in range(16)]
    callback = LipschitzCallback(
        "network", torch.zeros(1, 8), every=2, method="autolip", lower="random", time_budget=1.0
    )
    arguments: Any = transformers.TrainingArguments(
        output_dir=str(tmp_path), num_train_epochs=4, per_device_train_batch_size=8,
        report_to="none", save_strategy="no", use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    trainer = transformers.Trainer(Model(), arguments, train_dataset=data, callbacks=[callback])
    if reports:
        callback.trainer = trainer
    trainer.train()
    assert callback.monitor is not None
    assert [record.epoch for record in callback.monitor.history] == [2, 4]
    logged = [
        entry["lipschitz/upper"]
        for entry in trainer.state.log_history
        if "lipschitz/upper" in entry
    ]
    assert logged == pytest.approx([record.upper for record in callback.monitor.history])
