"""Needs trame and trame-slicer. Slicer's axial, coronal and sagittal view of the case, shown in the page."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from trame_rca.encoders import RcaImageEncoder
from trame_slicer.core import SlicerApp
from trame_slicer.rca_view import RemoteSliceViewFactory
from trame_slicer.views import ViewLayoutDefinition
from vtkmodules.vtkCommonCore import vtkCommand

from ..scene.views import jump_to_slice
from ..volume import CtVolume, Segment

AXIAL, CORONAL, SAGITTAL = "axial", "coronal", "sagittal"


class CaseViews:
    """The three slice views.

    Args:
        server: the trame server.
        app: trame-slicer's application.
        ct: whose grid the slices are counted on.
        on_scroll: called with the canonical k of the axial view when it shows another slice.

    Attributes:
        templates: names of the views' trame templates, by orientation.
    """

    def __init__(self, server, app: SlicerApp, ct: CtVolume, on_scroll: Callable[[int], None]) -> None:
        self._ct, self._on_scroll = ct, on_scroll
        # as good in motion as at rest (90): the page is on this computer, and each view is drawn once, not twice
        app.view_manager.register_factory(
            RemoteSliceViewFactory(
                server, populate_view_ui_f=lambda *_: None, target_fps=20, blur_fps=10, interactive_quality=90,
                rca_encoder=RcaImageEncoder.TURBO_JPEG,
            )
        )  # fmt: skip
        definitions = {
            AXIAL: ViewLayoutDefinition.axial_view(AXIAL),
            CORONAL: ViewLayoutDefinition.coronal_view(CORONAL),
            SAGITTAL: ViewLayoutDefinition.sagittal_view(SAGITTAL),
        }
        self._views = {name: app.view_manager.create_view(definition) for name, definition in definitions.items()}
        self.templates = {name: view.get_singleton_tag() for name, view in self._views.items()}
        self._k: int | None = None
        self._volume_node = None
        self._axial.get_view_node().AddObserver(vtkCommand.ModifiedEvent, self._scrolled)

    @property
    def _axial(self):
        return self._views[AXIAL]

    @property
    def k(self) -> int | None:
        """Canonical k of the slice that the axial view shows; ``None`` outside the CT."""
        to_ras = self._axial.get_view_node().GetSliceToRAS()
        point = [to_ras.GetElement(row, 3) for row in range(3)]
        k = int(np.rint((np.linalg.inv(self._ct.frame.ijk_to_ras) @ [*point, 1.0])[2]))
        return k if 0 <= k < self._ct.frame.shape[0] else None

    def show_ct(self, volume_node) -> None:
        """Put the CT behind everything. To be called before there is a segmentation: what comes first lies below."""
        self._volume_node = volume_node
        for view in self._views.values():
            view.set_background_volume_id(volume_node.GetID())
            view.fit_view_to_content()
        self._k = self.k

    def fit(self) -> None:
        """Show the whole CT in every view."""
        for view in self._views.values():
            view.reset_view()

    def jump(self, k: int, segment: Segment | None) -> None:
        """Show a slice in the axial view, and the segment's middle in it in the others.

        The middle is taken from the masks as they were read: ``scene.segment_center`` would read the scene each time.
        """
        jump_to_slice(self._volume_node, k, None if segment is None else self._middle(segment, k))

    def _middle(self, segment: Segment, k: int) -> tuple[float, ...] | None:
        """RAS of the segment's middle in slice ``k``, or in the nearest slice that it has."""
        slices = segment.occupied_slices()
        if not len(slices):
            return None
        mask = segment.slice_mask(int(slices[np.argmin(np.abs(slices - k))]))
        rows, columns = np.nonzero(mask)
        nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
        row, column = segment.box[1].start + rows[nearest], segment.box[2].start + columns[nearest]
        return tuple(float(x) for x in (self._ct.frame.ijk_to_ras @ [column, row, k, 1.0])[:3])

    def _scrolled(self, *_) -> None:
        k = self.k
        if k is not None and k != self._k:
            self._k = k
            self._on_scroll(k)
