"""What may be drawn when a subject is made anew."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SynthesisOptions:
    """Ranges of the synthesis; every range is (least, most).

    Attributes:
        most_voxels: upper bound of the new volume's voxels: pixels, slices and at last the field of view give way.
        pixel_mm: pixel size in the slice; never below half the source's.
        slice_mm: slice distance; never below half the source's.
        rotation_degrees: largest turn in the slice; tilts out of it are at most half as large.
        scale: size of the anatomy over that of the source, drawn for each axis.
        displacement_mm: standard deviation of the smooth displacements.
        most_displacement_mm: no component of a displacement is larger.
        mirror_share: share of mirrored subjects among those that can be mirrored (``is_mirrorable``).
        painted_share: share of subjects whose CT is painted from labels and tissue classes; the others keep their
            CT's gray values, changed in contrast, sharpness and noise.
        close_up_share: share of fields of view smaller than the body.
        keep_share: this share of the structures must keep its centre inside the field of view.
    """

    most_voxels: int = 4_000_000
    pixel_mm: tuple[float, float] = (0.7, 3.0)
    slice_mm: tuple[float, float] = (1.0, 5.0)
    rotation_degrees: float = 10.0
    scale: tuple[float, float] = (0.85, 1.15)
    displacement_mm: tuple[float, float] = (1.0, 4.5)
    most_displacement_mm: float = 12.0
    mirror_share: float = 0.5
    painted_share: float = 0.4
    close_up_share: float = 0.25
    keep_share: float = 0.6
