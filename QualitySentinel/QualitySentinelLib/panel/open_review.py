"""Needs ``qt`` and ``slicer``. A review of a segmentation that is in the scene, with all that hangs on it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from slicer.i18n import tr as _

from ..errors import QualitySentinelError
from ..review import ReviewEvent, ReviewPresenter, ReviewSession
from ..review.suggesting import SuggestionPresenter
from ..scene import segmentation_from_node
from ..scene.edits import SegmentationEdits, edited_since_steps
from ..scene.mask_history import MaskHistory
from ..scene.nodes import frame_of
from ..steps import paced
from ..suggestions import Drawings
from ..volume import Segment
from .qt_tools import StepRun
from .scene_display import SceneDisplay
from .scene_record import SceneRecord

STEP_SECONDS = 0.02
"""Of comparing with what was scored: nobody has asked for it, nobody must notice."""


class OpenReview:
    """One segmentation's review: its session, the nodes, what the views show of it, and what the scene keeps of it.

    Args:
        volume_state: what tells later whether the CT is still the same.
        on_edit: called with this review and the ids of the segments that were edited.
        drawings: filled by the scoring of the segmentation.

    Attributes:
        presenter: what views show of the review, and its reader's actions.
        history: suggestions that were applied, to be undone.
        suggestions: what the model would change in the masks, and the actions on it.
        warnings: what the panel says of it, one line each.
    """

    def __init__(
        self,
        segmentation_node,
        volume_node,
        session: ReviewSession,
        volume_state: object,
        on_edit: Callable[[OpenReview, set[str]], object],
        drawings: Drawings,
    ) -> None:
        self.segmentation_node, self.volume_node = segmentation_node, volume_node
        self.session, self.volume_state = session, volume_state
        self.presenter = ReviewPresenter(session, _)
        self.warnings: list[str] = []
        self._on_edit = on_edit
        self._comparing: StepRun | None = None
        self.edits = SegmentationEdits(segmentation_node, self._on_edits)
        self.drawings, frame = drawings, frame_of(volume_node)
        self._masks: dict[str, Segment | None] = {}
        self.history = MaskHistory(segmentation_node, volume_node)
        self.suggestions = SuggestionPresenter(
            session, drawings, self._mask_of, frame.shape, frame.spacing, self.history.change, _
        )
        self.display = SceneDisplay(segmentation_node, volume_node, self.presenter)
        self.record = SceneRecord(segmentation_node, session, self.edits)
        self._unsubscribe = session.observe(self._on_event)

    def compare(self) -> None:
        """Compare, soon, the segments with what was scored; what is another now is told as edited.

        For a review that comes with the scene: its segments may have been edited while nobody watched.
        """
        self.stop_comparing()
        steps = edited_since_steps(self.volume_node, self.segmentation_node, self.session.case)
        self._comparing = StepRun(self._compared(steps), self._on_compared)

    def stop_comparing(self) -> None:
        """Drop it: everything is scored again."""
        if self._comparing is not None:
            self._comparing.stop()
            self._comparing = None

    def _mask_of(self, segment_id: str) -> Segment | None:
        if segment_id not in self._masks:
            there = self.segmentation_node.GetSegmentation().GetSegment(segment_id) is not None
            found = segmentation_from_node(self.segmentation_node, self.volume_node, [segment_id]) if there else ()
            self._masks[segment_id] = next(iter(found), None)
        return self._masks[segment_id]

    def _on_edits(self, segment_ids: set[str]) -> None:
        for segment_id in segment_ids:
            self._masks.pop(segment_id, None)
        self._on_edit(self, segment_ids)

    def _compared(self, steps):
        edited = yield from paced(steps, STEP_SECONDS)
        if edited:
            self._on_edit(self, edited)

    def _on_compared(self, error: Exception | None) -> None:
        self._comparing = None
        if isinstance(error, QualitySentinelError):
            self.warnings.append(str(error))
        elif error is not None:
            logging.error("the segments could not be compared with what was scored", exc_info=error)

    def _on_event(self, event: ReviewEvent) -> None:
        if self.segmentation_node.GetScene():
            self.record.follow(event)  # first: what cannot be shown is written all the same
            self.display.follow(event)

    def close(self) -> None:
        """End it: nothing is watched, written or shown any more. The scene keeps what it has."""
        self._unsubscribe()
        self.stop_comparing()
        self.edits.remove()
        self.record.close()
        self.display.leave()


class OpenReviews:
    """The reviews of a scene, one for each segmentation node that has one; ``on_edit`` is theirs."""

    def __init__(self, on_edit: Callable[[OpenReview, set[str]], object]) -> None:
        self._on_edit = on_edit
        self._by_id: dict[str, OpenReview] = {}
        self._coming: dict[str, Drawings] = {}

    def __iter__(self):
        return iter(tuple(self._by_id.values()))

    def of(self, segmentation_node) -> OpenReview | None:
        """The review of a segmentation, ``None`` where there is none or no segmentation."""
        return None if segmentation_node is None else self._by_id.get(segmentation_node.GetID())

    def drawings_of(self, segmentation_node) -> Drawings:
        """What a scoring of the segmentation is to fill: that of its review, or of the one that it begins."""
        review = self.of(segmentation_node)
        if review is not None:
            return review.drawings
        self._coming[segmentation_node.GetID()] = drawings = Drawings(complete=False)
        return drawings

    def open(self, segmentation_node, volume_node, session: ReviewSession, volume_state: object) -> OpenReview:
        """Begin a review; an earlier one of the segmentation ends."""
        self.close(segmentation_node.GetID())
        drawings = self._coming.pop(segmentation_node.GetID(), Drawings(complete=False))
        review = OpenReview(segmentation_node, volume_node, session, volume_state, self._on_edit, drawings)
        self._by_id[segmentation_node.GetID()] = review
        return review

    def close(self, node_id: str) -> None:
        """End the review of a segmentation, if there is one."""
        if node_id in self._by_id:
            self._by_id.pop(node_id).close()

    def close_all(self) -> None:
        """End all."""
        for node_id in tuple(self._by_id):
            self.close(node_id)
