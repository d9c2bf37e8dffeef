"""Folders and files, also through links: data sets on clusters are often folders of links."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from .image import is_image_file


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
        paths = (Path(folder, name) for name in sorted(names))
        yield from (path for path in paths if os.path.isfile(path))  # no error where it may not be looked at


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones and links to a folder that they lie in.

    Raises:
        OSError: it cannot be read.
    """
    here = Path(os.path.realpath(folder))
    inner = (p for p in folder.iterdir() if not p.name.startswith(".") and os.path.isdir(p))
    return sorted(p for p in inner if not (p.is_symlink() and here.is_relative_to(os.path.realpath(p))))


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder in alphabetical order; none when there is no such folder."""
    return sorted(p for p in folder.iterdir() if is_image_file(p) and os.path.isfile(p)) if folder.is_dir() else []
