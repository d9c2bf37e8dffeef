"""The figures of a review, and its tables: those of the scores, with what the reader did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING

from ..scores import CaseScore
from ..scores.columns import REVIEW_SEGMENT_COLUMNS, REVIEW_SLICE_COLUMNS, SEGMENT_COLUMNS, SLICE_COLUMNS
from ..scores.tables import segment_rows, slice_rows

if TYPE_CHECKING:
    from .session import ReviewSession


@dataclass(frozen=True)
class ReviewCounts:
    """What the threshold makes of a case, or of one segment, and how far a reader has come."""

    flagged: int = 0  # slices of the mask predicted below the threshold, accepted ones included, as in the tables
    missed: int = 0  # slices where the mask is missing; the threshold does not matter to them
    segments: int = 0  # segments that have any of either
    accepted: int = 0  # flagged or missed slices that were accepted
    # slices that would have been flagged or missed at their first score, whose mask was changed since, and that are
    # neither now
    corrected: int = 0
    open: int = 0  # flagged or missed slices left to look at, those that next and previous go through

    @classmethod
    def sum(cls, counts: Iterable[ReviewCounts]) -> ReviewCounts:
        return cls(*map(sum, zip(*map(astuple, counts), strict=True)))

    @property
    def done(self) -> int:
        """Slices dealt with."""
        return self.accepted + self.corrected

    @property
    def total(self) -> int:
        """Slices that need, or needed, a look."""
        return self.done + self.open

    @property
    def share(self) -> float:
        """``done`` of ``total``, 0..1; 1 when there is nothing to do."""
        return self.done / self.total if self.total else 1.0


def score_tables(case: CaseScore, session: ReviewSession | None = None) -> tuple[tuple, tuple]:
    """(columns, rows) of the segments and of the slices; with the session of these scores, also what the reader did."""
    if session is None:
        return (SEGMENT_COLUMNS, segment_rows(case)), (SLICE_COLUMNS, slice_rows(case))
    segments = REVIEW_SEGMENT_COLUMNS, review_segment_rows(session)
    return segments, (REVIEW_SLICE_COLUMNS, review_slice_rows(session))


def review_slice_rows(session: ReviewSession) -> Iterator[tuple[object, ...]]:
    """Values of ``REVIEW_SLICE_COLUMNS``: the rows of ``slices.csv`` in its order, three values longer.

    ``accepted`` and ``edited`` are 0 or 1; ``first_dsc`` is the predicted DSC before the edit, ``None`` for
    slices that were not edited or had no score then. Slices whose mask was erased have no row, because they are
    no slices of the mask any more; :meth:`ReviewSession.edits` has them.
    """
    slices = (score for s in session.case.segments for score in session.profile(s.segment_id))
    for row, score in zip(slice_rows(session.case), slices, strict=True):
        edit = session.edit_of(score)
        accepted = session.is_accepted(score.segment_id, score.k)
        yield *row, int(accepted), int(edit is not None), edit and edit.dsc_before


def review_segment_rows(session: ReviewSession) -> Iterator[tuple[object, ...]]:
    """Values of ``REVIEW_SEGMENT_COLUMNS``: the rows of ``segments.csv`` in its order, three values longer.

    They count slices that are or were flagged or missed: accepted, corrected so that they are neither, and still open
    (:class:`ReviewCounts`).
    """
    for row, segment in zip(segment_rows(session.case), session.case.segments, strict=True):
        counts = session.segment_counts(segment.segment_id)
        yield *row, counts.accepted, counts.corrected, counts.open


def review_document(session: ReviewSession) -> dict[str, object]:
    """What the reader did, for ``report.json``: figures, slices accepted or edited, and the state to go on from.

    ``slices`` has those of the mask, missed ones, and those whose mask was erased; a DSC is ``None`` without a score.
    """
    counts, edits, slices = session.counts, {(e.segment_id, e.k): e for e in session.edits()}, []
    for segment_id in (s.segment_id for s in session.case.segments):
        accepted = {s.k for s in session.profile(segment_id) if session.is_accepted(segment_id, s.k)}
        for k in sorted(accepted | {k for i, k in edits if i == segment_id}):
            score, edit = session.slice_score(segment_id, k), edits.get((segment_id, k))
            slices.append(
                {
                    "segment_id": segment_id,
                    "k": k,
                    "accepted": k in accepted,
                    "edited": edit is not None,
                    "first_dsc": None if edit is None else edit.dsc_before,
                    "dsc": None if score is None else score.predicted_dsc,
                }
            )
    return {
        "threshold": session.threshold,
        "accepted": counts.accepted,
        "corrected": counts.corrected,
        "open": counts.open,
        "slices": slices,
        "state": session.to_state(),
    }
