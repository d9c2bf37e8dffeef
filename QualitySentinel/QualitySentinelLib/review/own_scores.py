"""The review's own copy of the scores that it is given."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

from ..scores import CaseScore, SegmentScore
from .refs import is_scored


def copied(case: CaseScore, own: CaseScore | None = None) -> CaseScore:
    """A copy that shares nothing with ``case`` that changes; slices in ascending order.

    Args:
        case: the scores given.
        own: the review's copy until now: its segments are taken where they are equal, which is most of them after
            an edit, and whoever finds the same object need not look into it.
    """
    known = {s.segment_id: s for s in own.segments} if own else {}
    segments = [known[s.segment_id] if s == known.get(s.segment_id) else _copied(s) for s in case.segments]
    return replace(case, segments=segments, model=deepcopy(case.model), warnings=list(case.warnings))


def _copied(segment: SegmentScore) -> SegmentScore:
    return replace(
        segment,
        slices=sorted((replace(s) for s in segment.slices), key=lambda s: s.k),
        empty_slices=sorted((replace(s) for s in segment.empty_slices), key=lambda s: s.k),
    )


def fingerprint(case: CaseScore) -> str | None:
    """SHA-256 of the model that made the scores, ``None`` when they do not say."""
    sha256 = case.model.get("sha256")
    return None if sha256 is None else str(sha256)


def further(new: SegmentScore, old: SegmentScore | None) -> SegmentScore:
    """The new score, or the old one under the new name where scoring did not get to the segment, or not as far."""
    if old is None or is_scored(new) or not (is_scored(old) or old.n_scored > new.n_scored):
        return new
    return old if old.name == new.name else replace(old, name=new.name)
