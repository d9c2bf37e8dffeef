"""The Medical Segmentation Decathlon: ``imagesTr/CASE.nii.gz``, ``labelsTr/CASE.nii.gz``, ``dataset.json``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ...reading.image import image_stem, images_in
from . import nnunet
from .layout import Layout


def fits(root: Path) -> bool:
    """Whether images and label maps are named alike."""
    labels = {image_stem(p) for p in images_in(root / "labelsTr")}
    return bool(labels) and not nnunet.fits(root) and any(image_stem(p) in labels for p in images_in(root / "imagesTr"))


LAYOUT = Layout("decathlon", fits, partial(nnunet.find, numbered=False))
