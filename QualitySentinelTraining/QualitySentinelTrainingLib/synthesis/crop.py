"""A part of a scan: the field of view of a CT that was cut around one organ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelLib.volume.segmentation import boxes_of_labels

from ..subjects import Subject

_MARGIN_MM = (5.0, 60.0)
_LEAST_SHARE = 0.3
"""A structure of which less than this is left is not labeled: nobody would."""


def cropped_subject(subject: Subject, rng: np.random.Generator) -> Subject:
    """The box around one structure, drawn at random, and a margin drawn for each side; what sticks out is cut."""
    boxes = boxes_of_labels(subject.labels, subject.structures)
    value = rng.choice(sorted(boxes))
    spacing = subject.ct.frame.spacing
    # The slices are often left as they are: fields of view are cut in the plane.
    margins = rng.uniform(*_MARGIN_MM, size=(3, 2)) * (1.0 if rng.random() < 0.5 else np.array([[20.0], [1.0], [1.0]]))
    box = tuple(
        slice(max(0, int(r.start - low / mm)), min(n, int(np.ceil(r.stop + high / mm))))
        for r, (low, high), mm, n in zip(boxes[value], margins, spacing, subject.labels.shape, strict=True)
    )
    start = np.array([r.start for r in reversed(box)] + [1.0])
    affine = subject.ct.frame.ijk_to_ras.copy()
    affine[:3, 3] = (subject.ct.frame.ijk_to_ras @ start)[:3]
    labels = subject.labels[box].copy()
    left, before = (np.bincount(a.ravel(), minlength=256) for a in (labels, subject.labels))
    gone = left < _LEAST_SHARE * before
    labels[gone[labels]] = 0
    hu = np.ascontiguousarray(subject.ct.hu[box])
    ct = CtVolume(hu, AxialFrame.from_affine(affine, hu.shape), subject.ct.source)
    return replace(
        subject, ct=ct, labels=labels, source=f"{subject.source.split(',')[0]}, cropped", person=subject.person
    )
