"""Needs ``qt`` and ``slicer``. The panel as a whole: its sections, the reviews of the scene, and what goes on between.

The module's widget is Slicer's: it says when the module is entered and left and when the scene changes. What happens
then is said here.
"""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import qt
import slicer
import vtk
from slicer.i18n import tr as _

from ..errors import CancelledError
from ..options import ScoringOptions
from ..scene import hide_legend, hide_quality_map, hide_quality_surface, kept_review, restore_colors, show_all, views
from ..scene.errors import hide_errors
from ..scene.nodes import volume_state
from ..setup import memory_warning
from ..suggestions import Drawings
from .advanced_section import AdvancedSection
from .errors_section import ErrorsSection
from .export_section import ExportSection
from .inputs_section import InputsSection
from .open_review import OpenReview, OpenReviews
from .qt_tools import Shortcuts, ask_sizes_again, show_warnings
from .queue_section import QueueSection
from .review_panel import Correcting, ReviewPanel, removed_text
from .scene_display import PARTS
from .scoring_run import ScoringRun, outdated_text, rescoring_in_steps


class Panel:
    """Everything in the module's panel; ``widget`` is the module's own, ``logic`` scores and exports."""

    def __init__(self, ui: SimpleNamespace, widget, logic) -> None:
        self._ui, self._widget, self._logic = ui, widget, logic
        self._parameters: Any = None  # the module's parameter node
        self._without_review: list | None = None
        self._kept_elsewhere = False
        self._edited_before: tuple = (None, set())
        self.correcting: Correcting | None = None  # the Segment Editor at work on a review, if it is
        self._proposing = False
        # One review for each segmentation; the panel is a view of one of them.
        self.reviews = OpenReviews(self._on_edited)
        self.rescoring = rescoring_in_steps(self._rescore_steps, self._on_rescored)
        self.review_panel = ReviewPanel(ui, self.correct)
        self._errors = ErrorsSection(ui, self._find_errors)
        self._inputs = InputsSection(ui)
        self._export = ExportSection(ui, logic)
        self._advanced = AdvancedSection(ui, self._on_model_chosen)
        self._scoring = ScoringRun(ui, self.reviews, self._on_scored)
        self._queue = QueueSection(ui, self._is_ready, self._show_case, self._look_at)
        ui.applyButton.connect("clicked(bool)", self.apply)
        ui.cancelButton.connect("clicked(bool)", self._scoring.cancel)
        ui.restoreColorsButton.connect("clicked(bool)", self.restore)
        # Keys, as the tooltips say; those of buttons that are disabled do nothing
        keys = {"Space": "nextFlagged", "Shift+Space": "previousFlagged", "N": "nextFlagged",
                "Shift+N": "previousFlagged", "A": "accept", "Shift+A": "acceptSegment", "Z": "undo", "Y": "redo",
                "E": "correct", "X": "toggleErrors", "I": "nextIsland", "Shift+I": "previousIsland",
                "V": "applyToSlice", "Shift+V": "applyToIsland"}  # fmt: skip
        self._shortcuts = Shortcuts(widget, {key: getattr(ui, f"{name}Button").click for key, name in keys.items()})
        for name in ("queue", "inputs", "results", "review", "display", "export", "advanced"):
            section = getattr(ui, f"{name}CollapsibleButton")
            section.connect("contentsCollapsed(bool)", lambda _closed: ask_sizes_again(widget))

    # What the module's widget tells

    def enter(self) -> None:
        self._end_correcting()
        if not self._ui.advancedCollapsibleButton.collapsed:
            self._advanced.show_state()
        ask_sizes_again(self._widget)

    def leave(self) -> None:
        """Another module is opened. Scoring goes on: its results belong to the scene. So do reviews."""
        # Other modules have no button that shows hidden segments. The Segment Editor corrects the one that is shown.
        if self.review_panel.review and not self.correcting:
            self.review_panel.review.display.let_others_see()

    def module_selected(self, name: str) -> None:
        """Any module was opened: who leaves the Segment Editor for a third one corrects no longer."""
        if self.correcting and name not in ("SegmentEditor", "QualitySentinel"):
            review = self.correcting.review
            self._end_correcting()
            review.display.let_others_see()

    def show_in_new_views(self, _layout: int = 0) -> None:
        """The views were arranged anew: some may not have been there before."""
        if self.review_panel.review:
            self.review_panel.review.display.show_in_new_views()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def node_added(self, _scene, _event, node) -> None:
        """A node came into the scene: a CT or a segmentation is selected soon, when it is complete."""
        kinds = ("vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode")
        if node.GetClassName() in kinds and not self._proposing and not slicer.mrmlScene.IsImporting():
            self._proposing = True
            qt.QTimer.singleShot(0, self._propose)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def node_going(self, _scene, _event, node) -> None:
        """A node is about to be removed: a review needs both of its nodes."""
        self._inputs.going(node)
        for review in self.reviews:
            if node in (review.segmentation_node, review.volume_node):
                self.rescoring.forget(review)
                if node == review.volume_node:
                    review.record.write()  # the segmentation stays, and what was accepted in it
                if self.correcting and self.correcting.review is review:
                    self._end_correcting()
                self.reviews.close(review.segmentation_node.GetID())
                if self.review_panel.review is review:
                    self.show_review(None)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def node_gone(self, _scene, _event, node) -> None:
        self._inputs.gone(node)

    def end_reviews(self) -> None:
        """The scene, or the panel, is about to go."""
        self._end_correcting()
        self._scoring.stop()
        self.rescoring.forget()
        self.show_review(None)
        self.reviews.close_all()
        self._inputs.forget()
        self._without_review = None
        self._kept_elsewhere, self._edited_before = False, (None, set())
        self._inputs.show_can_apply(self._parameters, False)

    def remove(self) -> None:
        """The panel goes; reviews stay in the scene."""
        for review in self.reviews:
            review.record.write()
        self._queue.remove()
        self.end_reviews()
        self._shortcuts.remove()

    def show_parameters(self, parameters) -> None:
        """Show what this parameter node says from now on; ``None``: the module is left, or the scene changes."""
        self._parameters = parameters
        if parameters:
            self._without_review = None
            self._inputs.forget()  # what is selected may have been chosen elsewhere, with its CT
            self._inputs.propose(parameters)
            self.update()
            if not self.review_panel.review:
                self._ui.inputsCollapsibleButton.collapsed = False

    def update(self, *_event) -> None:
        """A parameter has changed."""
        parameters = self._parameters
        node = parameters.inputSegmentation
        if self._inputs.show(node):  # the CT was that of the other segmentation
            self._inputs.choose_volume(parameters, self.reviews.of(node))
        self._take_up_review()
        review = self.review_panel.review
        if review:
            review.session.set_threshold(threshold_of(parameters), parameters.ownThresholds)  # nothing is scored
            self._apply_display_options(review)
        self.rescoring.enabled = parameters.autoRescore and not self._scoring.running
        self._show_warnings()
        self._ui.deviceComboBox.enabled = not parameters.forceCpu
        self._advanced.show_model(parameters.model)
        self._inputs.show_can_apply(parameters, self._scoring.running)

    # What a user does

    def apply(self, *_clicked) -> None:
        if self._scoring.running:
            return
        with slicer.util.tryWithErrorDisplay(_("Failed to start scoring.")):
            parameters = self._parameters
            if not self._is_ready():
                return
            volume_node, node = parameters.inputVolume, parameters.inputSegmentation
            state = volume_state(volume_node)
            review = self.reviews.of(node)
            if not review or review.volume_state != state:  # what was said of another CT does not hold
                if not may_begin_anew(node, review):
                    return
                if review:
                    review.record.write()  # to be found again when scoring is canceled
                    self.rescoring.forget(review)
                    self.reviews.close(node.GetID())
                review = None
            self._edited_before = (node, set())
            if review:
                review.stop_comparing()
                self._edited_before = (node, self.rescoring.taken(review))  # they are scored now
            else:
                parameters.showColors = True
            options = scoring_options(parameters)
            warning = memory_warning(volume_node, options.device, node)
            drawings = review.drawings if review else Drawings(complete=False)
            steps = self._logic.scoreSteps(
                volume_node,
                node,
                options,
                previous=review.session.case if review else None,  # slices that were not edited keep their scores
                cancelled=lambda: self._scoring.cancelled,
                drawings=drawings,
            )
            self._scoring.start(steps, node, volume_node, state, drawings, [warning] if warning else [])
            self.rescoring.enabled = False
            self.show_review(review)
            self._inputs.show_can_apply(parameters, True)

    def correct(self, review: OpenReview) -> None:
        """Open the Segment Editor with the selected segment; the views show its slice already."""
        self._end_correcting()
        text = removed_text(review)
        if text:
            slicer.util.warningDisplay(text, _("Quality Sentinel - Correct"))
            return
        self.correcting = Correcting(review)  # known before the module is left: its segments stay hidden
        self.correcting.begin()

    def restore(self, *_clicked) -> None:
        """Show the selected segmentation and its CT as they were before the review."""
        parameters = self._parameters
        if not parameters or not parameters.inputSegmentation:
            return
        with slicer.util.NodeModify(parameters):  # all at once
            for name in PARTS:
                parameters.setValue(name, False)
        self._errors.hide()
        # Also of a review that is not open, because its scores could not be read
        for take_back in (
            hide_errors, hide_quality_map, hide_quality_surface, hide_legend, show_all, restore_colors,
            views.restore_zoom,
        ):  # fmt: skip
            take_back(parameters.inputSegmentation)
        if parameters.inputVolume:
            views.restore_window(parameters.inputVolume)

    # What happens

    def show_review(self, review: OpenReview | None) -> None:
        self._errors.show(None if review is not self.review_panel.review else review)
        if self.review_panel.review and self.review_panel.review is not review:
            self.review_panel.review.display.leave()
        self.review_panel.show(review)
        self._errors.show(review)
        self._export.show(review)
        self._show_warnings()

    def _is_ready(self) -> bool:
        """Whether all packages are installed; they are after the user has agreed, unless Slicer must restart first."""
        try:
            return self._logic.setupPythonRequirements(self._parameters.forceCpu)
        except CancelledError:  # the user has just said so
            return False

    def _show_case(self, volume_node, segmentation_node) -> None:
        """Select what the work list has opened."""
        self._parameters.inputSegmentation, self._parameters.inputVolume = segmentation_node, volume_node
        self._ui.inputsCollapsibleButton.collapsed = False

    def _look_at(self, segmentation_node, segment_id: str, k: int | None) -> None:
        """Go to a segment, or a slice of it, if the segmentation is scored."""
        review = self.reviews.of(segmentation_node)
        if review and k is not None:
            review.session.go_to(segment_id, k)
        elif review:
            review.session.select(segment_id)

    def _propose(self) -> None:
        self._proposing = False
        if self._parameters:
            self._inputs.propose(self._parameters)

    def _take_up_review(self) -> None:
        """Show the review of the selected segmentation: the one that is open, or one that came with the scene."""
        if slicer.mrmlScene.IsImporting():
            return  # not all is there yet; the end of the import follows
        parameters = self._parameters
        node = parameters.inputSegmentation
        review = self.reviews.of(node)
        if not node or review:
            self._kept_elsewhere = False
        choice = [n and n.GetID() for n in (node, parameters.inputVolume)]
        if node and review is None and not self._scoring.running and choice != self._without_review:
            session = kept_review(node)
            volume_node = self._inputs.volume_of_review(parameters, node, session) if session else None
            self._without_review = None if volume_node else choice  # do not read it again as a slider moves
            self._kept_elsewhere = bool(session) and not volume_node
            if volume_node:
                review = self.reviews.open(node, volume_node, session, volume_state(volume_node))
                review.warnings = [*session.case.warnings, *session.warnings]
                review.record.touch()  # tags and tables may be older than the review
                review.compare()
                self._ui.inputsCollapsibleButton.collapsed = True
        if review is not self.review_panel.review:
            if review:  # first: what is shown next has its own threshold
                parameters.threshold = review.session.threshold
                parameters.ownThresholds = review.session.own_thresholds
            if review is not self.review_panel.review:  # otherwise the line above has brought us here again
                self.show_review(review)

    def _apply_display_options(self, review: OpenReview) -> None:
        parameters = self._parameters
        rescaled = parameters.colorScale != review.presenter.scale
        with slicer.util.tryWithErrorDisplay(_("Failed to show the scores.")):
            review.display.apply((part for part in PARTS if getattr(parameters, part)), parameters.colorScale)
        if rescaled:
            self.review_panel.draw()

    def _show_warnings(self) -> None:
        review, running = self.review_panel.review, self._scoring.running
        warnings = [*self._scoring.warnings, *(review.warnings if review else ())]
        if review and not running and (unscored := self.rescoring.unscored(review)):
            warnings.insert(0, outdated_text(review, unscored))
        if self._kept_elsewhere and not review and not running:
            warnings.append(_("This segmentation has a saved review, but its CT is missing, or was moved or changed"))
        show_warnings(self._ui.warningsLabel, warnings)

    def _on_scored(self, review: OpenReview | None, error: Exception | None) -> None:
        """Segments have been scored, or scoring has ended."""
        parameters = self._logic.getParameterNode()
        running = self._scoring.running
        if review and parameters.inputSegmentation == review.segmentation_node:
            if self.review_panel.review is not review:
                # they may have been changed meanwhile
                review.session.set_threshold(threshold_of(parameters), parameters.ownThresholds)
                self.show_review(review)
            if self._parameters:
                self._apply_display_options(review)
        if not running:
            (scored, edited), self._edited_before = self._edited_before, (None, set())
            interrupted = self.reviews.of(scored)
            if edited and interrupted and (error or self._scoring.cancelled):  # it may not have got to them
                self.rescoring.edited(interrupted, edited)
            self.rescoring.enabled = parameters.autoRescore
            self._inputs.show_can_apply(self._parameters, False)
            if self._parameters:  # another segmentation may have been selected meanwhile
                self._without_review = None
                self._take_up_review()
                self._ui.inputsCollapsibleButton.collapsed = bool(self.review_panel.review) and not error
            for warning in review.warnings if review else ():
                logging.warning(warning)
        self._show_warnings()
        if error:
            with slicer.util.tryWithErrorDisplay(_("Failed to score the segmentation.")):
                raise error

    def _on_edited(self, review: OpenReview, segment_ids: set[str]) -> None:
        self.rescoring.edited(review, segment_ids)
        if review is self.review_panel.review:
            self._show_warnings()

    def _rescore_steps(self, review: OpenReview, segment_ids: set[str]):
        return self._logic.rescoreSteps(
            review.volume_node,
            review.segmentation_node,
            review.session,
            segment_ids,
            scoring_options(self._logic.getParameterNode()),
            drawings=review.drawings,
        )

    def _find_errors(self, review: OpenReview, segment_id: str) -> None:
        """Score a segment again for what the model would draw in it: a review that came with the scene lacks it."""
        if self.rescoring.enabled:
            review.drawings.complete = True
            self.rescoring.edited(review, {segment_id})

    def _on_rescored(self, review: OpenReview) -> None:
        """Scoring edits again begins, or has ended."""
        if review is self.review_panel.review:
            self._ui.currentLabel.toolTip = (
                _("Rescoring the edited slices") if self.rescoring.busy(review) else _("The current slice")
            )
            self._show_warnings()
            self._errors.draw()

    def _on_model_chosen(self, source: str) -> None:
        if self._parameters:
            self._parameters.model = source

    def _end_correcting(self) -> None:
        if self.correcting:
            self.correcting.end()
            self.correcting = None


def threshold_of(parameters) -> float:
    """The threshold that the slider shows; it counts in steps and says 0.9500000000000001."""
    return round(parameters.threshold, 6)


def scoring_options(parameters) -> ScoringOptions:
    device = "cpu" if parameters.forceCpu else parameters.device
    slices, threshold = parameters.slicesPerSegment or "all", threshold_of(parameters)
    return ScoringOptions(parameters.model, device=device, slices=slices, threshold=threshold)


def may_begin_anew(segmentation_node: slicer.vtkMRMLSegmentationNode, review: OpenReview | None) -> bool:
    """Whether the user agrees that what was accepted and corrected in a review on another CT is dropped."""
    session = review.session if review else kept_review(segmentation_node)
    accepted, edited = (len(session.accepted), len(session.edits())) if session else (0, 0)
    text = _(
        "This segmentation was reviewed on another CT, or the CT has been moved or changed since. Scoring starts a new "
        "review; slices marked as accepted ({accepted}) and as edited ({edited}) lose their marks. Masks are not "
        "changed.\n\nBegin a new review?"
    ).format(accepted=accepted, edited=edited)
    return not (accepted or edited) or slicer.util.confirmOkCancelDisplay(text, _("Quality Sentinel - Another CT"))
