"""`torch.export` archives (.pt2), read without running anything they carry.

`torch.export.load` falls back to full unpickling, evaluates symbolic shapes as Python expressions,
looks up any attribute of `torch` as an operation and starts compiled libraries.  So an archive is
examined first, in memory, with the reader that loads it later: what needs any of these is refused.
"""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.pt2_archive import PT2ArchiveReader
from torch.export.pt2_archive._package import load_pt2

from autolip.capture.weights import check_inflated
from autolip.errors import InputError

HARMLESS = re.compile(
    r"(archive_format|archive_version|byteorder|\.data/\w+|extra/.*"
    r"|models/[^/]*\.json|data/sample_inputs/[^/]*\.pt"
    r"|data/weights/(weight_\d+|[^/]*_config\.json)|data/constants/(tensor_\d+|[^/]*_config\.json))"
)
"""Records without executable content; a pickled constant or weight shows in its config and is
looked for there."""
OPERATION = re.compile(
    r"torch\.ops\.(aten|prims|higher_order)\.[a-z_]\w*(\.[a-zA-Z]\w*)?|_operator\.getitem"
)
"""What a graph of fixed shapes calls."""


def load_archive(path: Path) -> ExportedProgram:
    """The one program in the archive.

    Raises InputError if the file is no archive of one exported program, or would run code when
    loaded.
    """
    try:
        check_inflated(path)
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    try:
        _examine(PT2ArchiveReader(io.BytesIO(content)), path)
        programs = load_pt2(io.BytesIO(content)).exported_programs
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{path} is not a torch.export archive that PyTorch {torch.__version__} can "
            "read: write it again with"
            " torch.export.save"
        ) from error
    if len(programs) != 1:
        raise InputError(f"{path} holds {len(programs)} programs: save one with torch.export.save")
    return next(iter(programs.values()))


def _examine(reader: PT2ArchiveReader, path: Path) -> None:
    names = reader.get_file_names()
    for name in names:
        if not HARMLESS.fullmatch(name):
            raise InputError(
                f"{path} carries {name}, which would be executed or unpickled when loaded; refused"
            )
    for name in names:
        if name.endswith("_config.json"):
            _examine_payload(json.loads(reader.read_string(name)), path)
        elif name.startswith("models/"):
            _examine_program(json.loads(reader.read_string(name)), path)
        elif name.startswith("data/sample_inputs/"):
            _examine_pickle(reader.read_bytes(name), path)


def _examine_payload(config: Any, path: Path) -> None:
    for name, entry in config["config"].items():
        if entry["use_pickle"]:
            raise InputError(
                f"{path} stores {name} as a pickled object, which is never loaded: make it a tensor"
            )


def _examine_program(program: Any, path: Path) -> None:
    if program.get("guards_code"):
        raise InputError(
            f"{path} carries Python code for its guards, which is never run: export with "
            "fixed shapes"
        )
    for key in _keys(program):
        if key in ("as_expr", "expr_str"):
            raise InputError(
                f"{path} has symbolic shapes: export again with fixed shapes (no dynamic_shapes)"
            )
    for node in program["graph_module"]["graph"]["nodes"]:
        if not OPERATION.fullmatch(node["target"]):
            raise InputError(
                f"{path} calls {node['target']}, which is not an operation of PyTorch; refused"
            )


def _keys(tree: Any) -> Iterator[str]:
    """Every key of every dictionary in the tree."""
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            yield from node
            pending.extend(node.values())
        elif isinstance(node, list):
            pending.extend(node)


def _examine_pickle(content: bytes, path: Path) -> None:
    """PyTorch reads example inputs as weights first and unpickles whatever fails: it must not
    fail."""
    try:
        if content:
            torch.load(io.BytesIO(content), weights_only=True)
    except Exception as error:
        raise InputError(
            f"{path} holds example inputs that are pickled objects, which are never loaded"
        ) from error
