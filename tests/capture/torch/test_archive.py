"""Archives are examined before they are loaded: nothing they carry is run."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from autolip.capture.torch.archive import load_archive
from autolip.errors import InputError


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    program = torch.export.export(
        nn.Sequential(nn.Linear(3, 2), nn.ReLU()).eval(), (torch.zeros(1, 3),)
    )
    torch.export.save(program, tmp_path / "net.pt2")
    return tmp_path / "net.pt2"


def rewritten(archive: Path, change: Callable[[str, bytes], bytes | None], **extra: bytes) -> Path:
    """The archive with its records changed (None: left out) and others added."""
    records = {}
    with zipfile.ZipFile(archive) as old:
        for entry in old.infolist():
            root, _, name = entry.filename.partition("/")
            content = change(name, old.read(entry))
            if content is not None:
                records[f"{root}/{name}"] = content
        records |= {f"{root}/{name.replace('__', '/')}": content for name, content in extra.items()}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as new:
        for name, content in records.items():
            new.writestr(name, content)
    return archive


def edited(archive: Path, record: str, edit: Callable[[dict], None]) -> Path:
    """The archive with one JSON record edited in place."""

    def change(name: str, content: bytes) -> bytes:
        if name != record:
            return content
        value = json.loads(content)
        edit(value)
        return json.dumps(value).encode()

    return rewritten(archive, change)


class Malicious:
    def __reduce__(self):
        return (open, ("executed.txt", "w"))


def test_rewriting_alone_does_no_harm(archive: Path) -> None:
    program = load_archive(rewritten(archive, lambda name, content: content))
    assert [str(node.target) for node in program.graph.nodes if node.op == "call_function"] == [
        "aten.linear.default",
        "aten.relu.default",
    ]


def test_pickled_example_inputs_are_refused_and_not_executed(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(archive.parent)
    buffer = io.BytesIO()
    torch.save(((Malicious(),), {}), buffer)
    evil = rewritten(
        archive,
        lambda name, old: buffer.getvalue() if name.startswith("data/sample_inputs") else old,
    )
    with pytest.raises(InputError, match="pickled objects"):
        load_archive(evil)
    assert not Path("executed.txt").exists()


def test_pickled_weights_are_refused(archive: Path) -> None:
    def pickled(config: dict) -> None:
        config["config"]["0.weight"]["use_pickle"] = True

    with pytest.raises(InputError, match=r"stores 0.weight as a pickled object"):
        load_archive(edited(archive, "data/weights/model_weights_config.json", pickled))


@pytest.mark.parametrize(
    "name",
    ["data__constants__custom_obj_0", "data__weights__model.pt", "data__aotinductor__m__m.so"],
)
def test_records_that_would_be_executed_are_refused(archive: Path, name: str) -> None:
    with pytest.raises(InputError, match="would be executed or unpickled"):
        load_archive(rewritten(archive, lambda _, content: content, **{name: b"x"}))


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system",
        "torch.ops.load_library.__call__",
        "_operator.call",
        "torch.load",
        "math.prod",
    ],
)
def test_calls_of_anything_but_operations_are_refused(archive: Path, target: str) -> None:
    def call(program: dict) -> None:
        program["graph_module"]["graph"]["nodes"][0]["target"] = target

    with pytest.raises(InputError, match="is not an operation of PyTorch"):
        load_archive(edited(archive, "models/model.json", call))


def test_guards_are_code_and_refused(archive: Path) -> None:
    with pytest.raises(InputError, match="Python code for its guards"):
        load_archive(
            edited(
                archive, "models/model.json", lambda program: program.update(guards_code=["1 / 0"])
            )
        )


def test_symbolic_shapes_are_expressions_and_refused(tmp_path: Path) -> None:
    batch = ({0: torch.export.Dim("batch", min=2)},)
    program = torch.export.export(nn.Linear(3, 2), (torch.zeros(2, 3),), dynamic_shapes=batch)
    torch.export.save(program, tmp_path / "net.pt2")
    with pytest.raises(InputError, match="symbolic shapes: export again with fixed shapes"):
        load_archive(tmp_path / "net.pt2")


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04"])
def test_empty_and_damaged_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.pt2").write_bytes(content)
    with pytest.raises(InputError, match=r"is not a torch.export archive") as caught:
        load_archive(tmp_path / "net.pt2")
    assert "\n" not in str(caught.value)


def test_a_zip_that_is_no_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "net.pt2", "w") as other:
        other.writestr("readme.txt", "hello")
    with pytest.raises(InputError, match=r"is not a torch.export archive"):
        load_archive(tmp_path / "net.pt2")
