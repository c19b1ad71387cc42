"""Things that are found by themselves: a module enters what it defines, `discover` imports all
modules."""

import importlib
import inspect
import pkgutil
from collections.abc import Hashable
from dataclasses import is_dataclass
from typing import Any, TypeVar

from autolip.arguments import unknown
from autolip.errors import AutolipError

Key = TypeVar("Key", bound=Hashable)
Thing = TypeVar("Thing")


def discover(package: str) -> None:
    """Import every module of a package and of its subpackages, in the order of their names."""
    parent = importlib.import_module(package)
    for module in pkgutil.iter_modules(parent.__path__, f"{package}."):
        importlib.import_module(module.name)
        if module.ispkg:
            discover(module.name)


class Registry(dict[Key, Thing]):
    """Things of one kind by their names, in the order in which they were entered."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self._homes: dict[Key, str] = {}

    def enter(self, name: Key, thing: Thing, defined: Any) -> None:
        """Enter a thing that a function or class defines; AutolipError where the name is taken."""
        home = home_of(defined)
        if name in self:
            raise AutolipError(
                f"the {self.kind} {called(name)} is there already, {self._homes[name]}: "
                f"rename it, or {home}"
            )
        self[name] = thing
        self._homes[name] = home

    def named(self, name: Any) -> Thing:
        """The thing of that name; InputError, which lists the names, where there is none."""
        if name not in self:
            raise unknown(self.kind, name, map(called, self))
        return self[name]


def home_of(defined: Any) -> str:
    """Where a function or a class is defined: `autolip.methods.liplt.method.LipLT`."""
    return f"{defined.__module__}.{defined.__qualname__}"


def called(name: Hashable) -> str:
    """A name as it is written: the parts of a tuple one after the other."""
    return " ".join(map(str, name)) if isinstance(name, tuple) else str(name)


def require_docstring(kind: str, defined: Any) -> None:
    """AutolipError where a function or a class has no docstring of its own.

    `dataclass` writes the signature where there is none: that says nothing.
    """
    written = (defined.__doc__ or "").strip()
    if not written or written.startswith(f"{defined.__name__}("):
        raise AutolipError(
            f"the {kind} {home_of(defined)} has no docstring: its first line is what it claims"
        )


def require_options(kind: str, defined: type, options: dict[str, Any]) -> None:
    """AutolipError unless a class is a frozen dataclass that says what it is: `name`, `source`,
    docstring.

    Made with these options it is an object: every other option has a default, and nothing abstract
    is left.
    """
    home = home_of(defined)
    require_docstring(kind, defined)
    for attribute, what in (("name", "its name"), ("source", "authors, year, result number")):
        if not getattr(defined, attribute, ""):
            raise AutolipError(f"the {kind} {home} has no `{attribute}`: write {what}")
    parameters = getattr(defined, "__dataclass_params__", None)
    if not is_dataclass(defined) or not parameters or not parameters.frozen:
        raise AutolipError(f"the {kind} {home} is no frozen dataclass of its options: make it one")
    wanted = inspect.signature(defined).parameters
    surplus = sorted(set(options) - set(wanted))
    if surplus:
        raise AutolipError(f"the {kind} {home} has no option {', '.join(surplus)}")
    try:
        defined(**options)
    except TypeError as error:
        raise AutolipError(f"the {kind} {home} cannot be made by its name: {error}") from error
