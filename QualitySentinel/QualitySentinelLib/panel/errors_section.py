"""Needs ``qt`` and ``slicer``. Errors in the section Review: what the model would change, island by island."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import slicer
from slicer.i18n import tr as _

from ..errors import one_line
from ..review import ReviewEvent
from ..scene import jump_to_slice
from ..scene.errors import errors_shown, hide_errors, show_errors
from ..scene.nodes import frame_of
from .open_review import OpenReview
from .qt_tools import ActionButtons

BUTTONS = {
    "toggle_errors": "errorsButton",
    "previous_island": "previousIslandButton",
    "next_island": "nextIslandButton",
    "apply_to_slice": "applySliceButton",
    "apply_to_island": "applyIslandButton",
}
"""The actions, and the buttons that do them."""
_ONLY_SHOWN = ("errorsLabel", "applySliceButton", "applyIslandButton", "undoEditButton")
"""Widgets that are there while errors are shown."""


class ErrorsSection:
    """Shows the suggestions of a review in the panel and in the views, and makes clicks its actions.

    ``find`` is called with a review and a segment whose errors are not known: it is to be scored again for them.
    """

    def __init__(self, ui: SimpleNamespace, find: Callable[[OpenReview, str], object]) -> None:
        self._ui, self._find = ui, find
        self._review: OpenReview | None = None
        self._unsubscribe: Callable[[], object] = lambda: None
        self._shown: tuple[str | None, list] = None, []
        self._asked: str | None = None
        self._buttons = ActionButtons(ui, BUTTONS, self._act)
        ui.undoEditButton.connect("clicked(bool)", lambda *_checked: self._undo())
        self.draw()

    def show(self, review: OpenReview | None) -> None:
        """Show the errors of this review from now on, or that there is none."""
        if review is not self._review:
            self._unsubscribe()
            self.hide()
            self._review, self._asked = review, None
            self._unsubscribe = (lambda: None) if review is None else review.session.observe(self._on_event)
        self.draw()

    def hide(self) -> None:
        """Take errors out of the views."""
        if self._review is not None:
            self._review.suggestions.shown = False
            self.draw()

    def draw(self) -> None:
        """Draw everything anew."""
        ui, suggestions = self._ui, self._review and self._review.suggestions
        shown = bool(suggestions and suggestions.shown)
        self._buttons.draw(suggestions.actions() if suggestions else {})
        ui.errorsButton.checked = shown
        ui.errorsLabel.text = suggestions.told() if suggestions else ""
        ui.undoEditButton.enabled = self._review is not None and self._review.history.can_undo
        for name in _ONLY_SHOWN:
            getattr(ui, name).setVisible(shown)
        self._draw_views(shown)

    def _draw_views(self, shown: bool) -> None:
        review, (before, known) = self._review, self._shown
        if review is None or not review.segmentation_node.GetScene():
            self._shown = None, []
            return
        selected = review.session.selected if shown and review.volume_node.GetScene() else None
        if selected is None:
            if errors_shown(review.segmentation_node):  # also by a scene that was saved so
                hide_errors(review.segmentation_node)
            self._shown = None, []
            return
        if review.suggestions.lacks_drawings and self._asked != selected:
            self._asked = selected
            self._find(review, selected)
        maps = review.suggestions.maps()
        if selected != before or maps is not known:
            name = one_line(review.session.labels[selected])
            show_errors(review.segmentation_node, review.volume_node, name, maps)
            self._shown = selected, maps

    def _on_event(self, _event: ReviewEvent) -> None:
        self.draw()

    def _act(self, action: str) -> None:
        if self._review is not None:
            with slicer.util.tryWithErrorDisplay(_("Failed to change the segment.")):
                getattr(self._review.suggestions, action)()
            place, volume = self._review.suggestions.place, self._review.volume_node
            if action.endswith("island") and place is not None:  # the other views cut it, too
                jump_to_slice(volume, place[0], (frame_of(volume).ijk_to_ras @ [*place[::-1], 1.0])[:3])
        self.draw()

    def _undo(self) -> None:
        if self._review is not None:
            self._review.history.undo()
        self.draw()
