"""What a reader sees of a review and can do with it, in words and colors: Slicer's panel and the web page draw this."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..anatomy.windows import WindowPreset, window_of
from ..colors import DEFAULT_SCALE, css_color, dsc_color
from ..errors import one_line
from ..scores import SegmentScore, SliceScore, Status
from ..scores.aggregation import flagged_of_correct
from .cases import SliceRef
from .edits import Edit, Effect
from .session import ReviewSession

STEADY_SECONDS = 2.0
"""Before so much time has passed, nothing is said of the rest: the first steps are not like the others."""


@dataclass(frozen=True)
class Action:
    """How a button shows an action now: what it does, whether it would do anything, and why not."""

    text: str
    enabled: bool
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """A segment in the table."""

    # id, name: the segment
    id: str
    name: str
    tip: str  # what the row leaves out, some lines
    dsc: str  # its predicted DSC, with a question mark when its structure is not known; empty without one
    color: str  # of that DSC, ``#rrggbb``
    n_scored: int  # slices of the mask that were scored
    # flagged, missed, open: as :class:`ReviewCounts` has them
    flagged: int
    missed: int
    open: int
    done: bool  # there was something to review, and nothing is left


@dataclass(frozen=True)
class Bar:
    """A slice in the profile of a segment."""

    k: int  # canonical slice index, inferior to superior
    # dsc, low, high: predicted DSC and the interval around it, or ``None``
    dsc: float
    low: float | None
    high: float | None
    color: str  # of that DSC, ``#rrggbb``
    missed: bool  # there is no mask to judge, but the structure is expected
    mark: str  # what the lane below says: ``accepted``, ``missed``, ``flagged`` or nothing
    edit: str  # an :class:`Effect` when the mask was edited, else empty
    tip: str  # slice and verdict, one line


@dataclass(frozen=True)
class Current:
    """The slice that is looked at."""

    k: int  # canonical slice index, -1 when none is looked at
    segment: str  # name of the selected segment; empty without one
    index: str  # the file's own number of the slice; empty when it is not known
    place: str  # that number and the position
    told: str  # the verdict, or what to do
    accepted: bool = False  # a reader found it fine


@dataclass(frozen=True)
class OpenSlice:
    """A segment that needs a look in some slice; ``color`` is that of the slice's predicted DSC, ``#rrggbb``."""

    id: str
    name: str
    dsc: float
    color: str
    missed: bool


class ReviewPresenter:
    """A review as a view shows it, and its reader's actions by name, for buttons and keys.

    No action raises for lack of a slice to act on: a key may be pressed at any time. What actions change is told by
    the session's events (:meth:`ReviewSession.observe`); a view then draws anew what the event names.

    Args:
        _: translates; in Slicer ``slicer.i18n.tr``.
        place_of: (the file's own slice number, S in mm) of a canonical k; without it, unscored slices have no place.

    Attributes:
        scale: name of the color scale; a view may set it.
    """

    # names of the methods that need nothing but the reader's wish
    ACTIONS = ("next_flagged", "previous_flagged", "accept", "accept_and_next", "accept_segment", "undo", "redo")

    def __init__(
        self,
        session: ReviewSession,
        _: Callable[[str], str] = str,
        place_of: Callable[[int], tuple[int, float]] | None = None,
    ) -> None:
        self.session, self._tr, self._place_of = session, _, place_of
        self.scale = DEFAULT_SCALE

    # What is shown

    def actions(self) -> dict[str, Action]:
        """Every action of :attr:`ACTIONS` as it is now."""
        session, _ = self.session, self._tr
        anything_open = session.counts.open > 0
        nothing_open, no_score = _("No slice is open"), _("No slice with a score is selected")
        accepted = session.current is not None and session.is_accepted(*session.current)
        undoes = self._undoes_segment
        segment_open = session.selected is not None and session.segment_counts(session.selected).open > 0
        states = {
            "next_flagged": (_("Next flagged"), anything_open, nothing_open),
            "previous_flagged": (_("Previous"), anything_open, nothing_open),
            "accept": (_("Undo accept") if accepted else _("Accept"), self._is_scored, no_score),
            "accept_and_next": (_("Accept and next"), self._is_scored or anything_open, nothing_open),
            "accept_segment": (
                _("Undo accepts") if undoes else _("Accept segment"), undoes or segment_open,
                _("No slice of a selected segment is open"),
            ),
            "undo": (_("Undo"), session.can_undo, _("Nothing to undo")),
            "redo": (_("Redo"), session.can_redo, _("Nothing to redo")),
        }  # fmt: skip
        return {name: Action(text, can, "" if can else reason) for name, (text, can, reason) in states.items()}

    def rows(self, segment_ids: Iterable[str] | None = None) -> list[Row]:
        """The table, worst segment first; with ``segment_ids`` only these rows of it."""
        labels, wanted = self.session.labels, None if segment_ids is None else set(segment_ids)
        return [
            self._row(s, one_line(labels[s.segment_id]))
            for s in self.session.segments
            if wanted is None or s.segment_id in wanted
        ]

    def bars(self) -> tuple[Bar, ...]:
        """The profile of the selected segment, inferior to superior; slices without a score are gaps."""
        selected = self.session.selected
        return () if selected is None else tuple(map(self._bar, self.session.profile(selected)))

    def current(self) -> Current:
        """The slice that is looked at."""
        session, _ = self.session, self._tr
        if session.selected is None:
            return Current(-1, "", "", "", _("Select a segment in the table, or go to the next flagged slice"))
        segment = one_line(session.labels[session.selected])
        if session.current is None:
            return Current(-1, segment, "", "", _("no score at this slice"))
        k = session.current.k
        found = next((s for s in session.profile(session.selected) if s.k == k), None)
        if found is not None:
            where, told = (found.slice_index, found.position_mm), verdict(session, found, _)
        else:
            where, told = None if self._place_of is None else self._place_of(k), _("no score at this slice")
        index, place = (str(where[0]), self._place(*where)) if where else ("", "")
        return Current(k, segment, index, place, told, session.is_accepted(*session.current))

    def open_in_slice(self, k: int) -> list[OpenSlice]:
        """The segments with an open slice at canonical ``k``, worst first."""
        session, found = self.session, []
        for segment in session.segments:
            score = session.slice_score(segment.segment_id, k)
            if score is not None and score.is_doubtful and not session.is_accepted(segment.segment_id, k):
                found.append((score.predicted_dsc, segment.segment_id, score.missed))
        labels = session.labels if found else {}
        return [OpenSlice(i, one_line(labels[i]), dsc, self.color(dsc), missed) for dsc, i, missed in sorted(found)]

    @property
    def window(self) -> WindowPreset | None:
        """The CT window in which the selected segment is judged, ``None`` without one."""
        if self.session.selected is None:
            return None
        segment = self.session.segment(self.session.selected)
        return window_of(segment.structure or segment.name)

    @property
    def threshold(self) -> float:
        """Of the selected segment, DSC in 0..1: where its profile has a line."""
        case, selected = self.session.case, self.session.selected
        return case.threshold if selected is None else case.threshold_of(self.session.segment(selected))

    @property
    def threshold_note(self) -> str:
        """What the threshold does, and how often in vain, where the model's calibration says that."""
        _, case = self._tr, self.session.case
        if case.thresholds_in_use:
            note = _("Slices of structures without their own threshold are flagged below this DSC.")
        else:
            note = _("Slices predicted below this DSC are flagged. Moving it does not score anything again.")
        share = flagged_of_correct(case)
        if share is None:
            return note
        told = _("On patients that the model had not seen, {share:.0%} of the slices of correct masks were flagged.")
        return f"{note} {told.format(share=share)}"

    @property
    def own_thresholds(self) -> Action:
        """Whether structures can have their own thresholds, and what that means."""
        _, can = self._tr, bool(self.session.case.structure_thresholds)
        text = _("Flag slices below their structure's threshold, set to flag at most 5% of slices of correct masks.")
        return Action(text, can, "" if can else _("This model has no thresholds for each structure"))

    def color(self, dsc: float | None) -> str:
        """``#rrggbb`` of a DSC in the scale."""
        return css_color(dsc_color(dsc, self.scale))

    # Where to look

    def select(self, segment_id: str) -> None:
        self.session.select(segment_id)

    def go_to(self, k: int) -> None:
        if self.session.selected is not None:
            self.session.go_to(self.session.selected, k)

    def next_flagged(self) -> None:
        self.session.next_flagged()

    def previous_flagged(self) -> None:
        self.session.previous_flagged()

    # Accepts

    def accept(self) -> None:
        """Accept the slice that is looked at, or undo its accept."""
        if self._is_scored:
            accepted = self.session.is_accepted(*self.session.current)
            (self.session.unaccept if accepted else self.session.accept)()

    def accept_and_next(self) -> None:
        """Accept the slice that is looked at, if it can be, and look at the next open one."""
        if self._is_scored:
            self.session.accept()
        self.session.next_flagged()

    def accept_segment(self) -> None:
        """Accept all open slices of the selected segment; when there is none, undo its accepts."""
        if self._undoes_segment:
            self.session.unaccept_segment(self.session.selected)
        elif self.session.selected is not None:
            self.session.accept_segment(self.session.selected)

    def undo(self) -> None:
        """Undo the last accept, and look at what that changed."""
        self._look(self.session.undo())

    def redo(self) -> None:
        """Redo it, and look at what that changed."""
        self._look(self.session.redo())

    # Within

    @property
    def _is_scored(self) -> bool:
        current = self.session.current
        return current is not None and self.session.slice_score(*current) is not None

    @property
    def _undoes_segment(self) -> bool:
        selected = self.session.selected
        counts = None if selected is None else self.session.segment_counts(selected)
        return counts is not None and not counts.open and counts.accepted > 0

    def _look(self, changed: tuple[SliceRef, ...]) -> None:
        if changed and self.session.current not in changed:
            self.session.go_to(*changed[0])

    def _place(self, index: int, position_mm: float) -> str:
        return self._tr("slice {index} (S {position:.1f} mm)").format(index=index, position=position_mm)

    def _row(self, segment: SegmentScore, name: str) -> Row:
        counts, dsc = self.session.segment_counts(segment.segment_id), segment.predicted_dsc
        return Row(
            id=segment.segment_id,
            name=name,
            tip=self._tip(segment, name),
            dsc="" if dsc is None else f"{dsc:.2f}" + " ?" * segment.is_unknown,
            color=self.color(dsc),
            n_scored=segment.n_scored,
            flagged=counts.flagged,
            missed=counts.missed,
            open=counts.open,
            done=counts.total > 0 and not counts.open,
        )

    def _tip(self, segment: SegmentScore, name: str) -> str:
        _, lines, dsc = self._tr, [name], segment.predicted_dsc
        if segment.status is Status.EMPTY:
            return "\n".join([name, _("The segment is empty")])
        if segment.structure:
            lines.append(_("Structure: {name}").format(name=segment.structure))
        else:
            lines.append(_("Unknown structure: scored without knowing what it is, so trust the score less"))
        if dsc is None:
            lines.append(_("No score: {reason}").format(reason=segment.status))
        else:
            lines.append(_("Predicted {dsc}").format(dsc=_dsc_text(dsc, segment.dsc_low, segment.dsc_high, _)))
        if segment.n_scored:
            scored = _("{scored} of {slices} slices scored")
            lines.append(scored.format(scored=segment.n_scored, slices=segment.n_slices))
        return "\n".join(lines)

    def _bar(self, s: SliceScore) -> Bar:
        accepted, edit = self.session.is_accepted(s.segment_id, s.k), self.session.edit_of(s)
        return Bar(
            k=s.k,
            dsc=round(s.predicted_dsc, 4),
            low=s.dsc_low,
            high=s.dsc_high,
            color=self.color(s.predicted_dsc),
            missed=s.missed,
            mark="accepted" if accepted else "missed" if s.missed else "flagged" if s.flagged else "",
            edit="" if edit is None else edit.effect,
            tip=f"{self._place(s.slice_index, s.position_mm)}: {verdict(self.session, s, self._tr)}",
        )


def verdict(session: ReviewSession, s: SliceScore, _: Callable[[str], str] = str) -> str:
    """DSC and state of a slice, on one line; ``_`` translates.

    Example: ``DSC 0.78, likely 0.46 to 1.00, flagged, edited: worse than before (0.83)``
    """
    dsc = _dsc_text(s.predicted_dsc, s.dsc_low, s.dsc_high, _)
    states = [_("missed: the structure is expected here") if s.missed else dsc]
    states += [_("flagged")] * s.flagged + [_("accepted")] * session.is_accepted(s.segment_id, s.k)
    edit = session.edit_of(s)
    return ", ".join(states if edit is None else [*states, _edit_text(edit, _)])


def time_left(done: int, total: int, seconds: float, _: Callable[[str], str] = str) -> str:
    """About how long the rest takes when the steps ``done`` took so long, or nothing where that cannot be said yet."""
    if not done or seconds < STEADY_SECONDS or done >= total:
        return ""
    left = seconds / done * (total - done)
    if left < 55:
        return _("about {seconds} s left").format(seconds=max(5, round(left / 5) * 5))
    return _("about {minutes} min left").format(minutes=max(1, round(left / 60)))


def distinct_lines(texts: Iterable[str]) -> list[str]:
    """Each text on one line, the same one once; empty ones are left out."""
    return list(dict.fromkeys(filter(None, map(one_line, texts))))


def _dsc_text(dsc: float, low: float | None, high: float | None, _: Callable[[str], str]) -> str:
    if low is None or high is None:
        return _("DSC {dsc:.2f}").format(dsc=dsc)
    return _("DSC {dsc:.2f}, likely {low:.2f} to {high:.2f}").format(dsc=dsc, low=low, high=high)


def _edit_text(edit: Edit, _: Callable[[str], str]) -> str:
    texts = {
        Effect.BETTER: _("edited: better than before ({before:.2f})"),
        Effect.WORSE: _("edited: worse than before ({before:.2f})"),
        Effect.SAME: _("edited: same score as before"),
        Effect.UNKNOWN: _("edited"),
    }
    return texts[edit.effect].format(before=edit.dsc_before)
