"""The Medical Segmentation Decathlon: ``imagesTr/CASE.nii.gz``, ``labelsTr/CASE.nii.gz``, ``dataset.json``."""

from __future__ import annotations

from pathlib import Path

from ...reading.image import image_stem, images_in
from . import nnunet
from .layout import Found, Layout, case_of


def fits(root: Path) -> bool:
    """Whether images and label maps are named alike."""
    labels = {image_stem(p) for p in images_in(root / "labelsTr")}
    return bool(labels) and not nnunet.fits(root) and any(image_stem(p) in labels for p in images_in(root / "imagesTr"))


def find(root: Path) -> Found:
    """Every image or label map of a part that has label maps is a case."""
    names, _ = nnunet.described(root)
    cases = []
    for part, split in nnunet.PARTS.items():
        maps = {image_stem(p): p for p in images_in(root / f"labels{part}")}
        cts = {image_stem(p): p for p in images_in(root / f"images{part}")}
        for case in sorted({*maps, *cts} if maps else ()):
            cases.append(case_of(root, case, cts.get(case), maps.get(case), names=names, metadata={"split": split}))
    return Found(cases)


LAYOUT = Layout("decathlon", fits, find)
