"""Subjects that are loaded when they are needed: a data set does not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.reading.image import is_image_file

from ..subjects import Subject, phantom_subject, read_openkbp, read_subject

_SEGMENTATIONS = ("seg.nii.gz", "label.nii.gz", "labels.nii.gz", "segmentation.nii.gz", "seg.nii", "seg.nrrd")


@dataclass(frozen=True)
class Source:
    """A subject not yet loaded.

    Attributes:
        name: the subject's name, unique.
        load: gives the subject.
        person: subjects of one person share it, and are never in different folds; the name when empty.
    """

    name: str
    load: Callable[[], Subject]
    person: str = ""

    @property
    def whose(self) -> str:
        """The person."""
        return self.person or self.name


def openkbp_sources(folder: Path) -> list[Source]:
    """The subjects of an OpenKBP folder (``pt_1``, ``pt_2`` ...), in the order of their numbers.

    Raises:
        InputError: there are none.
    """
    found = [p for p in folder.glob("pt_*") if p.name.removeprefix("pt_").isdecimal()]
    if not found:
        raise InputError(f"{folder}: holds no pt_*/ folders; give the OpenKBP folder")
    found.sort(key=lambda path: int(path.name.removeprefix("pt_")))
    return [Source(path.name, lambda path=path: read_openkbp(path)) for path in found]


def case_sources(folder: Path) -> list[Source]:
    """The cases of a folder: ``CASE/ct.nii.gz`` with ``CASE/seg.nii.gz`` (or label.nii.gz) or ``CASE/segmentations/``.

    Label values are named by ``labels.json`` or ``dataset.json`` in ``folder`` where there is one, else by the file.

    Raises:
        InputError: there are none.
    """
    names = next((path for name in ("labels.json", "dataset.json") if (path := folder / name).is_file()), None)
    sources = []
    for case in sorted(p for p in folder.glob("*") if p.is_dir()):
        ct = next((path for name in ("ct.nii.gz", "ct.nii") if (path := case / name).is_file()), None)
        masks = case / "segmentations"
        if masks.is_dir() and any(is_image_file(p) for p in masks.iterdir()):
            segmentation = masks
        else:
            segmentation = next((path for name in _SEGMENTATIONS if (path := case / name).is_file()), None)
        if ct and segmentation:
            load = lambda n=case.name, c=ct, s=segmentation: read_subject(n, c, s, names=names)  # noqa: E731
            sources.append(Source(case.name, load))
    if not sources:
        raise InputError(
            f"{folder}: holds no cases; each is a folder with ct.nii.gz and seg.nii.gz, label.nii.gz or segmentations/"
        )
    return sources


def phantom_sources(seeds: Iterable[int]) -> list[Source]:
    """Generated torsos."""
    return [Source(f"phantom_{seed}", lambda seed=seed: phantom_subject(seed)) for seed in seeds]


def sources_in(data: Path) -> list[Source]:
    """The subjects of a folder: OpenKBP (itself or in ``data/openkbp``), else a folder of cases.

    Raises:
        InputError: neither.
    """
    for folder in (data / "openkbp", data):
        if any(folder.glob("pt_*/ct.nii.gz")):
            return openkbp_sources(folder)
    return case_sources(data)
