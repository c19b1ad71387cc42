"""Weights from a file into a module: safetensors, or a state dictionary saved by `torch.save`; nothing is unpickled."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from autolip.errors import InputError

WRAPPERS = ("state_dict", "model_state_dict", "net", "model")
"""Keys under which training scripts keep the state dictionary in a checkpoint."""
SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin")
NAMES_SHOWN = 3


def load_weights(module: nn.Module, path: Path) -> torch.dtype:
    """Fill `module` with the weights in the file; returns the floating type they are stored in.

    Every stored number is kept: half precision is widened, and the module becomes float64 if anything in the file
    is.  Raises InputError if the file cannot be read without unpickling objects, or does not fit the module.
    """
    weights = read_weights(path)
    _check_fit(module.state_dict(), weights, path)
    if any(weight.dtype is torch.float64 for weight in weights.values()):
        module.double()
    elif any(weight.dtype in (torch.float16, torch.bfloat16) for weight in module.state_dict().values()):
        module.float()
    module.load_state_dict(weights)
    return next((weight.dtype for weight in weights.values() if weight.is_floating_point()), torch.float32)


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
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path} holds pickled Python objects, or is not a weights file; objects are never unpickled: save"
            " model.state_dict() instead of the model"
        ) from error
    except (EOFError, RuntimeError, ValueError, KeyError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is empty or damaged: it is not a file written by torch.save") from error


def _unwrapped(stored: Any) -> Any:
    for key in WRAPPERS:
        if isinstance(stored, Mapping) and isinstance(stored.get(key), Mapping):
            return stored[key]
    return stored


def _tensors(stored: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(stored, Mapping) or not stored:
        raise InputError(f"{path} holds no state dictionary: save model.state_dict()")
    strange = [str(name) for name, value in stored.items() if not isinstance(value, Tensor)]
    if strange:
        raise InputError(f"{path} holds {_some(strange)}, not a tensor each: save model.state_dict()")
    return {str(name): value for name, value in stored.items()}


def _check_fit(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], path: Path) -> None:
    """One sentence for missing, unexpected and misshapen weights together."""
    missing = [name for name in wanted if name not in given and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in given if name not in wanted]
    misfit = [
        f"{name} {tuple(given[name].shape)} for {tuple(weight.shape)}"
        for name, weight in wanted.items()
        if name in given and given[name].shape != weight.shape
    ]
    complaints = [
        f"{what} {_some(names)}"
        for what, names in (("lacks", missing), ("has no place for", unexpected), ("has the shapes", misfit))
        if names
    ]
    if complaints:
        raise InputError(f"the weights in {path} do not fit the network: the file {_joined(complaints)}")


def _joined(complaints: list[str]) -> str:
    return "; it ".join(complaints)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:NAMES_SHOWN])
    return shown if len(names) <= NAMES_SHOWN else f"{shown} and {len(names) - NAMES_SHOWN} more"
