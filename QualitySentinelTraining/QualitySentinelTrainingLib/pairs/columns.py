"""Pairs in memory: a column each for what the network sees, what is true of it, and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Self

import numpy as np

from QualitySentinelLib.slices import Preset

_IMAGE_SCALE = 127.0

PICTURES = ("images", "reference", "locator")
"""The columns that hold pictures: large, kept apart from the others on disk."""

_FLOAT, _INT, _BYTE, _BOOL, _TEXT = ({"dtype": kind} for kind in (np.float32, np.int32, np.uint8, bool, str))


@dataclass(kw_only=True)
class SliceColumns:
    """Slices of candidate masks: what is true of each, and where it comes from. All attributes are arrays of N rows."""

    # true DSC of the whole slice, 0..1; 1 where mask and reference are both empty
    dsc: np.ndarray = field(metadata=_FLOAT)
    # structure, kind, origin: structure, error kinds (joined by " + ") and maker of the mask (see ``candidates``)
    structure: np.ndarray = field(metadata=_TEXT)
    kind: np.ndarray = field(metadata=_TEXT)
    origin: np.ndarray = field(metadata=_TEXT)
    # subject, patient, source: subject, the patient behind it, and the data set it belongs to
    subject: np.ndarray = field(metadata=_TEXT)
    source: np.ndarray = field(metadata=_TEXT)
    patient: np.ndarray = field(metadata=_TEXT)
    stage: np.ndarray = field(metadata=_INT)  # training stage (epoch) of the network that drew the mask, -1 for others
    # number of the candidate mask, unique within the subject, as the subject is within the source
    mask: np.ndarray = field(metadata=_INT)
    k: np.ndarray = field(metadata=_INT)  # canonical slice
    area: np.ndarray = field(metadata=_INT)  # mask voxels in the slice; 0 for empty slices that may have been missed
    reference_area: np.ndarray = field(metadata=_INT)  # reference voxels in the slice
    # mask voxels of the nearest masked slice; ``area`` itself where that is not 0
    nearest_area: np.ndarray = field(metadata=_INT)
    volume_dsc: np.ndarray = field(metadata=_FLOAT)  # true volumetric DSC of the whole candidate
    gap_mm: np.ndarray = field(metadata=_FLOAT)  # distance to that slice
    inner: np.ndarray = field(metadata=_BOOL)  # whether an empty slice lies between masked ones
    voxel_mm3: np.ndarray = field(metadata=_FLOAT)  # volume of a voxel of the CT
    pixel_mm: np.ndarray = field(metadata=_FLOAT)  # side of a pixel of the network's input

    def __post_init__(self) -> None:
        for name, dtype in self.types().items():
            setattr(self, name, np.asarray(getattr(self, name)).astype(dtype, copy=False))
        if len(lengths := {len(getattr(self, name)) for name in self.types()}) > 1:
            raise ValueError(f"columns of unequal length: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.dsc)

    @classmethod
    def types(cls) -> dict[str, type]:
        """Type of each column, by name."""
        return {f.name: f.metadata["dtype"] for f in fields(cls)}

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """All rows of ``parts``, in order; an empty table for none."""
        columns = {n: [getattr(p, n) for p in parts] for n in cls.types()}
        return cls(**{n: np.concatenate(some or [[]]) for n, some in columns.items()})

    def take(self, rows: np.ndarray) -> Self:
        """The rows at ``rows`` (numbers or booleans)."""
        return type(self)(**{name: getattr(self, name)[rows] for name in self.types()})


@dataclass(kw_only=True)
class Pairs(SliceColumns):
    """Pairs of network input and true DSC, of one or several subjects."""

    # network input [N, C, S, S]: ``x * 127 + 127`` of the preset's values, which lie in -1..1
    images: np.ndarray = field(metadata=_BYTE)
    # share of each pixel that the reference covers [N, S, S]: ``share * 255``
    reference: np.ndarray = field(metadata=_BYTE)
    # the body's box in the slice and the mask in it [N, 2, L, L]: ``share * 255``; files of old lack it and ``place``,
    # which are then all 0
    locator: np.ndarray = field(metadata=_BYTE)
    place: np.ndarray = field(metadata=_FLOAT)  # where in the body the mask lies [N, P], see ``slices.place.PLACE``


OLD_NAMES = {"person": "patient"}
"""Columns as files of before 0.2 call them."""

COLUMNS = tuple(name for name in Pairs.types() if name not in PICTURES)
"""The columns that are no pictures."""


def quantised(images: np.ndarray) -> np.ndarray:
    """Network input in -1..1 as uint8; :func:`restored` is the way back, to within 1/254."""
    return np.clip(np.rint(images * _IMAGE_SCALE + _IMAGE_SCALE), 0, 255).astype(np.uint8)


def restored(images):
    """The network input of :func:`quantised`, for arrays and tensors."""
    return images / _IMAGE_SCALE - 1.0


def channels_for(made_with: Preset, preset: Preset) -> list[int]:
    """Channels of images made with one preset that make up those of another with fewer windows or no neighbour.

    Pairs of old, made without a locator, serve presets that have one: the masks' places are then unknown.

    Raises:
        ValueError: the other preset is no such part.
    """
    part = preset.windows == made_with.windows[: len(preset.windows)] and preset.size == made_with.size
    part = part and (made_with.locator in (0, preset.locator) or not preset.locator)
    if not part or preset.neighbour > made_with.neighbour:
        raise ValueError(f"pairs made with preset {made_with.name!r} cannot serve preset {preset.name!r}")
    mask = made_with.mask_channel
    return [*range(len(preset.windows)), mask, *([mask + 1] if preset.neighbour else [])]
