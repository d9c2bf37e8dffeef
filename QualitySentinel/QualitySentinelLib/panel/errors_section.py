"""Needs ``qt`` and ``slicer``. Errors in the section Review: what the model would change, island by island."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import slicer
from slicer.i18n import tr as _

from ..review.suggesting import SuggestionPresenter
from ..scene import jump_to_slice
from ..scene.errors import ErrorViews
from ..scene.nodes import frame_of
from .open_review import OpenReview
from .qt_tools import ActionButtons

_ONLY_SHOWN = ("errorsLabel", "applyToSliceButton", "applyToIslandButton", "undoEditButton")
"""Widgets that are there while errors are shown."""


class ErrorsSection:
    """Shows the suggestions of a review in the panel and in the views, and makes clicks its actions.

    ``find`` is called with a review and a segment whose errors are not known: it is to be scored again for them.
    """

    def __init__(self, ui: SimpleNamespace, find: Callable[[OpenReview, str], object]) -> None:
        self._ui, self._find = ui, find
        self._review: OpenReview | None = None
        self._views: ErrorViews | None = None
        self._unsubscribe: Callable[[], object] = lambda: None
        self._buttons = ActionButtons(ui, SuggestionPresenter.ACTIONS, self._act)
        ui.undoEditButton.connect("clicked(bool)", lambda *_checked: self._undo())
        self.draw()

    def show(self, review: OpenReview | None) -> None:
        """Show the errors of this review from now on, or that there is none."""
        if review is not self._review:
            self._unsubscribe()
            self.hide()
            self._review, self._views, self._unsubscribe = review, None, lambda: None
            if review is not None:
                nodes, suggestions = (review.segmentation_node, review.volume_node), review.suggestions
                self._views = ErrorViews(*nodes, review.session, suggestions, lambda i: self._find(review, i))
                self._unsubscribe = review.session.observe(lambda _event: self.draw())
        self.draw()

    def hide(self) -> None:
        if self._review is not None:
            self._review.suggestions.shown = False
            self.draw()

    def draw(self) -> None:
        ui, suggestions = self._ui, self._review and self._review.suggestions
        shown = bool(suggestions and suggestions.shown)
        self._buttons.draw(suggestions.actions() if suggestions else {})
        ui.toggleErrorsButton.checked = shown
        ui.errorsLabel.text = suggestions.told() if suggestions else ""
        ui.undoEditButton.enabled = self._review is not None and self._review.history.can_undo
        for name in _ONLY_SHOWN:
            getattr(ui, name).setVisible(shown)
        if self._views is not None:
            self._views.draw()

    def _act(self, action: str) -> None:
        if self._review is not None:
            with slicer.util.tryWithErrorDisplay(_("Failed to change the segment.")):
                getattr(self._review.suggestions, action)()
            place, volume = self._review.suggestions.place, self._review.volume_node
            if action.endswith("island") and place is not None:  # the other views cut it, too
                jump_to_slice(volume, place[0], (frame_of(volume).ijk_to_ras @ [*place[::-1], 1.0])[:3].tolist())
        self.draw()

    def _undo(self) -> None:
        if self._review is not None:
            self._review.history.undo()
        self.draw()
