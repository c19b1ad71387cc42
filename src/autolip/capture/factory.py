"""A model named on the command line as `module:factory`: the user's own code, imported and
called."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from typing import Any

from torch import nn

from autolip.arguments import nearest
from autolip.capture.guarded import users_code
from autolip.errors import InputError


def make_model(spec: str) -> nn.Module:
    """The `nn.Module` called `factory` in `module`, or the one that the callable `factory` returns.

    `module` is looked for in the current folder first.  Raises InputError where there is none.
    """
    module_name, _, attribute = spec.partition(":")
    if not (module_name and attribute):
        raise InputError(f"{spec} names no model: write module:factory")
    module = _imported(module_name, spec)
    found = _attribute(module, attribute, spec)
    if isinstance(found, nn.Module):
        return found
    if not callable(found):
        raise InputError(
            f"{spec} is a {type(found).__name__}: give an nn.Module, or a function that returns one"
        )
    model = _called(found, spec)
    if not isinstance(model, nn.Module):
        raise InputError(f"{spec} returned a {type(model).__name__}: it must return an nn.Module")
    return model


def _imported(name: str, spec: str) -> Any:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        with users_code(f"{spec}: importing {name}"):
            return importlib.import_module(name)
    except InputError as error:
        missing = error.__cause__.name if isinstance(error.__cause__, ModuleNotFoundError) else None
        if missing is not None and (name == missing or name.startswith(f"{missing}.")):
            raise InputError(
                f"{spec}: there is no module {name!r} here or among the installed ones"
            ) from error
        raise


def _attribute(module: Any, attribute: str, spec: str) -> Any:
    value = module
    for part in attribute.split("."):
        if not hasattr(value, part):
            meant = nearest(part, dir(value)) or "give the name of a function of it"
            raise InputError(
                f"{spec}: module {module.__name__} has no {attribute!r}: {meant.strip()}"
            )
        value = getattr(value, part)
    return value


def _called(factory: Callable[..., Any], spec: str) -> Any:
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise InputError(
            f"{spec} cannot be called without arguments ({error}): write a function that "
            "fills them in"
        ) from error
    except ValueError:
        pass  # a builtin without a signature: calling it will tell
    with users_code(f"{spec}: calling it"):
        return factory()
