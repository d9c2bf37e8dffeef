"""What a reader can do with a review, by name, and whether there is anything to do: for every view alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .refs import SliceRef
from .session import ReviewSession


@dataclass(frozen=True)
class Action:
    """How a button, or a key's entry in a list, shows an action now.

    Attributes:
        text: what it does now, for its face.
        enabled: whether it would do anything.
    """

    text: str
    enabled: bool


class ReviewPresenter:
    """The actions of a reader on one review; a view calls them from its buttons and keys.

    None of them raises for lack of a slice to act on: a key may be pressed at any time. What they change is told by
    the session's events.

    Args:
        session: the review.
        _: translates; in Slicer ``slicer.i18n.tr``.

    Attributes:
        ACTIONS: names of the methods that need nothing but the reader's wish.
    """

    ACTIONS = ("next_flagged", "previous_flagged", "accept", "accept_and_next", "accept_segment", "undo", "redo")

    def __init__(self, session: ReviewSession, _: Callable[[str], str] = str) -> None:
        self.session, self._tr = session, _

    def actions(self) -> dict[str, Action]:
        """Every action of :attr:`ACTIONS` as it is now."""
        session, _ = self.session, self._tr
        anything_open = bool(session.open_slices())
        accepted = session.current is not None and session.is_accepted(*session.current)
        return {
            "next_flagged": Action(_("Next flagged"), anything_open),
            "previous_flagged": Action(_("Previous"), anything_open),
            "accept": Action(_("Undo accept") if accepted else _("Accept"), self._is_scored),
            "accept_and_next": Action(_("Accept and next"), self._is_scored or anything_open),
            "accept_segment": Action(
                _("Undo accept segment") if self._takes_segment_back else _("Accept segment"),
                self._takes_segment_back or self._is_segment_open,
            ),
            "undo": Action(_("Undo"), session.can_undo),
            "redo": Action(_("Redo"), session.can_redo),
        }

    # Where to look

    def select(self, segment_id: str) -> None:
        """Look at a segment, at its worst slice.

        Raises:
            UsageError: there is no such segment.
        """
        self.session.select(segment_id)

    def go_to(self, k: int) -> None:
        """Look at a slice of the selected segment.

        Raises:
            UsageError: it is no slice number.
        """
        if self.session.selected is not None:
            self.session.go_to(self.session.selected, k)

    def next_flagged(self) -> None:
        """Look at the next open slice."""
        self.session.next_flagged()

    def previous_flagged(self) -> None:
        """Look at the open slice before."""
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
        if self._takes_segment_back:
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
    def _is_segment_open(self) -> bool:
        selected = self.session.selected
        return selected is not None and self.session.segment_counts(selected).open > 0

    @property
    def _takes_segment_back(self) -> bool:
        selected = self.session.selected
        counts = None if selected is None else self.session.segment_counts(selected)
        return counts is not None and not counts.open and counts.progress.accepted > 0

    def _look(self, changed: tuple[SliceRef, ...]) -> None:
        if changed and self.session.current not in changed:
            self.session.go_to(*changed[0])
