"""The layout of the published Quality Sentinel.

::

    train/SAMPLE/ct.nii.gz            (val/ alike)
    train/SAMPLE/label.nii.gz         reference label map, class numbers of the DAP Atlas
    train/SAMPLE/class_13/*.nii.gz    binary masks that networks predicted of class 13, one file per checkpoint
"""

from __future__ import annotations

from pathlib import Path

from ...reading.image import folders_in
from .case_folders import case_in, holds_case
from .layout import Found, Layout

_PARTS = ("train", "val")


def fits(root: Path) -> bool:
    """Whether a sample has folders of predicted masks."""
    return any(holds_case(sample) and any(sample.glob("class_*/")) for _, sample in _samples(root))


def find(root: Path) -> Found:
    """Every sample is a case."""
    return Found([case_in(root, sample, "dap", metadata={"split": part}) for part, sample in _samples(root)])


def _samples(root: Path) -> list[tuple[str, Path]]:
    return [(part, sample) for part in _PARTS if (root / part).is_dir() for sample in folders_in(root / part)]


LAYOUT = Layout("published", fits, find)
