"""Types of the command line's options: shapes, values held fixed, durations."""

import re
from pathlib import Path
from typing import Any

import click

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


class ShapeType(click.ParamType):
    """`1,3,32,32`, or `name=1,3,32,32` for a network with several inputs."""

    name = "[NAME=]SHAPE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        name, separator, sizes = value.rpartition("=")
        if not re.fullmatch(r"\d+([,x]\d+)*", sizes) or (separator and not name):
            self.fail(f"{value!r} is not a shape: write 1,3,32,32 or name=1,3,32,32", param, ctx)
        shape = tuple(int(size) for size in re.split("[,x]", sizes))
        if 0 in shape:
            self.fail(f"{value!r} is empty: every size must be at least 1", param, ctx)
        return (name or None, shape)


class FixType(click.ParamType):
    """`name=FILE.npy`: the value of an input that does not vary."""

    name = "NAME=FILE.npy"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        name, separator, file = value.partition("=")
        if not (separator and name and file):
            self.fail(f"{value!r} names no file: write name=values.npy", param, ctx)
        return (name, Path(file))


class SecondsType(click.ParamType):
    """A duration: 90, 90s, 2m, 1h."""

    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-z]*)", value.strip())
        if match is None or match[2] not in UNITS or float(match[1]) == 0:
            self.fail(f"{value!r} is not a duration: write seconds > 0, such as 90, 90s, 2m or 1h", param, ctx)
        return float(match[1]) * UNITS[match[2]]
