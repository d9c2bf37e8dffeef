"""Needs ``qt`` and ``slicer``. The section Work list: cases of a list of ``select``, opened one after the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from ..errors import CancelledError, UsageError
from ..scene import (
    SegmentationEdits,
    add_ct,
    add_segmentation,
    jump_to_slice,
    segment_center,
    segmentation_from_node,
)  # fmt: skip
from ..scene.nodes import frame_of, remove_node, remove_with_results
from .qt_tools import ActionButtons

if TYPE_CHECKING:
    from ..review.queue import ReviewQueue

ACTIONS = ("previous_case", "next_case", "mark_done", "back_to_pool")
"""Those of a ReviewQueue, which is imported when there is a list."""


class QueueSection:
    """Opens the cases of a list in the scene, and keeps what has become of them.

    Args:
        is_ready: whether what reading files needs is installed; asks the user.
        show: selects a CT and a segmentation of the scene.
        look_at: goes to a segment, and a canonical k, of a segmentation in its review, if any.
    """

    def __init__(
        self, ui: SimpleNamespace, is_ready: Callable[[], bool], show: Callable[[object, object], object],
        look_at: Callable[[object, str, int | None], object],
    ) -> None:  # fmt: skip
        self._ui, self._is_ready, self._show, self._look_at = ui, is_ready, show, look_at
        self._queue: ReviewQueue | None = None
        self._nodes: tuple = ()
        self._case, self._ids = "", dict[str, str]()
        self._edits: SegmentationEdits | None = None
        self._edited = False
        self._buttons = ActionButtons(ui, ACTIONS, self._act)
        ui.queueCloseButton.connect("clicked(bool)", lambda *_clicked: self._close())
        for edit in (ui.queueListEdit, ui.queuePoolEdit):
            edit.connect("currentPathChanged(QString)", lambda _path: self.draw())
        self.draw()

    def draw(self) -> None:
        ui, queue = self._ui, self._queue
        ui.queueInputs.setVisible(queue is None)
        ui.queueCloseButton.enabled = queue is not None
        if queue is None:
            self._buttons.draw({})
            ui.nextCaseButton.enabled = bool(ui.queueListEdit.currentPath and ui.queuePoolEdit.currentPath)
            ui.queueLabel.text = _("Choose a list and the pool that it was selected from")
            return
        self._buttons.draw(queue.actions(), ACTIONS)
        lines = [queue.place, *queue.passed_over]
        if queue.current is None:
            lines.append(_("Next round: {command}").format(command=queue.next_command))
        ui.queueLabel.text, ui.queueLabel.toolTip = "\n".join(lines), queue.counts

    def remove(self) -> None:
        """The panel, or the scene, goes: others may work through the list."""
        self._forget_nodes()
        if self._queue is not None:
            self._queue.close()
            self._queue = None
        self.draw()

    # What a user does

    def _act(self, action: str) -> None:
        from ..review.queue import run_now

        async def do(what: str, of) -> None:
            getattr(self, f"_{what}")(of)

        try:
            with slicer.util.tryWithErrorDisplay(_("Failed to open or save a case of the list."), waitCursor=True):
                queue = self._queue or self._loaded()
                if queue is not None:
                    if not self._is_open():  # the scene was closed meanwhile
                        queue.opened = ""
                    run_now(queue.act(action, do))
        finally:
            self.draw()

    def _loaded(self) -> ReviewQueue | None:
        from ..review.queue import ReviewQueue

        ui = self._ui
        masks = Path(ui.queueMasksEdit.currentPath) if ui.queueMasksEdit.currentPath else None
        if self._is_ready():
            paths = Path(ui.queueListEdit.currentPath), Path(ui.queuePoolEdit.currentPath)
            self._queue = ReviewQueue(paths[0], paths[1], masks, _=_)
            ui.queueCollapsibleButton.collapsed = False
        return self._queue

    def _look(self, row) -> None:
        """Go to the structure and slice of a row; ``None``: no case is left."""
        if row is None:
            if self._may_close():
                self._close_case()
            return
        volume_node, segmentation_node = self._nodes
        k = None if row.slice_index is None else frame_of(volume_node).file_slice(row.slice_index)
        segment_id = self._ids.get(row.structure)
        if segment_id is not None:
            self._look_at(segmentation_node, segment_id, k)
        if k is not None:
            center = None if segment_id is None else segment_center(segmentation_node, segment_id, volume_node, k)
            jump_to_slice(volume_node, k, center)

    def _open(self, case) -> None:
        """Load a case in place of the one before; one without masks gets an empty segmentation to draw in."""
        from ..datasets import read_case_ct
        from ..reading import read_segmentation

        if not self._may_close():
            raise CancelledError(_("the case stays open"))
        ct = read_case_ct(case)
        masks = read_segmentation(case.root / case.seg, ct, case.names) if case.seg else None
        self._close_case()
        volume_node = add_ct(ct)
        volume_node.SetName(case.name)
        volume_node.CreateDefaultDisplayNodes()
        if masks is None:
            segmentation_node: Any = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
            segmentation_node.CreateDefaultDisplayNodes()
        else:
            segmentation_node = add_segmentation(masks, slicer.util.loadSegmentation)
        segmentation_node.SetName(_("{case} segmentation").format(case=case.name))
        segmentation_node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
        slicer.util.setSliceViewerLayers(background=volume_node, fit=True)
        self._nodes, self._case = (volume_node, segmentation_node), case.name
        self._ids = {s.structure or s.name: s.id for s in masks or ()}
        self._edits = SegmentationEdits(segmentation_node, self._on_edit)
        self._show(volume_node, segmentation_node)

    def _save(self, path: Path) -> None:
        from ..report import write_scored_segmentation
        from ..scores import CaseScore

        if not self._is_open():
            raise UsageError(_("the case is not in the scene any more; press Previous or Open next"))
        volume_node, segmentation_node = self._nodes
        write_scored_segmentation(path, segmentation_from_node(segmentation_node, volume_node), CaseScore([], 0.0))
        self._edited = False

    def _close(self) -> None:
        if self._may_close():
            self._close_case()
            self.remove()

    # Within

    def _on_edit(self, _segment_ids: set[str]) -> None:
        self._edited = True

    def _is_open(self) -> bool:
        return bool(self._nodes) and all(node.GetScene() for node in self._nodes)

    def _may_close(self) -> bool:
        text = _("{case} was changed. Press Done to save it beside the list.\n\nClose it and lose the changes?")
        unsaved = self._edited and self._is_open()
        return not unsaved or slicer.util.confirmOkCancelDisplay(text.format(case=self._case), _("Work list"))

    def _close_case(self) -> None:
        """Take out of the scene what the list has loaded into it, and what was made of that."""
        nodes = [node for node in self._nodes if node.GetScene()]
        self._forget_nodes()
        for node in reversed(nodes):
            (remove_with_results if node.IsA("vtkMRMLSegmentationNode") else remove_node)(node)

    def _forget_nodes(self) -> None:
        if self._edits is not None:
            self._edits.remove()
        self._edits, self._nodes, self._case, self._edited = None, (), "", False
