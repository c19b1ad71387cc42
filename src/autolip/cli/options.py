"""The command line's options: their types, and the groups that several commands share.

Files are looked at when the options are read: before PyTorch is loaded, before any work.
"""

import contextlib
import os
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import click

from autolip.cli import completion
from autolip.errors import printable
from autolip.files import check_readable, check_writable

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}

DECIMAL = r"[-+]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:e[-+]?[0-9]{1,2})?"
"""A number as it is written in decimal digits."""

LONGEST = 1e9
"""Chosen: seconds of a budget, thirty years."""

LARGEST_INPUT = 2**26
"""Chosen: numbers of one input, half a gigabyte of doubles, more than any image."""

EXAMPLE = "example"
"""In place of a file for --center: the input that ships with the network."""

Command = TypeVar("Command", bound=Callable[..., Any])


class ShapeType(click.ParamType):
    """`1,3,32,32`, or `name=1,3,32,32` for a network with several inputs."""

    name = "[NAME=]SHAPE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        name, separator, sizes = value.rpartition("=")
        if not re.fullmatch(r"[0-9]{1,18}([,x][0-9]{1,18})*", sizes) or (separator and not name):
            self.fail(f"{value!r} is not a shape: write 1,3,32,32 or name=1,3,32,32", param, ctx)
        shape = tuple(int(size) for size in re.split("[,x]", sizes))
        numbers = 1
        for size in shape:
            numbers *= size
        if numbers == 0:
            self.fail(f"{value!r} is empty: every size must be at least 1", param, ctx)
        if numbers > LARGEST_INPUT:
            self.fail(
                f"{value!r} has {numbers:.3g} numbers, more than an input may have", param, ctx
            )
        return (name or None, shape)


class NameType(click.Path):
    """The name of a file or a folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        name = os.fsdecode(value)
        if not name:
            self.fail("the name of the file is empty", param, ctx)
        if "\0" in name:
            self.fail(f"{printable(name)} is no name: it holds a zero character", param, ctx)
        return Path(os.fsdecode(super().convert(value, param, ctx)))


class InFile(NameType):
    """A file that can be read."""

    numbers = ""
    """What may stand in its place; a name without an ending may have been meant for it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = super().convert(value, param, ctx)
        if self.numbers and not path.suffix[1:2].isalpha() and not os.path.exists(path):
            self.fail(
                f"{printable(str(path))} is no file: write {self.numbers}, with exponents of at "
                "most two digits",
                param,
                ctx,
            )
        check_readable(path)
        return path


class CenterType(InFile):
    """A file that can be read, numbers such as `0,0.5` (one holds for every entry), or the word
    `example`."""

    numbers = "numbers such as 0 or 0,0.5"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == EXAMPLE or isinstance(value, tuple):
            return value
        numbers = re.fullmatch(rf"{DECIMAL}(,{DECIMAL})*", str(value))
        if numbers is None:
            return super().convert(value, param, ctx)
        return tuple(map(float, str(value).split(",")))


class OutputType(InFile):
    """What is measured of the output, in words, or a matrix in a .npy file."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(value, param, ctx) if str(value).endswith(".npy") else value


class ScaleType(InFile):
    """A file that can be read, or numbers such as `0.5` for every entry, `0.1,2` one by one."""

    numbers = "numbers such as 0.5 or 0.1,2"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        if re.fullmatch(rf"{DECIMAL}(,{DECIMAL})*", str(value)):
            return tuple(map(float, str(value).split(",")))
        return super().convert(value, param, ctx)


class DecimalType(click.ParamType):
    """A number as it is written, not the nearest double."""

    name = "NUMBER"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, Decimal):
            return value
        if not re.fullmatch(DECIMAL, str(value)):
            self.fail(f"{value!r} is not a number: write 12.5", param, ctx)
        return Decimal(str(value))


class BoxType(InFile):
    """A file that can be read, or ends such as `0:1` for every entry, `0:1,-1:1` one by one."""

    numbers = "ends such as 0:1 or 0:1,-1:1"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        ends = rf"{DECIMAL}:{DECIMAL}"
        if isinstance(value, tuple) or not re.fullmatch(rf"{ends}(,{ends})*", str(value)):
            return value if isinstance(value, tuple) else super().convert(value, param, ctx)
        pairs = [part.split(":") for part in str(value).split(",")]
        return tuple((Decimal(low), Decimal(high)) for low, high in pairs)


class OutFile(NameType):
    """A file that can be written, whose name says one of these formats."""

    def __init__(self, *suffixes: str) -> None:
        super().__init__()
        self.suffixes = suffixes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from autolip.report.formats import suffix_of

        path = super().convert(value, param, ctx)
        suffix_of(path, self.suffixes)
        check_writable(path)
        return path


class FixType(click.ParamType):
    """`name=FILE.npy`, `name=2.5` or `name=true`: the value of an input that does not vary."""

    name = "NAME=FILE.npy"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        name, separator, file = value.partition("=")
        if not (separator and name and file):
            self.fail(
                f"{value!r} names no file: write name=values.npy, or name=2.5 for a number",
                param,
                ctx,
            )
        number = _number(file)
        if number is not None:
            return (name, number)
        check_readable(file)
        return (name, Path(file))


def _number(text: str) -> bool | float | None:
    """A truth value, a whole number or another number; None where it is none of them."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return None


class SecondsType(click.ParamType):
    """A duration: 90, 90s, 2m, 1h."""

    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*([a-z]*)", value.strip())
        seconds = 0.0 if match is None else float(match[1]) * UNITS.get(match[2], 0.0)
        if seconds == 0:
            self.fail(
                f"{value!r} is not a duration: write seconds > 0, such as 90, 90s, 2m or 1h",
                param,
                ctx,
            )
        if seconds > LONGEST:
            self.fail(f"{value!r} is longer than thirty years", param, ctx)
        return seconds


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator, in the order in which --help lists them."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


network_options = together(
    click.option(
        "--input-shape",
        type=ShapeType(),
        multiple=True,
        help="Shape of the input, batch included: 1,3,32,32. Several inputs: give it once for "
        "each, as NAME=1,3.",
    ),
    click.option(
        "--input",
        "--varying",
        "varying",
        multiple=True,
        metavar="NAME",
        help="The input that varies; the others are held fixed. Given more than once, these vary "
        "together, as one vector. [first]",
    ),
    click.option(
        "--fix",
        type=FixType(),
        multiple=True,
        help="Value of an input that is held fixed: a file or a number. [zeros]",
    ),
    click.option(
        "--weights",
        type=InFile(),
        metavar="FILE",
        help="Weights for module:factory: .safetensors, or a state dict (.pth).",
    ),
    click.option(
        "--eval",
        "evaluation",
        is_flag=True,
        help="Call model.eval() on what module:factory returns.",
    ),
    click.option(
        "--outputs",
        metavar="NAME",
        help="Which of several tensors that the network returns: a name, a number, or all as "
        "one vector.",
    ),
    click.option(
        "--layer",
        metavar="PATH",
        help="What this layer returns instead: the path of a module, a node or value of an ONNX "
        "file.",
    ),
)
"""How the network is read."""

norm_option = click.option(
    "--norm",
    default="l2",
    show_default=True,
    help="l1, l2 or linf, or a pair input:output such as linf:l2.",
)

region_options = together(
    click.option(
        "--center",
        type=CenterType(),
        metavar="POINT",
        help="Centre of a ball to stay in: a .npy file, numbers (0 or 0,0.5), or: example.",
    ),
    click.option("--radius", type=float, help="Radius of the ball."),
    click.option(
        "--ball",
        type=click.Choice(["l1", "l2", "linf"]),
        default="l2",
        show_default=True,
        help="Norm of the ball.",
    ),
    click.option(
        "--ball-scale",
        type=ScaleType(),
        metavar="SCALE",
        help="Units of the entries in which the ball's radius is: a ball of a weighted norm.",
    ),
    click.option(
        "--box",
        type=BoxType(),
        metavar="BOX",
        help="Box to stay in: ends (0:1, or 0:1,-1:1 entry by entry), a file of VNN-LIB bounds, or "
        ".npy of shape (2, n).",
    ),
    click.option(
        "--region",
        type=InFile(),
        metavar="FILE.json",
        help="Region of any kind to stay in, as results and certificates write it.",
    ),
)
"""Where the input may lie."""

output_option = click.option(
    "--output",
    type=OutputType(),
    metavar="OUTPUT",
    default="all",
    show_default=True,
    help="all, one component I, a difference I-J, pairs, a matrix of rows ([1,-1;0,2] or .npy), or "
    "layer:PATH.",
)
"""What is measured of what the network returns."""

units_options = together(
    click.option(
        "--input-scale",
        type=ScaleType(),
        metavar="SCALE",
        help="Units of the input's entries, by which differences are divided: a number, numbers "
        "(0.1,2), or a file of them (.npy, .npz, .csv).",
    ),
    click.option(
        "--output-scale",
        type=ScaleType(),
        metavar="SCALE",
        help="The same of the output's entries.",
    ),
)
"""In which units lengths are taken."""

secants_options = together(
    click.option(
        "--secants",
        type=click.Choice(["any", "centre"]),
        default="any",
        show_default=True,
        help="Slopes between any two points of the region, or from its centre alone.",
    ),
    click.option(
        "--point",
        type=InFile(),
        metavar="FILE.npy",
        help="With --secants centre: another point of the region to take them from.",
    ),
)
"""Between which points slopes are taken."""

method_option = click.option(
    "--method",
    multiple=True,
    metavar="NAME",
    shell_complete=completion.methods,
    help="Upper bound; may be repeated. [auto]",
)
"""By what the constant is bounded from above."""

device_option = click.option(
    "--device",
    metavar="NAME",
    help="Where searches pass through the network: cpu, cuda, cuda:1; proofs stay on the "
    "processor. [cpu; large passes of LipSDP: a GPU if there is one]",
)
"""What searches compute with."""

random_options = together(
    click.option(
        "--seed", type=int, help="Seed of everything random. [bounds: the system's randomness]"
    ),
    click.option(
        "--delta",
        type=float,
        default=1e-9,
        show_default=True,
        help="Failure probability of random bounds.",
    ),
)
