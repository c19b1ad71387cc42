"""Networks that others trained: their bounds come with certificates that the checker accepts."""

from pathlib import Path

import pytest
import torch

from autolip import lipschitz
from autolip.capture.load import load_network
from autolip.estimate import bracket
from autolip.methods.lipsdp.method import LipSDP
from autolip.result import Result
from autolip_check.check import check

from .zoo_networks import NETWORKS, ZOO

pytestmark = [
    pytest.mark.skipif(not ZOO.is_dir(), reason=f"the external zoo {ZOO} is not here"),
    pytest.mark.slow,
]

SMALL = (
    "iris",
    "wine",
    "lipsdp_random",
    "fnn_tanh",
    "fnn_sigmoid",
    "ai2_fnn",
    "lipsdp_mnist",
    "cart_pole",
)
OTHERS = ("mlp_L33_W16", "kw_mnist", "cnn_C9_CH8")


def estimated(name: str, method: object) -> Result:
    factory, shape = NETWORKS[name]
    model = factory()
    x = torch.zeros(shape, dtype=next(model.parameters()).dtype)
    return lipschitz(model, (x,), method=method, lower=[])  # type: ignore[arg-type]


def accepted(result: Result, folder: Path) -> str:
    certificate = result.certificate()
    certificate.save(folder / "x.cert")
    assert result.upper is not None and result.upper.value is not None
    assert result.upper.value <= certificate.value <= result.upper.value * (1 + 3e-3)
    return check(folder / "x.cert").claim


@pytest.mark.parametrize("name", [*SMALL, *OTHERS])
def test_autolip(name: str, tmp_path: Path) -> None:
    assert "deterministically" in accepted(estimated(name, "autolip"), tmp_path)


@pytest.mark.parametrize("name", SMALL)
def test_lipsdp(name: str, tmp_path: Path) -> None:
    """Better than the product of norms, and proved."""
    better = estimated(name, LipSDP(seconds=4.0))
    product = estimated(name, "autolip")
    assert better.upper is not None and product.upper is not None
    assert better.upper.value < product.upper.value  # type: ignore[operator]
    assert "deterministically" in accepted(better, tmp_path)


@pytest.mark.parametrize(
    "file",
    sorted(ZOO.rglob("*pendulum.onnx")) + sorted(ZOO.rglob("ACASXU*.onnx")),
    ids=lambda f: f.stem,
)
def test_every_weight_of_a_model_file_is_found_in_it(file: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    result = bracket(load_network(str(file)).capture, model=file.name, method="autolip", lower=[])
    result.certificate().save(tmp_path / "x.cert")
    sentences = [s for s in check(tmp_path / "x.cert", file).assumed if "model file" in s]
    assert sentences and all("bit for bit" in s for s in sentences)
