"""The Medical Segmentation Decathlon: ``imagesTr/CASE.nii.gz``, ``labelsTr/CASE.nii.gz``, ``dataset.json``."""

from __future__ import annotations

from pathlib import Path

from QualitySentinelLib.reading.image import image_stem

from ..cases import AuditCase
from . import nnunet


def fits(root: Path) -> bool:
    """Whether images and label maps are named alike."""
    labels = {image_stem(p) for p in nnunet.images(root / "labelsTr")}
    return (
        bool(labels)
        and not nnunet.fits(root)
        and any(image_stem(p) in labels for p in nnunet.images(root / "imagesTr"))
    )


def find(root: Path) -> tuple[list[AuditCase], list[str]]:
    """Every image or label map of a part that has label maps is a case."""
    names = nnunet.label_names(nnunet.read_dataset_json(root).get("labels"))
    cases = []
    for part, split in nnunet.PARTS.items():
        maps = {image_stem(p): p for p in nnunet.images(root / f"labels{part}")}
        cts = {image_stem(p): p for p in nnunet.images(root / f"images{part}")}
        for case in sorted({*maps, *cts} if maps else ()):
            cases.append(nnunet.pair(root, case, cts.get(case), maps.get(case), names, split))
    return cases, []
