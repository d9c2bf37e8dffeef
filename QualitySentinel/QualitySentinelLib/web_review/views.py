"""Needs trame and trame-slicer. A MRML scene without Slicer's application, and its slice views, shown in the page."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import slicer
import slicer.util
from slicer import (
    vtkMRMLAbstractViewNode,
    vtkMRMLApplicationLogic,
    vtkMRMLInteractionNode,
    vtkMRMLScalarBarDisplayableManager,
)
from trame_rca.encoders import RcaImageEncoder
from trame_slicer.core import SlicerApp
from trame_slicer.rca_view import RemoteSliceViewFactory
from trame_slicer.views import ViewLayoutDefinition
from vtkmodules.vtkCommonCore import vtkCommand, vtkLogger, vtkOutputWindow

from ..scene.views import jump_to_slice, mask_center, show_box, slice_shown
from ..volume import CtVolume, Segment

AXIAL, CORONAL, SAGITTAL = "axial", "coronal", "sagittal"
_COLORS = {AXIAL: "#58b7ff", CORONAL: "#b79bff", SAGITTAL: "#ff9bd0"}
"""Of the views' frames and the line of the axial slice; not Slicer's red, green and yellow, which mean a DSC here."""
_AROUND_CT, _AROUND_SEGMENT, _SMALLEST_MM = 1.1, 1.4, 60.0
"""How much more than the CT, or the segment, a view shows: the scale bar needs room; and at least how much."""
_FLAT = 1 / 3
"""A CT that is so much lower than wide is better read in wide views below each other."""


@functools.cache
def start_scene() -> SlicerApp:
    """trame-slicer's application object, with its scene as ``slicer.mrmlScene``; one for the whole process.

    ``scene/`` is written for Slicer, where the scene and the modules' logics are always there. The ``slicer`` package
    outside Slicer has the classes alone; the rest is put where that room looks for it. Nothing else is imitated.
    """
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_ERROR)
    app = SlicerApp()
    vtkOutputWindow.GetInstance().SetDisplayModeToNever()  # it says warnings; the logger says the errors, too
    slicer.mrmlScene = app.scene
    slicer.app = SimpleNamespace(applicationLogic=lambda: app.app_logic)  # type: ignore[assignment]  # stands in for it
    slicer.modules = SimpleNamespace(  # type: ignore[assignment]
        volumes=SimpleNamespace(logic=lambda: app.volumes_logic),
        segmentations=SimpleNamespace(logic=lambda: app.segmentations_logic),
        terminologies=SimpleNamespace(logic=lambda: app.terminologies_logic),
    )
    return app


class CaseViews:
    """The three slice views.

    ``on_scroll`` is called with the canonical k of the axial view when it shows another slice.
    """

    def __init__(self, server, app: SlicerApp, on_scroll: Callable[[int], None]) -> None:
        self._on_scroll = on_scroll
        # as good in motion as at rest (90): the page is on this computer, and each view is drawn once, not twice
        app.view_manager.register_factory(
            RemoteSliceViewFactory(
                server, populate_view_ui_f=lambda *_: None, target_fps=20, blur_fps=10, interactive_quality=90,
                rca_encoder=RcaImageEncoder.TURBO_JPEG,
            )
        )  # fmt: skip
        self._views = {
            name: app.view_manager.create_view(
                ViewLayoutDefinition.slice_view(name.capitalize(), label=name, color=color)
            )
            for name, color in _COLORS.items()
        }
        for view in self._views.values():
            view.set_mapped_in_layout(True)  # else no lines of other slices are drawn
            view.set_ruler(vtkMRMLAbstractViewNode.RulerTypeThin, vtkMRMLAbstractViewNode.RulerColorWhite)
            windows = view.get_displayable_manager_by_class(vtkMRMLScalarBarDisplayableManager)
            windows.SetAdjustForegroundWindowLevelEnabled(False)  # the quality map is no CT
        app.app_logic.SetIntersectingSlicesEnabled(vtkMRMLApplicationLogic.IntersectingSlicesVisibility, True)
        for name in (CORONAL, SAGITTAL):  # lines across the axial view would only hide what is judged
            logic = app.app_logic.GetSliceLogic(self._views[name].get_view_node())
            logic.GetSliceDisplayNode().SetIntersectingSlicesVisibility(False)
        self._sizes: dict[str, tuple[int, ...]] = {}
        self._k: int | None = None
        self._ct: CtVolume | None = None
        self._settled = False

    @property
    def _axial(self):
        return self._views[AXIAL]

    @property
    def k(self) -> int | None:
        """Canonical k of the slice that the axial view shows; ``None`` outside the CT."""
        return slice_shown(self._axial.get_view_node(), self._ct.frame)

    def show_ct(self, ct: CtVolume, volume_node) -> None:
        """Put a CT behind everything. To be called before there is a segmentation: what comes first lies below.

        Args:
            ct: whose grid the slices are counted on.
            volume_node: the same in the scene.
        """
        is_first, self._ct, self._volume_node = self._ct is None, ct, volume_node
        self._settled = False
        for view in self._views.values():
            view.set_background_volume_id(volume_node.GetID())
            view.reset_view()
        self._k = self.k
        self.show_whole()
        self._settled = True
        if is_first:
            self._axial.get_view_node().AddObserver(vtkCommand.ModifiedEvent, self._scrolled)
            for view in self._views.values():
                view.get_view_node().AddObserver(vtkCommand.ModifiedEvent, self._resized)

    @property
    def is_flat(self) -> bool:
        """Whether the CT is a thin stack: much lower than wide."""
        height, *across = np.multiply(self._ct.frame.shape, self._ct.frame.spacing)
        return bool(height < _FLAT * max(across))

    def marks(self) -> dict[str, dict[str, str]]:
        """The patient's sides at the left, right, top and bottom of each view, as letters."""
        marks = {}
        for name, view in self._views.items():
            across, up = slicer.util.arrayFromVTKMatrix(view.get_view_node().GetSliceToRAS())[:3, :2].T
            marks[name] = {"left": _side(-across), "right": _side(across), "top": _side(up), "bottom": _side(-up)}
        return marks

    def drag_window(self, on: bool) -> None:
        """Let dragging with the left button change the CT's window, or leave it to the brush."""
        mode = vtkMRMLInteractionNode.AdjustWindowLevel if on else vtkMRMLInteractionNode.ViewTransform
        slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLInteractionNode").SetCurrentInteractionMode(mode)

    def show_whole(self) -> None:
        """Show the whole CT in every view; the slice planes stay where they are."""
        self._frame([(0, n) for n in self._ct.frame.shape], _AROUND_CT)

    def show_large(self, segment: Segment) -> None:
        """Show a segment large in every view; the slice planes stay where they are."""
        if not segment.is_empty:
            self._frame([(axis.start, axis.stop) for axis in segment.box], _AROUND_SEGMENT)

    def _frame(self, box: list[tuple[int, int]], more: float) -> None:
        """Fill the views with a box of voxels, ``(start, stop)`` along canonical k, j, i, times ``more``."""
        ends = [(start - 0.5, stop - 0.5) for start, stop in reversed(box)]
        self._corners = np.array([[*ijk, 1.0] for ijk in itertools.product(*ends)]) @ self._ct.frame.ijk_to_ras.T
        self._more = more
        for view in self._views.values():
            self._frame_in(view.get_view_node())

    def _frame_in(self, node) -> None:
        self._sizes[node.GetID()] = node.GetDimensions()[:2]
        show_box(node, self._corners, self._more, _SMALLEST_MM)

    def _resized(self, node, _event) -> None:
        """A view has another size in the page: what it was to show fills it again."""
        if self._sizes[node.GetID()] != node.GetDimensions()[:2]:
            self._frame_in(node)

    def jump(self, k: int, segment: Segment | None) -> None:
        """Show a slice in the axial view, and the segment's middle in it in the others.

        The middle is taken from the masks as they were read: ``scene.segment_center`` would read the scene each time.
        """
        center = None
        if segment is not None:
            corner = [axis.start for axis in segment.box]
            center = mask_center(segment.labels, segment.value, corner, self._ct.frame, k)
        jump_to_slice(self._volume_node, k, center)

    def show_voxel(self, k: int, j: int, i: int) -> None:
        """Let all views cut a canonical voxel."""
        jump_to_slice(self._volume_node, k, tuple((self._ct.frame.ijk_to_ras @ [i, j, k, 1.0])[:3]))

    def _scrolled(self, *_) -> None:
        k = self.k
        if self._settled and k is not None and k != self._k:
            self._k = k
            self._on_scroll(k)


def _side(direction: np.ndarray) -> str:
    """The patient's side that a direction in RAS points to most."""
    axis = int(np.argmax(np.abs(direction)))
    return ("RL", "AP", "SI")[axis][int(direction[axis] < 0)]
