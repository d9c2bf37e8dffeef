"""What a layout is, and what all layouts share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ...reading.names import read_names
from ..case import Case

TABLES = ("meta.csv", "metadata.csv", "*[Mm]eta*.csv", "*[Mm]eta*.tsv")
"""Patterns of tables of metadata."""


class Found(NamedTuple):
    """What a layout finds in a folder."""

    cases: list[Case]  # in any order; their paths are relative to the folder
    notes: Sequence[str] = ()  # lines that a user should read
    damaged: Sequence[Path] = ()  # files that no case could be made of
    bare: Sequence[Case] = ()  # CTs without masks, where they are no cases of the data set, but of a pool


@dataclass(frozen=True)
class Layout:
    """A way to lay out a data set."""

    name: str  # as the user names it
    fits: Callable[[Path], bool]  # whether a folder looks like it; it looks at names only
    find: Callable[[Path], Found]  # its cases
    # patterns of tables of metadata in the folder, the first that is there counts; none where ``find`` gives the
    # metadata
    tables: tuple[str, ...] = TABLES
    title: str = ""  # name of the data set, where only one has this layout
    general: bool = False  # tried when no other layout fits: a folder of it may hold anything besides


def case_of(root: Path, name: str, ct: Path | None, seg: Path | None, problem: str = "", **known) -> Case:
    """The case of a CT and a segmentation, one of which may be missing: then ``problem`` says so."""
    problem = problem or ("has no CT" if ct is None else "has no segmentation" if seg is None else "")
    ct_path, seg_path = (path.relative_to(root).as_posix() if path is not None else "" for path in (ct, seg))
    return Case(name, ct_path, seg_path, problem=problem, **known)


@lru_cache(maxsize=64)
def names_in(path: Path) -> Mapping[str, str]:
    """Content of a file of names, as ``read_names`` gives it, read once however many cases it is for."""
    return read_names(path)
