"""Masks to be judged: simulated from a reference, or drawn by a network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from QualitySentinelLib.anatomy import match_structure
from QualitySentinelLib.datasets.predictions import Prediction
from QualitySentinelLib.errors import InputError, QualitySentinelError
from QualitySentinelLib.reading import read_segmentation
from QualitySentinelLib.reading.names import read_names
from QualitySentinelLib.volume.segmentation import boxes_of_labels

from .simulated_errors import Case, simulate
from .subjects import Subject
from .synthesis.names import mirrored_name

OTHER_SIDE = "other side"
"""Kind of the mask of the right kidney under the name of the left one: sides mistaken for each other."""
OTHER_STRUCTURE = "other structure"
"""Kind of a simulated mask that is replaced by that of another structure (``simulated_errors``)."""
OTHER_SIDE_SHARE = 0.03
"""How many there are of it for each simulated mask of a structure that has another side in the subject."""
MARGIN_MM = 30.0
"""Room around a structure in which simulated errors may grow, mm."""


@dataclass
class Candidate:
    """One mask of one structure of a subject."""

    value: int  # the structure's value in ``subject.labels``
    mask: np.ndarray  # bool ``[k, j, i]``, a part of the subject's grid
    corner: tuple[int, ...]  # canonical (k, j, i) of ``mask[0, 0, 0]``
    kind: str  # names of its errors joined with `` + ``; ``none`` for the reference itself, ``network`` for a network's
    origin: str = "simulated"  # ``simulated`` or ``network``, or what else made it
    stage: int = -1  # training stage (epoch) of the network that drew it; -1 for others


def simulated_candidates(
    subject: Subject, rng: np.random.Generator, masks_per_structure: int = 8
) -> Iterator[Candidate]:
    """Corrupt the reference mask of every structure of a subject, so many times; perfect masks are among them.

    After all of these come a few of :func:`candidates_of_the_other_side`.
    """
    drawn = rng.spawn(1)[0]
    for value, labels, hu, corner in _surroundings(subject):
        case = Case(labels == value, labels, hu, subject.ct.frame.spacing, rng)
        for _ in range(masks_per_structure):
            mask, record = simulate(case)
            yield Candidate(value, mask, corner, record.kinds)
    for candidate in candidates_of_the_other_side(subject):
        if drawn.random() < OTHER_SIDE_SHARE * masks_per_structure:
            yield candidate


def candidates_of_the_other_side(subject: Subject) -> Iterator[Candidate]:
    """For each structure whose other side the subject has, too, that one's mask: right and left mistaken."""
    boxes = boxes_of_labels(subject.labels, subject.structures)
    value_of = {name: value for value, name in subject.structures.items() if value in boxes}
    for name, value in value_of.items():
        other = value_of.get(mirrored_name(name), value)
        if other != value:
            mask = subject.labels[boxes[other]] == other
            yield Candidate(value, mask, tuple(r.start for r in boxes[other]), OTHER_SIDE)


def candidates_with_removed_slices(subject: Subject, rng: np.random.Generator) -> Iterator[Candidate]:
    """Perfect masks from which a short run of slices is removed: one at an end, one inside, of every structure.

    The run is 1 to 3 slices long and never more than a third of the structure; structures of fewer than 4 slices are
    left out.
    """
    for value, labels, _, corner in _surroundings(subject):
        reference = labels == value
        held = np.flatnonzero(reference.any(axis=(1, 2)))
        if len(held) < 4:
            continue
        for kind in ("removed end slices", "removed inner slices"):
            length = int(rng.integers(1, max(2, min(4, len(held) // 3 + 1))))
            if kind == "removed end slices":
                gone = held[:length] if rng.random() < 0.5 else held[-length:]
            else:
                first = int(rng.integers(1, len(held) - length))
                gone = held[first : first + length]
            mask = reference.copy()
            mask[gone] = False
            yield Candidate(value, mask, corner, kind)


def surroundings(
    labels: np.ndarray, values: Iterable[int], spacing: tuple[float, ...]
) -> dict[int, tuple[slice, ...]]:
    """Box of each structure of ``values`` that there is, and :data:`MARGIN_MM` around it, in a label map."""
    ends = [(int(np.ceil(MARGIN_MM / mm)), n) for mm, n in zip(spacing, labels.shape, strict=True)]
    return {
        value: tuple(slice(max(0, r.start - m), min(n, r.stop + m)) for r, (m, n) in zip(box, ends, strict=True))
        for value, box in boxes_of_labels(labels, values).items()
    }


def _surroundings(subject: Subject) -> Iterator[tuple[int, np.ndarray, np.ndarray, tuple[int, ...]]]:
    """(label value, labels, HU, corner) of each structure's :func:`surroundings`."""
    for value, box in surroundings(subject.labels, subject.structures, subject.ct.frame.spacing).items():
        labels, hu = (np.ascontiguousarray(a[box]) for a in (subject.labels, subject.ct.hu))
        yield value, labels, hu, tuple(r.start for r in box)


def candidates_of(prediction: Prediction, subject: Subject, skipped: list[str] | None = None) -> list[Candidate]:
    """The predicted masks on the subject's grid, of the structures that its reference holds.

    A structure that the network knows (its names say so, or there is a file) but did not find gives an empty
    candidate: it was missed. One that the network does not know gives none. A prediction that cannot be read adds its
    line to ``skipped`` and gives no candidates; without the list, its ``QualitySentinelError`` is raised.
    """
    try:
        return _candidates(prediction, subject)
    except QualitySentinelError as error:
        if skipped is None:
            raise
        skipped.append(str(error))
        return []


def _candidates(prediction: Prediction, subject: Subject) -> list[Candidate]:
    segmentation = read_segmentation(prediction.path, subject.ct, names=prediction.names)
    known = {segment.structure for segment in segmentation} | _promised(prediction)
    known.discard(None)
    if not known:
        raise InputError(
            f"{prediction.path}: nothing says which structures its labels are; put a dataset.json with "
            '{"labels": {"liver": 1}} beside the predictions'
        )
    what: dict[str, Any] = {"kind": "network", "origin": "network", "stage": prediction.stage}
    candidates = []
    for value, structure in ((v, s) for v, s in subject.structures.items() if s in known):
        segments = [s for s in segmentation if s.structure == structure and not s.is_empty]
        if not segments:
            candidates.append(Candidate(value, np.zeros((1, 1, 1), bool), (0, 0, 0), **what))
            continue
        corner = tuple(min(s.box[axis].start for s in segments) for axis in range(3))
        end = tuple(max(s.box[axis].stop for s in segments) for axis in range(3))
        mask = np.zeros(np.subtract(end, corner), bool)
        for s in segments:
            mask[tuple(slice(b.start - c, b.stop - c) for b, c in zip(s.box, corner, strict=True))] |= s.voxels()
        candidates.append(Candidate(value, mask, corner, **what))
    return candidates


def _promised(prediction: Prediction) -> set[str]:
    """Structures that the network can find, by the names beside its predictions or in a NIfTI header."""
    if prediction.names is not None:
        names: Iterable[str] = read_names(prediction.names).values()
    elif prediction.path.is_file() and prediction.path.name.lower().endswith((".nii", ".nii.gz")):
        import nibabel

        from QualitySentinelLib.reading.nifti import label_table

        names = label_table(nibabel.load(prediction.path).header.extensions).values()  # the image itself was read well
    else:
        names = ()
    return {structure.name for name in names if (structure := match_structure(name)) is not None}
