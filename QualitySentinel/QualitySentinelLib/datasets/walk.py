"""Folders and files of a data set, also through links: data sets on clusters are often folders of links."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(root: Path) -> Iterator[Path]:
    """Every file below a folder; a folder that several links lead to is entered once, links to nowhere are left out."""
    seen = set()
    for folder, inner, names in os.walk(root, followlinks=True):
        place = os.path.realpath(folder)
        if place in seen:
            inner.clear()
            continue
        seen.add(place)
        inner.sort()
        yield from (path for name in sorted(names) if (path := Path(folder) / name).is_file())


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones and links to a folder that they lie in.

    Raises:
        OSError: it cannot be read.
    """
    here = Path(os.path.realpath(folder))
    inner = (p for p in folder.iterdir() if not p.name.startswith(".") and p.is_dir())
    return sorted(p for p in inner if not (p.is_symlink() and here.is_relative_to(os.path.realpath(p))))
