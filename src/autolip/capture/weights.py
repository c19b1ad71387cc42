"""Weights from a file into a module: safetensors, a state dictionary saved by `torch.save`, the
policy in an archive of Stable-Baselines3; nothing is unpickled."""

import io
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from autolip.capture.checks import LARGEST
from autolip.capture.guarded import users_code
from autolip.errors import InputError

WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "net",
    "model",
    "module",
    "network",
    "params",
    "weights",
)
"""Keys under which training scripts keep the state dictionary in a checkpoint."""

INFLATED = 2**26
"""Chosen: bytes that an archive may inflate to beyond its own size; PyTorch stores weights as they
are."""

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin", ".zip")

POLICY = "policy.pth"
"""The record of a Stable-Baselines3 archive that holds the weights; nothing else of it is read."""

NAMES_SHOWN = 3
"""Chosen: names in a message."""


def load_weights(module: nn.Module, path: Path) -> torch.dtype:
    """Fill `module` with the weights in the file; returns the floating type they are stored in.

    Every stored number is kept: half precision is widened, and the module becomes float64 if
    anything in the file is.  Raises InputError if the file cannot be read without unpickling
    objects, does not fit the module, or holds numbers that the module's types cannot.
    """
    weights = _without_prefix(read_weights(path), module.state_dict())
    _check_fit(module.state_dict(), weights, path)
    if any(weight.dtype is torch.float64 for weight in weights.values()):
        module.double()
    elif any(
        weight.dtype in (torch.float16, torch.bfloat16) for weight in module.state_dict().values()
    ):
        module.float()
    _check_kept(module.state_dict(), weights, path)
    with users_code(f"loading {path} into the network"):
        module.load_state_dict(weights)
    return next(
        (weight.dtype for weight in weights.values() if weight.is_floating_point()), torch.float32
    )


def _without_prefix(given: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under the network's own names, where all stand below one more name (`module.`,
    `_orig_mod.`)."""
    first = next(iter(wanted), None)
    if first is None or first in given:
        return given
    for name in given:
        prefix = name.removesuffix(first)
        if (
            prefix != name
            and prefix.endswith(".")
            and all(other.startswith(prefix) for other in given)
        ):
            return {other.removeprefix(prefix): value for other, value in given.items()}
    return given


def _check_kept(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], path: Path) -> None:
    """InputError where a number would not be the same in the network's type: an imaginary part, a
    fraction."""
    for name, value in given.items():
        if value.is_quantized or value.layout is not torch.strided or name not in wanted:
            raise InputError(
                f"{path} holds {name} quantized or sparse: store the dense floating-point weights"
            )
        kept = value.to(wanted[name].dtype)
        same = torch.equal(
            kept.to(torch.complex128).nan_to_num(), value.to(torch.complex128).nan_to_num()
        )
        if not same:
            raise InputError(
                f"{path} holds {name} as {value.dtype}, which {wanted[name].dtype} cannot "
                "hold: store weights of the"
                " network's own kind"
            )


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors by name; a checkpoint's wrapper ("state_dict", "net", ...) is taken off."""
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path} is not a weights file: give one of {', '.join(SUFFIXES)}")
    try:
        stored = load_file(path) if path.suffix == ".safetensors" else _load(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except SafetensorError as error:
        raise InputError(f"{path} is not a safetensors file, or it is damaged ({error})") from error
    return _tensors(_unwrapped(stored), path)


def _load(path: Path) -> Any:
    check_inflated(path)
    weights = _weights_in(path)
    try:
        return torch.load(weights, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} holds pickled Python objects, or is not a weights file; objects are "
            "never unpickled: save"
            " model.state_dict() instead of the model"
        ) from error
    except (OSError, MemoryError):
        raise
    except Exception as error:  # the reader of damaged bytes fails as it happens to
        raise InputError(
            f"{path} is empty or damaged: it is not a file written by torch.save"
        ) from error


def _weights_in(path: Path) -> Path | io.BytesIO:
    """The file itself, or the policy in an archive of Stable-Baselines3."""
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        if POLICY not in archive.namelist():
            return path
        content = io.BytesIO(archive.read(POLICY))
    _check_declared(content, content.getbuffer().nbytes, path)
    return content


def _unwrapped(stored: Any) -> Any:
    """The state dictionary in a checkpoint, however deep it lies in wrappers and lists of one."""
    while True:
        if isinstance(stored, list | tuple) and len(stored) == 1:
            stored = stored[0]
            continue
        inner = [
            stored[key]
            for key in WRAPPERS
            if isinstance(stored, Mapping) and _is_nested(stored.get(key))
        ]
        if not inner:
            return stored
        stored = inner[0]


def _is_nested(value: Any) -> bool:
    """A dictionary, or a list of one."""
    return isinstance(value, Mapping) or (
        isinstance(value, list | tuple) and len(value) == 1 and _is_nested(value[0])
    )


def check_inflated(path: Path) -> None:
    """InputError for an archive whose records say that they are much larger than the file, before
    they are read."""
    _check_declared(path, path.stat().st_size, path)


def _check_declared(file: Path | io.BytesIO, size: int, path: Path) -> None:
    try:
        with zipfile.ZipFile(file) as archive:
            declared = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        return  # no archive, or a damaged one: reading it will tell
    finally:
        if isinstance(file, io.BytesIO):
            file.seek(0)
    if declared > size + INFLATED:
        raise InputError(
            f"{path} would inflate from {size:.3g} to {declared:.3g} "
            "bytes: PyTorch does not compress"
            " what it stores, so write it again"
        )


def _tensors(stored: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(stored, Mapping) or not stored:
        raise InputError(f"{path} holds no state dictionary: save model.state_dict()")
    strange = [str(name) for name, value in stored.items() if not isinstance(value, Tensor)]
    if strange:
        raise InputError(
            f"{path} holds {_some(strange)}, not a tensor each: save model.state_dict()"
        )
    for name, value in stored.items():
        if value.is_meta:
            raise InputError(
                f"{path} holds {name} without its numbers (a meta tensor): save the "
                "weights themselves"
            )
        if value.numel() > LARGEST or (value.numel() > 2**24 and 0 in value.stride()):
            raise InputError(
                f"{path} holds {name} of shape {tuple(value.shape)}, more than it stores: refused"
            )
    return {str(name): value.detach() for name, value in stored.items()}


def _check_fit(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], path: Path) -> None:
    """One sentence for missing, unexpected and misshapen weights together."""
    missing = [
        name for name in wanted if name not in given and not name.endswith("num_batches_tracked")
    ]
    unexpected = [name for name in given if name not in wanted]
    misfit = [
        f"{name} {tuple(given[name].shape)} for {tuple(weight.shape)}"
        for name, weight in wanted.items()
        if name in given and given[name].shape != weight.shape
    ]
    complaints = [
        f"{what} {_some(names)}"
        for what, names in (
            ("lacks", missing),
            ("has no place for", unexpected),
            ("has the shapes", misfit),
        )
        if names
    ]
    if complaints:
        raise InputError(
            f"the weights in {path} do not fit the network: the file {_joined(complaints)}"
        )


def _joined(complaints: list[str]) -> str:
    return "; it ".join(complaints)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    return shown if len(names) <= NAMES_SHOWN else f"{shown} and {len(names) - NAMES_SHOWN} more"
