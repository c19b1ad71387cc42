"""ONNX files that others trained and exported: each one loads, exports, and agrees with its
reference."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnx")

from autolip.capture.onnx.reading import load_onnx

ZOO = Path(os.environ.get("AUTOLIP_ZOO", Path(__file__).parents[3] / "shared" / "zoo"))
FILES = sorted(ZOO.rglob("*.onnx"))


@pytest.mark.skipif(not FILES, reason=f"no ONNX files in {ZOO}; set AUTOLIP_ZOO")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_published_file_is_captured(path: Path) -> None:
    model = load_onnx(path)
    random = np.random.default_rng(0)
    inputs = {name: random.random(shape).astype(np.float32) for name, shape in model.inputs.items()}
    example = tuple(torch.from_numpy(array) for array in inputs.values())
    exported = torch.export.export(model.module, example).run_decompositions({}).module()
    expected = model.reference(inputs)
    for module in (model.module, exported):
        outputs = module(*example)
        for ours, theirs in zip(
            outputs if isinstance(outputs, tuple) else (outputs,), expected, strict=True
        ):
            assert ours.shape == theirs.shape
            assert np.abs(ours.numpy() - theirs).max() <= 1e-5 * np.abs(theirs).max()
