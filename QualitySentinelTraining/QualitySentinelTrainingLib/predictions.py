"""What a network predicted of a subject, as candidate masks."""

from __future__ import annotations

import numpy as np

from QualitySentinelLib.anatomy import match_structure
from QualitySentinelLib.datasets.predictions import Prediction
from QualitySentinelLib.errors import InputError, QualitySentinelError
from QualitySentinelLib.reading import read_segmentation
from QualitySentinelLib.reading.names import read_names

from .candidates import Candidate
from .subjects import Subject


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


def empty_candidate(value: int, **attributes) -> Candidate:
    """A candidate without a voxel: one background voxel in the grid's corner."""
    return Candidate(value=value, mask=np.zeros((1, 1, 1), bool), corner=(0, 0, 0), **attributes)


def _candidates(prediction: Prediction, subject: Subject) -> list[Candidate]:
    segmentation = read_segmentation(prediction.path, subject.ct, names=prediction.names)
    known = {segment.structure for segment in segmentation} | _promised(prediction)
    known.discard(None)
    if not known:
        raise InputError(
            f"{prediction.path}: nothing says which structures its labels are; put a dataset.json with "
            '{"labels": {"liver": 1}} beside the predictions'
        )
    what = {"kind": "network", "origin": "network", "stage": prediction.stage}
    candidates = []
    for value, structure in ((v, s) for v, s in subject.structures.items() if s in known):
        segments = [s for s in segmentation if s.structure == structure and not s.is_empty]
        if not segments:
            candidates.append(empty_candidate(value, **what))
            continue
        corner = tuple(min(s.box[axis].start for s in segments) for axis in range(3))
        end = tuple(max(s.box[axis].stop for s in segments) for axis in range(3))
        mask = np.zeros(np.subtract(end, corner), bool)
        for s in segments:
            mask[tuple(slice(b.start - c, b.stop - c) for b, c in zip(s.box, corner, strict=True))] |= s.voxels()
        candidates.append(Candidate(value=value, mask=mask, corner=corner, **what))
    return candidates


def _promised(prediction: Prediction) -> set[str]:
    """Structures that the network can find, by the names beside its predictions or in a NIfTI header."""
    if prediction.names is not None:
        names = read_names(prediction.names).values()
    elif prediction.path.is_file() and prediction.path.name.lower().endswith((".nii", ".nii.gz")):
        import nibabel

        from QualitySentinelLib.reading.nifti import label_table

        names = label_table(nibabel.load(prediction.path).header.extensions).values()  # the image itself was read well
    else:
        names = ()
    return {structure.name for name in names if (structure := match_structure(name)) is not None}
