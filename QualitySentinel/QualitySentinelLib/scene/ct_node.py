"""Needs ``slicer``. From a scalar volume node to a CT in the canonical axial frame."""

from __future__ import annotations

import slicer

from ..errors import InputError
from ..steps import Steps, run_to_end
from ..volume import AxialFrame, CtVolume
from ..volume.frame import OBLIQUE_DEGREES
from ..volume.hounsfield import NotHounsfieldError, hounsfield_steps
from .world import volume_to_world


def ct_from_node(volume_node) -> CtVolume:
    """The CT in a vtkMRMLScalarVolumeNode; its array is the node's own memory unless values had to be corrected.

    Linear parent transforms are applied to the geometry; voxels are never interpolated.

    Raises:
        InputError: there is no volume or it is empty, in colour, a label map, or not in Hounsfield units.
        MismatchError: the volume is under a transform that is not linear.
    """
    return run_to_end(ct_steps(volume_node))


def ct_steps(volume_node) -> Steps[CtVolume]:
    """As :func:`ct_from_node`, in steps of a few milliseconds."""
    if volume_node is None:
        raise InputError("no CT is selected; choose a volume")
    name = volume_node.GetName()
    image = volume_node.GetImageData()
    if image is None or not image.GetNumberOfPoints() or image.GetPointData().GetScalars() is None:
        raise InputError(f"{name}: the volume holds no voxels; load it again")
    if image.GetNumberOfScalarComponents() != 1:
        raise InputError(f"{name}: has {image.GetNumberOfScalarComponents()} values in each voxel; a CT has one")
    if volume_node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise InputError(f"{name}: is a label map; choose the CT itself")
    try:
        hu, remarks = yield from hounsfield_steps(slicer.util.arrayFromVolume(volume_node))
    except NotHounsfieldError as error:
        raise InputError(f"{name}: {error}") from error
    try:
        frame = AxialFrame.from_affine(volume_to_world(volume_node), hu.shape)
    except ValueError as error:
        raise InputError(f"{name}: {error}; correct the volume's geometry in the Volumes module") from error
    warnings = [f"{name}: {remark}" for remark in remarks]
    if frame.obliquity > OBLIQUE_DEGREES:
        warnings.append(
            f"{name}: the acquisition is oblique by {frame.obliquity:.0f} degrees; "
            "its slices are scored as they are, along the nearest axes"
        )
    return CtVolume(frame.to_canonical(hu), frame, name, warnings)
