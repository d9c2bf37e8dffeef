"""Needs ``slicer``. From a scalar volume node to a CT in the canonical axial frame, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
from slicer.util import VTKObservationMixin

from ..errors import InputError
from ..steps import Steps, at_once
from ..volume import AxialFrame, CtVolume
from ..volume.hounsfield import NotHounsfieldError, hounsfield_steps
from .nodes import volume_state, volume_to_world


def ct_steps(volume_node: slicer.vtkMRMLScalarVolumeNode) -> Steps[CtVolume]:
    """The CT in a vtkMRMLScalarVolumeNode; its array is the node's own memory unless values had to be corrected.

    Linear parent transforms are applied to the geometry; voxels are never interpolated. A step takes milliseconds.

    Raises:
        InputError: there is no volume or it is empty, in color, a label map, or not in Hounsfield units.
        MismatchError: the volume is under a transform that is not linear.
    """
    if volume_node is None:
        raise InputError("no CT is selected; select a volume")
    name = volume_node.GetName()
    image = volume_node.GetImageData()
    if image is None or not image.GetNumberOfPoints() or image.GetPointData().GetScalars() is None:
        raise InputError(f"{name}: the volume has no voxels; load it again")
    if image.GetNumberOfScalarComponents() != 1:
        raise InputError(f"{name}: has {image.GetNumberOfScalarComponents()} values per voxel; a CT has one")
    if volume_node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise InputError(f"{name}: is a label map; select the CT itself")
    try:
        hu, remarks = yield from hounsfield_steps(slicer.util.arrayFromVolume(volume_node))
    except NotHounsfieldError as error:
        raise InputError(f"{name}: {error}") from error
    try:
        frame = AxialFrame.from_affine(volume_to_world(volume_node), hu.shape)
    except ValueError as error:
        raise InputError(f"{name}: {error}; correct the volume's geometry in the Volumes module") from error
    return CtVolume(frame.to_canonical(hu), frame, name, [f"{name}: {remark}" for remark in remarks + frame.remarks])


ct_from_node = at_once(ct_steps)


def add_ct(ct: CtVolume):
    """A scalar volume node of the CT, in the file's voxel order."""
    voxels = np.ascontiguousarray(ct.frame.to_file(ct.hu))
    return slicer.util.addVolumeFromArray(voxels, ct.frame.file_ijk_to_ras, Path(ct.source).name or "CT")


class LastCt(VTKObservationMixin):
    """The CT that was read last: not read again while its volume is the same.

    It holds on to the voxels, which are the node's own unless they had to be corrected, until another volume is read
    or the node is gone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._state: tuple | None = None
        self._ct: CtVolume | None = None
        self._node_id = ""

    def steps(self, volume_node: slicer.vtkMRMLScalarVolumeNode) -> Steps[CtVolume]:
        """As :func:`ct_steps`."""
        there = volume_node is not None and volume_node.GetImageData() is not None
        state = (volume_node.GetName(), *volume_state(volume_node)) if there else None
        if state is None or state != self._state:
            self.forget()
            ct = yield from ct_steps(volume_node)
            self._state, self._ct, self._node_id = state, ct, volume_node.GetID()
            if scene := volume_node.GetScene():  # DeleteEvent may come while Python collects garbage, and crash
                for event in (scene.NodeRemovedEvent, scene.EndCloseEvent):
                    self.addObserver(scene, event, self._look)
            return ct
        return self._ct

    def forget(self) -> None:
        self.removeObservers()
        self._state = self._ct = None

    def _look(self, scene, _event) -> None:
        if not scene.GetNodeByID(self._node_id):
            self.forget()
