"""Needs ``qt`` and ``slicer``. A review of a segmentation that is in the scene, with all that hangs on it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from slicer.i18n import tr as _

from ..errors import QualitySentinelError
from ..review import Changed, ReviewEvent, ReviewPresenter, ReviewSession
from ..review.suggesting import SuggestionPresenter
from ..scene import keep_review, keep_review_steps, segmentation_from_node, tables, update_plot, write_score_tags
from ..scene.edits import SegmentationEdits, edited_since_steps
from ..scene.mask_history import MaskHistory
from ..scene.nodes import frame_of
from ..steps import Steps, paced, run_to_end
from ..suggestions import Drawings
from ..volume import Segment
from .qt_tools import StepRun, single_shot_timer
from .scene_display import SceneDisplay

STEP_SECONDS = 0.02
"""Of comparing with what was scored: nobody has asked for it, nobody must notice."""

DELAY_MS = 1000
"""After the last change, before tags, tables and plot are written: in a large case the reader would wait for them.
The review itself does not wait. Slicer does not tell before it saves: nothing in it invokes ``StartSaveEvent``."""


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


class SceneRecord:
    """Writes a review into the scene at once, and segment tags, the two tables and the plot a little later.

    Attributes:
        due: whether something is still to be written.
    """

    def __init__(self, segmentation_node, session: ReviewSession, edits) -> None:
        self._node, self._session, self._edits = segmentation_node, session, edits
        self.due = False
        self._timer = single_shot_timer(DELAY_MS, lambda: self._begin(self._parts()))
        self._run: StepRun | None = None

    def follow(self, event: ReviewEvent) -> None:
        """Keep what the reader has done, now: the scene may be saved next. The rest follows soon."""
        if event.changed is Changed.SCORES:
            self.touch()
        else:
            keep_review(self._node, self._session)
            self._put_off()

    def touch(self) -> None:
        """Say that all is to be written: the scores of many segments from the event loop, the rest a little later."""
        self._put_off()
        self._begin(keep_review_steps(self._node, self._session))

    def _begin(self, steps: Steps[None]) -> None:
        self._run = StepRun(steps, self._on_end)

    def _put_off(self) -> None:
        self._pause()
        self.due = True
        self._timer.start()

    def write(self) -> None:
        self._pause()
        run_to_end(self._parts())

    def close(self) -> None:
        """Write nothing any more."""
        self._pause()
        self.due = False

    def _pause(self) -> None:
        self._timer.stop()
        if self._run is not None:
            self._run.stop()
            self._run = None

    def _on_end(self, error: Exception | None) -> None:
        self._run = None
        if error is not None:  # nobody has asked for it now: no message box
            logging.error("the review could not be written into the scene", exc_info=error)

    def _parts(self) -> Steps[None]:
        """Write, a part at a time: together they would hold up the reader of a large case."""
        if not self.due or not self._node.GetScene():
            return
        yield from keep_review_steps(self._node, self._session)
        yield
        with self._edits.paused():
            write_score_tags(self._node, self._session.case, self._session)
        yield
        yield from tables.update_tables_steps(self._node, self._session.case, self._session)
        if self._session.selected is not None:
            update_plot(self._node, self._session.segment(self._session.selected))
        self.due = False


class OpenReviews:
    """The reviews of a scene, one for each segmentation node that has one; ``on_edit`` is theirs."""

    def __init__(self, on_edit: Callable[[OpenReview, set[str]], object]) -> None:
        self._on_edit = on_edit
        self._by_id: dict[str, OpenReview] = {}

    def __iter__(self):
        return iter(tuple(self._by_id.values()))

    def of(self, segmentation_node) -> OpenReview | None:
        """The review of a segmentation, ``None`` where there is none or no segmentation."""
        return None if segmentation_node is None else self._by_id.get(segmentation_node.GetID())

    def open(
        self, segmentation_node, volume_node, session: ReviewSession, volume_state: object,
        drawings: Drawings | None = None,
    ) -> OpenReview:  # fmt: skip
        """Begin a review; an earlier one of the segmentation ends. Others as :class:`OpenReview` takes them."""
        self.close(segmentation_node.GetID())
        drawings = Drawings(complete=False) if drawings is None else drawings
        review = OpenReview(segmentation_node, volume_node, session, volume_state, self._on_edit, drawings)
        self._by_id[segmentation_node.GetID()] = review
        return review

    def close(self, node_id: str) -> None:
        if node_id in self._by_id:
            self._by_id.pop(node_id).close()

    def close_all(self) -> None:
        for node_id in tuple(self._by_id):
            self.close(node_id)
