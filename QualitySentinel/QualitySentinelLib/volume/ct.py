"""A CT as an array of Hounsfield units in the canonical axial frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .frame import AxialFrame


@dataclass
class CtVolume:
    """A CT.

    Attributes:
        hu: Hounsfield units, ``[k, j, i]`` in ``frame``'s order, int16 or float32, finite (usually a view).
        frame: geometry.
        source: file or node name, for messages and reports.
        warnings: what was found odd and corrected while reading, one line each.
        body: where the body is, once :func:`QualitySentinelLib.slices.place.body_of` was asked.
    """

    hu: np.ndarray
    frame: AxialFrame
    source: str = ""
    warnings: list[str] = field(default_factory=list)
    body: object | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.hu.shape != self.frame.shape:
            raise ValueError(f"array {self.hu.shape} does not fit the frame {self.frame.shape}")
