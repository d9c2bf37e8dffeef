"""How a review names a slice, and what it asks of a slice's score."""

from __future__ import annotations

from typing import NamedTuple

from ..scores import SegmentScore, SliceScore, Status

NO_MASK = ""
"""Stands for the digest of a slice in which the segment has no voxel."""


class SliceRef(NamedTuple):
    """One slice of one segment; ``k`` is its canonical index, inferior to superior."""

    segment_id: str
    k: int


def all_slices(segment: SegmentScore) -> list[SliceScore]:
    """The slices of a segment with mask, then those without."""
    return [*segment.slices, *segment.empty_slices]


def is_scored(segment: SegmentScore) -> bool:
    """Whether scoring came to its end for the segment."""
    return segment.status is not Status.NOT_SCORED


def is_complete(segment: SegmentScore) -> bool:
    """Whether every slice of the mask has been scored, so that a slice without score is known to have no mask."""
    return is_scored(segment) and segment.n_scored >= segment.n_slices


def mask_digest(segment: SegmentScore, score: SliceScore | None) -> str | None:
    """Fingerprint of the mask in a slice of the segment: ``NO_MASK`` where it is empty, ``None`` when unknown.

    The digest of a slice without mask is that of the nearest slice with mask. A reader who edits that one has not
    touched the empty slice, so it does not count here.
    """
    if score is not None and score.has_mask:
        return score.digest
    return NO_MASK if score is not None or is_complete(segment) else None
