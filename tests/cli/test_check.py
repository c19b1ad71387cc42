"""`autolip estimate -o FILE.cert` and `autolip check FILE`; autolip.cli.recapture."""

from pathlib import Path

import pytest


@pytest.fixture
def certificate(run, tmp_path: Path) -> Path:
    file = tmp_path / "bound.cert"
    ran = run("estimate", "digits-mlp", "--method", "autolip", "--lower", "random", "-o", file)
    assert ran.code == 0 and "Lipschitz constant" in ran.out
    assert ran.out.endswith(f"{file} certifies 42.2807, by autolip\n")
    return file


def test_a_certificate_is_written_and_accepted(run, certificate: Path) -> None:
    ran = run("check", certificate)
    assert ran.code == 0
    assert ran.out.startswith("proved: ||f(x) - f(y)||_l2 <= 42.28")


def test_a_damaged_certificate_is_rejected(run, certificate: Path) -> None:
    certificate.write_bytes(
        certificate.read_bytes().replace(
            b'"value\\":42.28', b'"value\\":41.28'.replace(b'"v', b'"v')
        )
    )
    assert b"41.28" in certificate.read_bytes()
    ran = run("check", certificate)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("rejected: the facts show 42.28")


def test_what_is_no_certificate_is_refused_in_a_sentence(run, tmp_path: Path) -> None:
    (tmp_path / "x.cert").write_text("hello there", encoding="utf-8")
    for file in (tmp_path / "x.cert", tmp_path / "none.cert", tmp_path):
        ran = run("check", file)
        assert (
            ran.code == 2
            and ran.err.startswith(("not checked: ", "autolip: "))
            and ran.err.count("\n") == 1
        )


def write(path: Path, seed: int, **external: bool) -> None:
    """An ONNX file of two layers, with an input of three."""
    import numpy as np

    onnx = pytest.importorskip("onnx")
    draw = np.random.default_rng(seed)
    a, b = draw.standard_normal((4, 3)).astype("f4"), draw.standard_normal((4, 2)).astype("f4")
    tensors = [onnx.numpy_helper.from_array(a, "first"), onnx.numpy_helper.from_array(b, "last")]
    if not external:
        tensors[1] = onnx.helper.make_tensor("last", 1, b.shape, b.reshape(-1))
    nodes = [
        onnx.helper.make_node("Gemm", ["x", "first"], ["h"], transB=1),
        onnx.helper.make_node("Relu", ["h"], ["r"]),
        onnx.helper.make_node("MatMul", ["r", "last"], ["y"]),
    ]
    shapes = [onnx.helper.make_tensor_value_info(n, 1, [1, k]) for n, k in (("x", 3), ("y", 2))]
    graph = onnx.helper.make_graph(nodes, "g", shapes[:1], shapes[1:], tensors)
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )
    more = (
        {"save_as_external_data": True, "location": f"{path.stem}.data", "size_threshold": 0}
        if external
        else {}
    )
    onnx.save(model, path, **more)


def test_the_model_is_captured_again_and_compared(run, tmp_path: Path) -> None:
    """Of the model that it was made for all agrees; of other weights everything that differs is
    listed."""
    write(tmp_path / "a.onnx", 0)
    write(tmp_path / "b.onnx", 1)
    assert (
        run("estimate", tmp_path / "a.onnx", "--lower", "random", "-o", tmp_path / "x.cert").code
        == 0
    )
    same, other = (
        run("check", tmp_path / "x.cert", "--model", tmp_path / f"{n}.onnx") for n in "ab"
    )
    assert same.code == 0 and same.out.count("of the model file, bit for bit") == 2
    assert "captured again" in same.out and "was not repeated" not in same.out
    assert (other.code, other.out) == (1, "") and other.err.count("differ, the first") == 2
    broken = run("check", tmp_path / "x.cert", "--model", tmp_path / "x.cert")
    assert broken.code == 2 and broken.err.count("\n") == 1


@pytest.mark.parametrize("external", [False, True])
def test_weights_are_found_in_the_model_file_or_beside_it(
    run, tmp_path: Path, external: bool
) -> None:
    write(tmp_path / "a.onnx", 0, external=external)
    write(tmp_path / "b.onnx", 1, external=external)
    model = tmp_path / "a.onnx"
    assert run("estimate", model, "--lower", "random", "-o", tmp_path / "x.cert").code == 0
    assert (
        run("estimate", model, "--lower", "random", "-o", tmp_path / "y.cert", "--refer").code == 0
    )
    assert (tmp_path / "y.cert").stat().st_size < (tmp_path / "x.cert").stat().st_size
    whole = run("check", tmp_path / "x.cert", "--model", model)
    found = run("check", tmp_path / "y.cert", "--model", model)
    assert (found.code, found.out) == (0, whole.out) and "bit for bit" in found.out
    for lost in (
        run("check", tmp_path / "y.cert"),
        run("check", tmp_path / "y.cert", "--model", tmp_path / "b.onnx"),
    ):
        assert lost.code == 1 and "give the model that holds it" in lost.err
    assert run("estimate", "digits-mlp", "-o", tmp_path / "z.cert", "--refer").code == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "method, more", [("lipsdp", ()), ("seqlip-exact", ()), ("autolip", ("--output", "0-1"))]
)
def test_a_certificate_of_every_method_is_that_of_its_model(
    run, tmp_path: Path, method: str, more: tuple
) -> None:
    """On all inputs and on a ball, where slopes are narrower."""
    write(tmp_path / "a.onnx", 0)
    write(tmp_path / "b.onnx", 1)
    for where in ((), ("--center", "example", "--radius", "0.3")):
        options = ("--method", method, "--lower", "random", *more, *where)
        assert run("estimate", tmp_path / "a.onnx", *options, "-o", tmp_path / "x.cert").code == 0
        same, other = (
            run("check", tmp_path / "x.cert", "--model", tmp_path / f"{n}.onnx") for n in "ab"
        )
        assert (same.code, same.err) == (0, "") and other.code == 1


def test_a_hidden_scaling_is_seen_beside_the_model(run, tmp_path: Path) -> None:
    """2^-20, between two operations, as a number: listed by both, and no certificate of that
    model."""
    from autolip_check.check import check as judge
    from tests.checker.conftest import Forgery

    write(tmp_path / "a.onnx", 0)
    assert (
        run(
            "estimate",
            tmp_path / "a.onnx",
            "--method",
            "autolip",
            "--lower",
            "random",
            "-o",
            tmp_path / "x.cert",
        ).code
        == 0
    )
    forged = Forgery.of(tmp_path / "x.cert")
    vertices = forged.document["graph"]["vertices"]
    (relu,) = [vertex for vertex in vertices if vertex["name"] == "relu"]
    step = {"name": "#0", "shape": relu["shape"], "origin": {}, "edges": []}
    small = {"op": "diagonal", "weight": 2.0**-20, "in": relu["shape"], "error": 0.0}
    step["edges"].append({"source": relu["edges"][0]["source"], "kind": "exact", "map": small})
    relu["edges"][0]["source"] = "#0"
    vertices.insert(vertices.index(relu), step)
    for fact in forged.document["proof"]:
        if fact["sink"] == step["edges"][0]["source"]:
            fact["sink"], fact["value"] = "#0", fact["value"] * 2.0**-20
    forged.document["claim"]["value"] *= 2.0**-20
    forged.write(tmp_path / "forged.cert", careful=True)
    alone = run("check", tmp_path / "forged.cert")
    assert alone.code == 0 and "multiplies 'mm' by 9.5367431640625e-07" in alone.out
    said = "the number 9.5367431640625e-07 of '#0' is not stored in the model file"
    assert said in judge(tmp_path / "forged.cert", tmp_path / "a.onnx").assumed
    beside = run("check", tmp_path / "forged.cert", "--model", tmp_path / "a.onnx")
    assert (beside.code, beside.out) == (
        1,
        "",
    ) and "'#0' is no operation of the model" in beside.err


def test_the_verdict_as_json(run, certificate: Path) -> None:
    import json

    said = json.loads(run("check", certificate, "--json").out)
    assert said["proved"] is True and said["region"] == {"kind": "everywhere"} and said["assuming"]
