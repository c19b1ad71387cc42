"""A package's modules are found by themselves; what is entered twice, or is not complete, is a loud
error.

Covers the table of autolip.methods.method.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from autolip.errors import AutolipError, InputError, Refusal
from autolip.lower import LowerMethod, lower_method
from autolip.lower.problem import LowerProblem
from autolip.methods import Bound, Method, Problem
from autolip.methods.method import method
from autolip.registry import Registry, discover
from autolip.rules.rule import Affine, Example, Operand, Variable, rule
from autolip.values import Lower, Upper

aten = torch.ops.aten


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with a module, and a subpackage with another."""
    for folder in ("found", "found/wing"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "found" / "here.py").touch()
    (tmp_path / "found" / "wing" / "there.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("found", "found.here", "found.wing", "found.wing.there", "found.dropped"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path / "found"


def test_every_module_is_imported(package: Path) -> None:
    discover("found")
    assert {"found.here", "found.wing.there"} <= sys.modules.keys()


def test_a_module_from_another_folder_of_the_package_is_imported(
    package: Path, tmp_path: Path
) -> None:
    (tmp_path / "dropped.py").touch()
    discover("found")
    sys.modules["found"].__path__.append(str(tmp_path))
    discover("found")
    assert "found.dropped" in sys.modules


def test_a_module_with_a_mistake_is_not_passed_over(package: Path) -> None:
    (package / "dropped.py").write_text("1 / 0\n", encoding="utf-8")
    with pytest.raises(ZeroDivisionError):
        discover("found")


def one() -> None: ...
def other() -> None: ...


def test_a_name_is_given_once_and_both_places_are_named() -> None:
    table: Registry[str, int] = Registry("number")
    table.enter("one", 1, one)
    with pytest.raises(
        AutolipError, match=r"number one is there already, .*\.one: rename it, or .*\.other"
    ):
        table.enter("one", 2, other)
    assert table.named("one") == 1
    with pytest.raises(InputError, match="there is no number 'two': choose from one"):
        table.named("two")


@dataclass(frozen=True)
class Half(Method):
    """Upper bound on nothing: half of one."""

    of: float = 1.0

    name: ClassVar[str] = "half"
    source: ClassVar[str] = "these tests"

    def bound(self, problem: Problem) -> Bound | Refusal:
        return Bound(Upper(self.of / 2))


class Loose(Half):
    """Options that may change."""


@dataclass(frozen=True)
class Silent(Half):
    pass


@dataclass(frozen=True)
class Nameless(Half):
    """Without a name."""

    name: ClassVar[str] = ""


@dataclass(frozen=True)
class Unsourced(Half):
    """Without a source."""

    source: ClassVar[str] = ""


@dataclass(frozen=True)
class Abstract(Method):
    """Without a bound."""

    name: ClassVar[str] = "abstract"
    source: ClassVar[str] = "these tests"


@dataclass(frozen=True)
class Careless(Half):
    """Looks past its norms."""

    def accepts(self, problem: Problem) -> Refusal | None:  # type: ignore[misc]
        return None


@pytest.mark.parametrize(
    ("cls", "forgotten"),
    [
        (Silent, "no docstring"),
        (Nameless, "no `name`"),
        (Unsourced, "no `source`: write authors, year"),
        (Abstract, "cannot be made by its name: .*bound"),
        (Careless, "write `_accepts`"),
    ],
)
def test_a_method_that_forgets_something_is_an_error(cls: type[Method], forgotten: str) -> None:
    with pytest.raises(AutolipError, match=f"method .*{cls.__name__}.*{forgotten}"):
        method("half")(cls)


def test_a_method_without_such_an_option_is_an_error() -> None:
    with pytest.raises(AutolipError, match="Half has no option third"):
        method("third", third=True)(Half)


@dataclass
class Thawed(LowerMethod):
    """Options that may change."""

    name: ClassVar[str] = "thawed"
    source: ClassVar[str] = "these tests"

    def _search(self, problem: LowerProblem) -> Lower | Refusal:
        return Refusal("it never looks")


@dataclass(frozen=True)
class Idle(LowerMethod):
    """Without a search."""

    name: ClassVar[str] = "idle"
    source: ClassVar[str] = "these tests"


@pytest.mark.parametrize(
    ("cls", "forgotten"), [(Thawed, "no frozen dataclass"), (Idle, "cannot be made.*_search")]
)
def test_a_search_that_forgets_something_is_an_error(
    cls: type[LowerMethod], forgotten: str
) -> None:
    with pytest.raises(AutolipError, match=f"search .*{cls.__name__}.*{forgotten}"):
        lower_method(cls)


def test_a_rule_that_forgets_something_is_an_error() -> None:
    def silent(self: Operand) -> Affine:
        return Affine(())

    def renamed(x: Operand) -> Affine:
        """The identity."""
        return Affine(())

    def told(self: Operand) -> Affine:
        """The identity."""
        return Affine(())

    with pytest.raises(AutolipError, match="silent has no docstring"):
        rule(aten.relu.default, Example(Variable(3)))(silent)
    with pytest.raises(AutolipError, match="its ATen schema"):
        rule(aten.relu.default, Example(Variable(3)))(renamed)
    with pytest.raises(AutolipError, match="no example"):
        rule(aten.relu.default)(told)
    with pytest.raises(AutolipError, match=r"relu.default is there already, .*relu: .*told"):
        rule(aten.relu.default, Example(Variable(3)))(told)
