"""Masks that networks predicted, beside a CT in the layout of the published Quality Sentinel: ``class_13/*.nii.gz``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from QualitySentinelLib.anatomy import all_structures
from QualitySentinelLib.datasets.layouts.layout import images_in
from QualitySentinelLib.datasets.walk import folders_in
from QualitySentinelLib.errors import InputError, QualitySentinelError
from QualitySentinelLib.reading import read_segmentation
from QualitySentinelLib.reading.image import image_stem

from .candidates import Candidate
from .predictions import empty_candidate, stage_of
from .subjects import Subject


def masks_beside(folder: Path, subject: Subject, skipped: list[str]) -> list[Candidate]:
    """The predicted masks in the folder of a sample, those without a voxel among them.

    Left out, with a line in ``skipped``: classes that the reference does not hold or that are not in the DAP Atlas,
    and masks that cannot be read.
    """
    value_of = {structure: value for value, structure in subject.structures.items()}
    candidates = []
    for inner, number in _class_folders(folder, skipped):
        structure = _dap_names().get(number)
        if structure not in value_of:
            why = "is no class of the DAP Atlas" if structure is None else f"({structure}) is not in the reference"
            skipped.append(f"{inner}: class {number} {why}; left out")
            continue
        for path in images_in(inner):
            try:
                candidates.append(_candidate(path, subject, value_of[structure]))
            except QualitySentinelError as error:
                skipped.append(str(error))
    return candidates


@cache
def _dap_names() -> dict[int, str]:
    """Class number of the DAP Atlas to structure name."""
    return {structure.dap_id: structure.name for structure in all_structures() if structure.dap_id is not None}


def _class_folders(folder: Path, skipped: list[str]) -> Iterator[tuple[Path, int]]:
    """The folders of masks, and the class number: the second field of their name between underscores."""
    for inner in folders_in(folder):
        fields = inner.name.split("_")
        if len(fields) > 1 and fields[1].isdecimal():
            yield inner, int(fields[1])
        else:
            skipped.append(f"{inner}: its name gives no class number as class_13 does; left out")


def _candidate(path: Path, subject: Subject, value: int) -> Candidate:
    segmentation = read_segmentation(path, subject.ct)
    filled = [segment for segment in segmentation if not segment.is_empty]
    what = {"kind": "network", "origin": "network", "stage": stage_of(image_stem(path))}
    if len(filled) > 1:
        raise InputError(f"{path}: holds {len(filled)} label values; each file of this layout is one binary mask")
    if not filled:
        return empty_candidate(value, **what)
    box = filled[0].box
    return Candidate(value=value, mask=filled[0].voxels(), corner=tuple(s.start for s in box), **what)
