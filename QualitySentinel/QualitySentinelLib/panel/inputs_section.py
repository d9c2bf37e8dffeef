"""Needs ``qt`` and ``slicer``. The section Inputs: which nodes are chosen, and whether Apply can be pressed."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from ..anatomy import match_structure
from ..scene import tags
from ..scene.errors import ERRORS_ROLE
from ..scene.kept_review import lies_on
from ..scene.nodes import possible_volumes, source_volume, volume_of

MOST_NAMES = 20
"""Names in a tooltip; more would not fit on a screen."""


class InputsSection(VTKObservationMixin):
    """Proposes nodes, and says how many segments of the chosen segmentation were matched to structures."""

    def __init__(self, ui: SimpleNamespace) -> None:
        super().__init__()
        self._ui = ui
        self._node: slicer.vtkMRMLSegmentationNode | None = None
        self._names: object = self  # anything but what there may be
        self._due = False
        self._going: set[str] = set()

    def propose(self, parameters) -> None:
        """Select nodes of the scene where none is selected."""
        if not parameters.inputSegmentation:
            nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
            errors = {node.GetNodeReferenceID(ERRORS_ROLE) for node in nodes}
            found = next((node for node in nodes if node.GetID() not in errors), None)
            if found:
                parameters.inputSegmentation = found
        if not parameters.inputVolume:
            found = volume_of(parameters.inputSegmentation)
            if found:
                parameters.inputVolume = found

    def show(self, segmentation_node: slicer.vtkMRMLSegmentationNode) -> bool:
        """Say how this segmentation's segments are matched, now and when they change; whether it replaces another."""
        before = self._node
        if segmentation_node is not before:
            self.forget()
            self._node = segmentation_node
            if segmentation_node is not None:
                kind = slicer.vtkSegmentation
                for event in (kind.SegmentAdded, kind.SegmentRemoved, kind.SegmentModified):
                    self.addObserver(segmentation_node, event, self._show_matches_soon)
        self._show_matches()
        return before not in (None, segmentation_node)

    def forget(self) -> None:
        """The scene, or the panel, is about to go."""
        self.removeObservers()
        self._node = None
        self._show_matches()

    def show_can_apply(self, parameters, running: bool) -> None:
        """Enable Apply when there is something to score, and let its tooltip say why not."""
        button = self._ui.applyButton
        ready = bool(parameters and parameters.inputVolume and parameters.inputSegmentation)
        button.enabled = ready and not running
        if running:
            button.toolTip = _("Scoring is running")
        elif ready:
            button.toolTip = _("Predict the quality of every slice of every segment")
        else:
            button.toolTip = _("Select a CT volume and a segmentation")

    def going(self, node) -> None:
        """A node is about to be removed: the selectors choose another one before it has gone."""
        self._going.add(node.GetID())

    def gone(self, node) -> None:
        self._going.discard(node.GetID())

    def volume_of_review(self, parameters, segmentation_node: slicer.vtkMRMLSegmentationNode, session):
        """The CT on which a review that came with the scene was made, ``None`` when it is not there any more."""
        likely = [node for node in (parameters.inputVolume, volume_of(segmentation_node)) if node]
        there = [node for node in likely + possible_volumes() if node.GetID() not in self._going]
        return next((node for node in there if lies_on(session.case, node)), None)

    def choose_volume(self, parameters, review) -> None:
        """Select the CT that belongs to the selected segmentation, where that is known."""
        volume_node = review.volume_node if review else source_volume(parameters.inputSegmentation)
        if volume_node:
            parameters.inputVolume = volume_node

    def _show_matches_soon(self, *_event) -> None:
        """Look at the names once for many events: every tag that is written, and every stroke of a brush, sends one."""
        if not self._due:
            self._due = True
            qt.QTimer.singleShot(0, self._show_matches)

    def _show_matches(self) -> None:
        self._due = False
        names = None if self._node is None else names_of(self._node)
        if names != self._names:
            self._names = names
            label = self._ui.matchedLabel
            label.text, label.toolTip = matches_text(names)
            label.visible = bool(label.text)


def names_of(segmentation_node) -> tuple[tuple[str, tuple], ...]:
    """(name, tags that tell its structure) of each segment."""
    segmentation = segmentation_node.GetSegmentation()
    segments = map(segmentation.GetSegment, segmentation.GetSegmentIDs())
    return tuple((s.GetName(), tuple(tags.read_tags(s, tags.READ_TAGS).items())) for s in segments)


def matches_text(names: Sequence[tuple[str, tuple]] | None) -> tuple[str, str]:
    """(one line, a tooltip) on how many segments were matched to structures, from what :func:`names_of` says."""
    if names is None:
        return "", ""
    if not names:
        return _("The segmentation has no segments"), ""
    unknown = [name for name, told in names if match_structure(name, dict(told)) is None]
    if not unknown:
        return _("All {count} segments are matched to structures").format(count=len(names)), ""
    text = _("{matched} of {count} segments are matched to structures").format(
        matched=len(names) - len(unknown), count=len(names)
    )
    listed = [" ".join(name.split()) or _("(no name)") for name in unknown[:MOST_NAMES]]
    if len(unknown) > MOST_NAMES:
        listed.append(_("and {count} more").format(count=len(unknown) - MOST_NAMES))
    tip = _("Not matched, so scored without knowing the structure: {names}. Rename them in the Segment Editor.")
    return text, tip.format(names=", ".join(listed))
