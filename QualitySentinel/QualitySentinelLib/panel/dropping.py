"""What the user is asked before a review is dropped."""

from __future__ import annotations

from slicer.i18n import tr as _

from ..review import ReviewSession


def dropped_text(session: ReviewSession) -> str:
    """What would be lost with a review of another CT, as a question; empty when nothing was accepted or edited."""
    accepted, edited = len(session.accepted), len(session.edits())
    if not accepted and not edited:
        return ""
    return _(
        "This segmentation was reviewed on another CT, or the CT has been moved or changed since. Scoring starts a new "
        "review; slices marked as accepted ({accepted}) and as edited ({edited}) lose their marks. Masks are not "
        "changed.\n\nBegin a new review?"
    ).format(accepted=accepted, edited=edited)
