"""Files of names, read once however many cases they are for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from QualitySentinelLib.reading.names import read_names


@lru_cache(maxsize=64)
def names_in(path: Path) -> Mapping[str, str]:
    """What a file of names says, as ``read_names`` has it: its content, so that a change of it is noticed.

    Raises:
        UsageError: it is no such file.
    """
    return read_names(path)
