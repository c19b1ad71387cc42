"""Files that were asked for."""

from pathlib import Path

from autolip.errors import InputError


def write(path: str | Path, content: bytes | str) -> None:
    """Write a file, text as UTF-8; InputError where it cannot be written."""
    try:
        Path(path).write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error
