"""Pairs in memory: a column each for what the network sees, what is true of it, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from QualitySentinelLib.slices import Preset

_IMAGE_SCALE = 127.0

PICTURES = ("images", "reference", "locator")
"""The columns that hold pictures: large, kept apart from the others on disk."""


@dataclass
class Pairs:
    """Pairs of one or several subjects; every attribute is an array of N rows.

    Attributes:
        images: network input [N, C, S, S], uint8: ``x * 127 + 127`` of the preset's values, which lie in -1..1.
        reference: share of each pixel that the reference covers [N, S, S], uint8: ``share * 255``.
        locator: the body's box in the slice and the mask in it [N, 2, L, L], uint8: ``share * 255``; files of old lack
            it and ``place``, which are then all 0.
        place: where in the body the mask lies [N, P], float32, see ``slices.place.PLACE``.
        pixel_mm: side of an input pixel in mm, float32.
        dsc: true DSC of the whole slice, float32; 1 where mask and reference are both empty.
        structure, kind, origin: structure, error kinds and maker of the mask (see ``candidates``), str.
        subject, person, source: subject, who is behind it, and the data set it belongs to, str.
        stage: training stage of the network that drew the mask, -1 for others, int32.
        mask: number of the candidate mask, unique within the subject, int32.
        k: canonical slice, int32.
        area: mask voxels in the slice, int32; 0 for empty slices that may have been missed.
        reference_area: reference voxels in the slice, int32.
        nearest_area: mask voxels of the nearest masked slice, int32; ``area`` itself where that is not 0.
        gap_mm: distance to that slice, float32.
        inner: whether an empty slice lies between masked ones, bool.
        volume_dsc: true volumetric DSC of the whole candidate, float32.
        voxel_mm3: volume of a voxel, float32.
    """

    images: np.ndarray
    reference: np.ndarray
    locator: np.ndarray
    place: np.ndarray
    pixel_mm: np.ndarray
    dsc: np.ndarray
    structure: np.ndarray
    kind: np.ndarray
    origin: np.ndarray
    subject: np.ndarray
    person: np.ndarray
    source: np.ndarray
    stage: np.ndarray
    mask: np.ndarray
    k: np.ndarray
    area: np.ndarray
    reference_area: np.ndarray
    nearest_area: np.ndarray
    gap_mm: np.ndarray
    inner: np.ndarray
    volume_dsc: np.ndarray
    voxel_mm3: np.ndarray

    def __len__(self) -> int:
        return len(self.dsc)

    def take(self, rows: np.ndarray) -> Pairs:
        """The pairs at ``rows``."""
        return Pairs(**{name: values[rows] for name, values in vars(self).items()})


COLUMNS = tuple(f.name for f in fields(Pairs) if f.name not in PICTURES)
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
