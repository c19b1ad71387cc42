"""`autolip estimate -o FILE.cert` and `autolip check FILE`."""

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
        certificate.read_bytes().replace(b'"value\\":42.28', b'"value\\":41.28'.replace(b'"v', b'"v'))
    )
    assert b"41.28" in certificate.read_bytes()
    ran = run("check", certificate)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("rejected: the facts show 42.28")


def test_what_is_no_certificate_is_refused_in_a_sentence(run, tmp_path: Path) -> None:
    (tmp_path / "x.cert").write_text("hello there", encoding="utf-8")
    for file in (tmp_path / "x.cert", tmp_path / "none.cert", tmp_path):
        ran = run("check", file)
        assert ran.code == 2 and ran.err.startswith(("not checked: ", "autolip: ")) and ran.err.count("\n") == 1


def test_the_model_file_is_compared(run, tmp_path: Path) -> None:
    """Weights are found in the file; a file of other weights does not hold them."""
    onnx = pytest.importorskip("onnx")
    import numpy as np

    def write(path: Path, seed: int) -> None:
        draw = np.random.default_rng(seed)
        a, b = draw.standard_normal((4, 3)).astype("f4"), draw.standard_normal((4, 2)).astype("f4")
        tensors = [onnx.numpy_helper.from_array(a, "first"), onnx.helper.make_tensor("last", 1, b.shape, b.reshape(-1))]
        nodes = [
            onnx.helper.make_node("Gemm", ["x", "first"], ["h"], transB=1),
            onnx.helper.make_node("Relu", ["h"], ["r"]),
            onnx.helper.make_node("MatMul", ["r", "last"], ["y"]),
        ]
        shapes = [onnx.helper.make_tensor_value_info(n, 1, [1, k]) for n, k in (("x", 3), ("y", 2))]
        graph = onnx.helper.make_graph(nodes, "g", shapes[:1], shapes[1:], tensors)
        onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)

    write(tmp_path / "a.onnx", 0)
    write(tmp_path / "b.onnx", 1)
    assert run("estimate", tmp_path / "a.onnx", "--lower", "random", "-o", tmp_path / "x.cert").code == 0
    same, other = (run("check", tmp_path / "x.cert", "--model", tmp_path / f"{n}.onnx") for n in "ab")
    assert same.code == 0 and same.out.count("of the model file, bit for bit") == 2
    assert other.code == 0 and other.out.count("not stored in the model file") == 2
    assert run("estimate", tmp_path / "a.onnx", "--lower", "random", "-o", tmp_path / "y.cert", "--refer").code == 0
    assert (tmp_path / "y.cert").stat().st_size < (tmp_path / "x.cert").stat().st_size
    found = run("check", tmp_path / "y.cert", "--model", tmp_path / "a.onnx")
    assert (found.code, found.out) == (0, same.out)
    for lost in (run("check", tmp_path / "y.cert"), run("check", tmp_path / "y.cert", "--model", tmp_path / "b.onnx")):
        assert lost.code == 1 and "give the model that holds it" in lost.err
    assert run("estimate", "digits-mlp", "-o", tmp_path / "z.cert", "--refer").code == 2
    broken = run("check", tmp_path / "x.cert", "--model", tmp_path / "x.cert")
    assert broken.code == 2 and "ONNX" in broken.err
