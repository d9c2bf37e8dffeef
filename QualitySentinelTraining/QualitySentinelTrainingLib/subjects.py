"""Subjects to train and test on: a CT with a reference label map, in the canonical axial frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from QualitySentinelLib.reading import read_ct, read_segmentation
from QualitySentinelLib.volume import AxialFrame, CtVolume

from .phantom import make_phantom


@dataclass
class Subject:
    """A CT and reference masks.

    Attributes:
        name: unique; train and test never share one.
        ct: the CT.
        labels: reference label map ``[k, j, i]``, unsigned integers, 0 is background.
        structures: label value to structure name.
        source: data set it belongs to; figures are given by source.
        person: subjects of one person share this, and a fold; by default the name.
    """

    name: str
    ct: CtVolume
    labels: np.ndarray
    structures: dict[int, str]
    source: str = ""
    person: str = ""

    def __post_init__(self) -> None:
        self.person = self.person or self.name


def read_subject(name: str, ct_path: Path, seg_path: Path, names: str | None = None, source: str = "") -> Subject:
    """A subject from files; segments whose structure is unknown are left out."""
    ct = read_ct(ct_path)
    segmentation = read_segmentation(seg_path, ct, names=names)
    labels = np.zeros(ct.frame.shape, np.uint8)
    structures = {}
    for value, segment in enumerate(segmentation, start=1):
        if segment.structure is not None and not segment.is_empty:
            labels[segment.box][segment.voxels()] = value
            structures[value] = segment.structure
    return Subject(name, ct, labels, structures, source)


def read_openkbp(folder: Path) -> Subject:
    """One OpenKBP subject."""
    return read_subject(folder.name, folder / "ct.nii.gz", folder / "seg.nii.gz", names="openkbp", source="OpenKBP")


def phantom_subject(seed: int) -> Subject:
    """A generated torso; ``seed`` decides everything about it."""
    phantom = make_phantom(seed)
    frame = AxialFrame.from_affine(phantom.ijk_to_ras, phantom.hu.shape)
    ct = CtVolume(frame.to_canonical(phantom.hu), frame, source=f"phantom {seed}")
    return Subject(f"phantom_{seed}", ct, frame.to_canonical(phantom.labels), phantom.names, "phantom")


def totalsegmentator_subject(root: Path) -> Subject:
    """The TotalSegmentator example CT (3 mm, torso); its labels are a network's, not a person's."""
    return read_subject(
        "totalsegmentator_example", root / "example_ct.nii.gz", root / "example_seg_fast_force_split.nii.gz",
        source="TotalSegmentator",
    )  # fmt: skip
