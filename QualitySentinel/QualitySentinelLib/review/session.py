"""A review: the state and every action of a reader who goes through the scores of one segmentation."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from ..errors import UsageError
from ..options import check_threshold
from ..scores import CaseScore, SegmentScore, SliceScore, flag, segment_labels
from .accepted import AcceptedSlices
from .cases import SliceRef, all_slices, changed_segments, copied, fingerprint, further, mask_digest
from .edits import Edit, FirstScores
from .events import Changed, Observer, Observers, ReviewEvent
from .rows import ReviewCounts
from .state import ReviewState


class ReviewSession:
    """The review of one segmentation: what is flagged, looked at, accepted and edited.

    The session keeps a copy of the scores; those that it is given are never changed, and sessions share nothing.
    Slices are meant by segment id and canonical k. *Flagged* slices are predicted below the threshold, in *missed*
    ones the mask is missing; both need a look until they are accepted, or until they are neither after a correction:
    these are the *open* slices. To be used from one thread. A method that is given the id of a segment that is not
    there raises a ``UsageError``.

    Args:
        case_score: the scores of a segmentation; more may come through :meth:`update`.
        threshold: DSC in 0..1; by default the case's own.

    Raises:
        UsageError: the threshold is not a number in 0..1.

    Example::

        session = ReviewSession(case_score)
        stop = session.observe(lambda event: print(event.changed, event.segments))
        while session.next_flagged():
            session.accept()
    """

    def __init__(self, case_score: CaseScore, threshold: float | None = None) -> None:
        self._threshold = check_threshold(case_score.threshold if threshold is None else threshold)
        self._own_thresholds = case_score.own_thresholds
        self._slices: dict[str, dict[int, SliceScore]] = {}
        self._first = FirstScores()
        self._accepts = AcceptedSlices()
        self._selected: str | None = None
        self._k: int | None = None
        self._counts: dict[str, tuple[ReviewCounts, bool]] = {}  # with whether the segment was edited
        self._observers = Observers()
        self._warnings: tuple[str, ...] = ()
        self._take(copied(case_score), before=None)

    # Scores

    @property
    def case(self) -> CaseScore:
        """The scores, flagged with this session's threshold: for tables and files. Not to be changed."""
        return self._case

    @property
    def segments(self) -> tuple[SegmentScore, ...]:
        """The segments worst first, those without a score last; equal ones in the segmentation's order."""
        return tuple(self._worst_first)

    @property
    def labels(self) -> dict[str, str]:
        """How each segment is called, by id, as in the tables."""
        return segment_labels(self._case.segments)

    def segment(self, segment_id: str) -> SegmentScore:
        if segment_id not in self._rank:
            raise UsageError(f"{segment_id}: no such segment in this review; select one from its table")
        return self._worst_first[self._rank[segment_id]]

    def slice_score(self, segment_id: str, k: int) -> SliceScore | None:
        """The score of a slice, with mask or without; ``None`` when it has none."""
        self.segment(segment_id)
        return self._slices[segment_id].get(k)

    def profile(self, segment_id: str) -> tuple[SliceScore, ...]:
        """The segment's slices with mask and missed ones, inferior to superior; others are gaps."""
        self.segment(segment_id)
        return tuple(s for s in self._slices[segment_id].values() if s.has_mask or s.missed)

    def edit_of(self, score: SliceScore) -> Edit | None:
        """How the mask of a slice differs from that of its first score; ``None`` when it is the same."""
        return self._first.edit(self.segment(score.segment_id), score.k, score)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of a kept review could not be taken over, one line each; empty for a new one."""
        return self._warnings

    # Threshold and figures

    @property
    def threshold(self) -> float:
        """Slices predicted strictly below it are flagged, 0..1."""
        return self._threshold

    @property
    def own_thresholds(self) -> bool:
        """Whether structures that have a threshold of their own, where the model has any, are flagged below that."""
        return self._own_thresholds

    def set_threshold(self, threshold: float, own_thresholds: bool | None = None) -> None:
        """Flag anew, below this threshold or those of structures (by default as before). Accepts stay.

        Raises:
            UsageError: it is not a number in 0..1; the review is as it was.
        """
        threshold = check_threshold(threshold)
        own = self._own_thresholds if own_thresholds is None else bool(own_thresholds)
        if (threshold, own) == (self._threshold, self._own_thresholds):
            return
        before = {s.segment_id: self._counted(s) for s in self._case.segments}
        self._threshold, self._own_thresholds = threshold, own
        self._case.own_thresholds = own
        flag(self._case, threshold)
        changed = (i for i, (n, edited) in before.items() if edited or self.segment(i).n_flagged != n.flagged)
        self._tell(Changed.THRESHOLD, tuple(changed))

    @property
    def counts(self) -> ReviewCounts:
        return ReviewCounts.sum(self.segment_counts(s.segment_id) for s in self._case.segments)

    def segment_counts(self, segment_id: str) -> ReviewCounts:
        """The figures of one segment. Counted anew only when they have changed: a slider may not wait for all."""
        return self._counted(self.segment(segment_id))[0]

    def accepted_counts(self) -> dict[str, int]:
        """By segment id how many of its flagged or missed slices are accepted."""
        return {s.segment_id: self.segment_counts(s.segment_id).accepted for s in self._case.segments}

    # The slice that is looked at

    @property
    def selected(self) -> str | None:
        """Id of the segment that is looked at."""
        return self._selected

    @property
    def current(self) -> SliceRef | None:
        """The slice that is looked at. It need not have a score: it may have been erased, or have none yet."""
        return None if self._selected is None or self._k is None else SliceRef(self._selected, self._k)

    def worst_slice(self, segment_id: str) -> SliceRef | None:
        """The slice of a segment to look at first: the lowest open one, else the lowest not accepted, else the lowest.

        Of equal ones the inferior; ``None`` when the segment has neither scored nor missed slices.
        """

        def rank(s: SliceScore) -> tuple[bool, bool, float, int]:
            return SliceRef(segment_id, s.k) in self._accepts, not s.is_doubtful, s.predicted_dsc, s.k

        worst = min(self.profile(segment_id), key=rank, default=None)
        return None if worst is None else SliceRef(segment_id, worst.k)

    def select(self, segment_id: str) -> SliceRef | None:
        """Look at a segment, at its worst slice; returns that slice."""
        worst = self.worst_slice(segment_id)
        self._look_at(segment_id, None if worst is None else worst.k)
        return worst

    def go_to(self, segment_id: str, k: int) -> None:
        """Look at any slice of a segment, scored or not.

        Raises:
            UsageError: there is no such segment, or ``k`` is no slice number.
        """
        self.segment(segment_id)
        try:
            number = operator.index(k)
        except TypeError:
            number = -1
        if number < 0:
            raise UsageError(f"{k}: not a slice number; give a canonical k from 0")
        self._look_at(segment_id, number)

    def open_slices(self) -> tuple[SliceRef, ...]:
        """Flagged and missed slices that are not accepted: worst segment first, inside it inferior to superior."""
        return tuple(
            ref
            for segment in self._worst_first
            for s in self.profile(segment.segment_id)
            if s.is_doubtful and (ref := SliceRef(segment.segment_id, s.k)) not in self._accepts
        )

    def next_flagged(self) -> SliceRef | None:
        """Look at the next open slice, after the last one at the first; ``None``, and nothing moves, without one.

        The order is that of :meth:`open_slices`, from the slice that is looked at, whether it is open or not.
        """
        found, here = self.open_slices(), self._place()
        return self._arrive([ref for ref in found if (self._rank[ref.segment_id], ref.k) > here] or found)

    def previous_flagged(self) -> SliceRef | None:
        """As :meth:`next_flagged`, backwards: after the first open slice comes the last."""
        found, here = self.open_slices()[::-1], self._place()
        return self._arrive([ref for ref in found if (self._rank[ref.segment_id], ref.k) < here] or found)

    # Accepting

    def is_accepted(self, segment_id: str, k: int) -> bool:
        """Whether a reader found the slice fine as it is."""
        return SliceRef(segment_id, k) in self._accepts

    @property
    def accepted(self) -> tuple[SliceRef, ...]:
        """Every accepted slice, in the order they were accepted, flagged with this threshold or not."""
        return tuple(self._accepts.digests)

    def accept(self, segment_id: str | None = None, k: int | None = None) -> tuple[SliceRef, ...]:
        """Mark a scored slice as fine, by default the one that is looked at; returns it if it was not accepted before.

        Raises:
            UsageError: there is no such segment, or the slice has no score.
        """
        return self._accept([self._meant(segment_id, k)])

    def unaccept(self, segment_id: str | None = None, k: int | None = None) -> tuple[SliceRef, ...]:
        """Take an accept back, as :meth:`accept` gives it; returns the slice if it was accepted before."""
        return self._accepted(self._accepts.unaccept((self._meant(segment_id, k),)))

    def accept_segment(self, segment_id: str) -> tuple[SliceRef, ...]:
        """Accept all open slices of a segment in one step; returns them, inferior to superior."""
        return self._accept([SliceRef(segment_id, s.k) for s in self.profile(segment_id) if s.is_doubtful])

    def unaccept_segment(self, segment_id: str) -> tuple[SliceRef, ...]:
        """Take back all accepts of a segment in one step, also of slices that are not flagged; returns their slices."""
        self.segment(segment_id)
        return self._accepted(self._accepts.unaccept(tuple(SliceRef(segment_id, k) for k in self._slices[segment_id])))

    @property
    def can_undo(self) -> bool:
        return self._accepts.can_undo

    @property
    def can_redo(self) -> bool:
        return self._accepts.can_redo

    def undo(self) -> tuple[SliceRef, ...]:
        """Undo the last accept or unaccept; returns the slices it changes, none when there is nothing to undo."""
        return self._accepted(self._accepts.undo())

    def redo(self) -> tuple[SliceRef, ...]:
        """Redo what was undone last; returns the slices it changes, none when there is nothing to redo."""
        return self._accepted(self._accepts.redo())

    # Scored again

    def update(self, case_score: CaseScore) -> tuple[str, ...]:
        """Take the scores of another scoring, complete or still going on.

        - A segment that is not scored in it keeps its scores, if the model is the same: scoring of others, or one
          that was cancelled, takes nothing away.
        - An accept stays as long as the mask in its slice is the same; else it falls away, and its history with it.
        - The slice that is looked at stays, whatever becomes of its score, unless its segment is gone.
        - The threshold, and whether structures have their own, are this session's.

        Returns:
            ids of the segments that are different from before; observers get the same, and nothing when nothing is.
        """
        old = self._case
        if fingerprint(old) == fingerprint(case_score):
            new = copied(case_score, own=old)
            new.segments = [further(s, self._find(s.segment_id)) for s in new.segments]
        else:
            new = copied(case_score)
            self._first.forget_dsc()
            self._counts.clear()
        self._take(new, before=old)
        self._accepts.forget(self._is_stale)
        changed = changed_segments(old, new)
        self._first.forget_segments({x.segment_id for x in old.segments} - self._rank.keys())
        left = self._selected if self._selected is not None and self._selected not in self._rank else None
        if left is not None:
            self._selected = self._k = None
        if changed or [x.segment_id for x in old.worst_first()] != list(self._rank):
            self._tell(Changed.SCORES, changed)
        if left is not None:
            self._tell(Changed.CURRENT)
        return changed

    def edits(self) -> tuple[Edit, ...]:
        """Slices whose mask is another than at their first score: segments in their order, slices upwards."""
        return tuple(
            edit
            for segment in self._case.segments
            for edit, _first, _score in self._first.edits(segment, self._slices[segment.segment_id])
        )

    # Observers

    def observe(self, callback: Observer) -> Callable[[], object]:
        """Call ``callback`` with a :class:`ReviewEvent` after every change; returns a function that ends it.

        What it raises is logged. It may act on the review: the events of that come after the present one.
        """
        return self._observers.add(callback)

    # Kept in the scene

    def to_state(self) -> dict[str, object]:
        """Everything but the scores and the undo history, as JSON-able dictionaries and lists.

        To be kept together with the scores (``report.json`` has them), and given back to :meth:`from_state`.
        """
        ids = (s.segment_id for s in self._case.segments)
        first = {i: found for i in ids if (found := self._first.differing(self.segment(i), self._slices[i]))}
        return ReviewState(
            self._threshold, fingerprint(self._case), self._selected, self._k, self._accepts.digests, first,
            self._own_thresholds,
        ).to_json()  # fmt: skip

    @classmethod
    def from_state(cls, case_score: CaseScore, state: object) -> ReviewSession:
        """A review taken up again: ``to_state()`` of a session on the same segmentation.

        What cannot be taken over is dropped and told in :attr:`warnings`: segments that are gone, accepts of slices
        whose mask has changed.

        Args:
            case_score: the scores that were kept with it, or newer ones.
            state: what :meth:`to_state` gave, perhaps through JSON.

        Raises:
            InputError: the state is damaged, or of another version.
        """
        kept = ReviewState.from_json(state)
        session = cls(replace(case_score, own_thresholds=kept.own_thresholds), kept.threshold)
        gone = sorted(kept.segment_ids - session._rank.keys())
        session._first = FirstScores({i: first for i, first in kept.first.items() if i not in gone})
        if kept.model != fingerprint(session._case):
            session._first.forget_dsc()
        for s in session._case.segments:
            session._first.learn(s, session._slices[s.segment_id].values(), None)
        accepted = {r: digest for r, digest in kept.accepted.items() if r.segment_id not in gone}
        session._accepts = AcceptedSlices(accepted)
        stale = session._accepts.forget(session._is_stale)
        if kept.selected is not None and kept.selected not in gone:
            session._selected, session._k = kept.selected, kept.k
        session._warnings = tuple(_restoring_warnings(gone, len(stale)))
        return session

    # Within

    def _take(self, case: CaseScore, before: CaseScore | None) -> None:
        """Make ``case``, which is this session's own, the scores under review; ``before``: those until now."""
        case.own_thresholds = self._own_thresholds
        flag(case, self._threshold)
        self._case = case
        self._worst_first = case.worst_first()
        self._rank = {s.segment_id: rank for rank, s in enumerate(self._worst_first)}
        old = {s.segment_id: s for s in before.segments} if before else {}
        known, self._slices = self._slices, {}
        for s in case.segments:
            if s is old.get(s.segment_id):
                self._slices[s.segment_id] = known[s.segment_id]
                continue
            slices = {x.k: x for x in sorted(all_slices(s), key=lambda x: x.k)}
            self._slices[s.segment_id] = slices
            self._first.learn(s, slices.values(), old.get(s.segment_id))

    def _find(self, segment_id: str) -> SegmentScore | None:
        return self.segment(segment_id) if segment_id in self._rank else None

    def _counted(self, segment: SegmentScore) -> tuple[ReviewCounts, bool]:
        """The figures of a segment, and whether it was edited."""
        if segment.segment_id not in self._counts:
            self._counts[segment.segment_id] = self._count(segment)
        return self._counts[segment.segment_id]

    def _count(self, segment: SegmentScore) -> tuple[ReviewCounts, bool]:
        doubtful = [s for s in self.profile(segment.segment_id) if s.is_doubtful]
        accepted = sum(SliceRef(segment.segment_id, s.k) in self._accepts for s in doubtful)
        below = self._case.threshold_of(segment)
        edits = [edit[1:] for edit in self._first.edits(segment, self._slices[segment.segment_id])]
        corrected = sum(
            first.was_doubtful(below) and (now is None or not now.is_doubtful) for first, now in edits
        )
        counts = ReviewCounts(
            flagged=segment.n_flagged,
            missed=segment.n_missed,
            segments=int(bool(doubtful)),
            accepted=accepted,
            corrected=corrected,
            open=len(doubtful) - accepted,
        )
        return counts, bool(edits)

    def _place(self) -> tuple[int, int]:
        """Where the reader is in the order of slices; before all of them when nowhere."""
        if self._selected is None:
            return -1, -1
        return self._rank[self._selected], -1 if self._k is None else self._k

    def _arrive(self, refs: Sequence[SliceRef]) -> SliceRef | None:
        if refs:
            self._look_at(*refs[0])
        return refs[0] if refs else None

    def _look_at(self, segment_id: str, k: int | None) -> None:
        if (self._selected, self._k) != (segment_id, k):
            self._selected, self._k = segment_id, k
            self._tell(Changed.CURRENT)

    def _meant(self, segment_id: str | None, k: int | None) -> SliceRef:
        if segment_id is None and k is None and self.current is not None:
            segment_id, k = self.current
        if segment_id is None or k is None:
            raise UsageError("no slice is selected; select one first")
        if self.slice_score(segment_id, k) is None:
            raise UsageError(f"{self.labels[segment_id]}: slice {k} has no score; score it first")
        return SliceRef(segment_id, k)

    def _accept(self, refs: Iterable[SliceRef]) -> tuple[SliceRef, ...]:
        digests = {}
        for ref in refs:
            digest = mask_digest(self.segment(ref.segment_id), self._slices[ref.segment_id][ref.k])
            assert digest is not None  # the slice has a score
            digests[ref] = digest
        return self._accepted(self._accepts.accept(digests))

    def _accepted(self, refs: tuple[SliceRef, ...]) -> tuple[SliceRef, ...]:
        """Tell that the accept of these slices changed."""
        if refs:
            self._tell(Changed.ACCEPTED, tuple(dict.fromkeys(ref.segment_id for ref in refs)))
        return refs

    def _tell(self, changed: Changed, segment_ids: tuple[str, ...] = ()) -> None:
        for segment_id in segment_ids:
            self._counts.pop(segment_id, None)
        self._observers.tell(ReviewEvent(changed, segment_ids))

    def _is_stale(self, ref: SliceRef, digest: str) -> bool:
        """Whether the mask in a slice is known to be another than that of ``digest``."""
        segment = self._find(ref.segment_id)
        if segment is None:
            return True
        now = mask_digest(segment, self._slices[ref.segment_id].get(ref.k))
        return now is not None and now != digest


def _restoring_warnings(gone: list[str], stale: int) -> Iterable[str]:
    if gone:
        names = ", ".join(" ".join(i.split()) for i in gone[:8]) + (", ..." if len(gone) > 8 else "")
        yield f"segments of the saved review no longer exist: {names}; their accepts and edits are dropped"
    if stale:
        yield f"accepted slices whose mask has changed since the review was saved: {stale}; they are open again"
