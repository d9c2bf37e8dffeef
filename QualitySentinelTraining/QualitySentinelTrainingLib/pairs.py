"""Pairs of network input and true DSC, made by simulating errors in reference masks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from QualitySentinelLib.files import write_whole
from QualitySentinelLib.slices import Preset, make_batch
from QualitySentinelLib.volume.segmentation import boxes_of_labels, segment_from_mask

from .dice import slice_dice
from .errors import simulate
from .subjects import Subject

MARGIN_MM = 30.0
"""Room around a structure in which simulated errors may grow, mm."""

_IMAGE_SCALE = 127.0


@dataclass
class Pairs:
    """Pairs of one or several subjects.

    Attributes:
        images: network input [N, C, S, S], uint8: ``x * 127 + 127`` of the preset's values, which lie in -1..1.
        pixel_mm: size of an input pixel in mm, float32 [N].
        dsc: true DSC of the whole slice, float32 [N].
        structure, kind, subject: structure name, error kinds, subject name, str [N].
        mask: number of the simulated mask, unique within the subject, int32 [N].
        k: canonical slice, int32 [N].
        area: mask voxels in the slice, int32 [N].
        volume_dsc: true volumetric DSC of the whole simulated mask, float32 [N].
    """

    images: np.ndarray
    pixel_mm: np.ndarray
    dsc: np.ndarray
    structure: np.ndarray
    kind: np.ndarray
    subject: np.ndarray
    mask: np.ndarray
    k: np.ndarray
    area: np.ndarray
    volume_dsc: np.ndarray

    def __len__(self) -> int:
        return len(self.dsc)

    def take(self, rows: np.ndarray) -> Pairs:
        """The pairs at ``rows``."""
        return Pairs(**{name: values[rows] for name, values in vars(self).items()})

    def for_preset(self, preset: Preset) -> Pairs:
        """The same pairs for a preset that has only the first windows of the one they were made with."""
        channels = [*range(preset.channels - 1), -1]  # the mask is the last channel
        return replace(self, images=self.images[:, channels])

    def write(self, path: Path) -> None:
        """Write as one ``.npz`` (no pickles, images uncompressed), whole."""
        write_whole(path, lambda temporary: np.savez(temporary, **vars(self)))

    @classmethod
    def read(cls, path: Path) -> Pairs:
        """Read what :meth:`write` wrote."""
        with np.load(path, allow_pickle=False) as file:
            return cls(**{name: file[name] for name in file.files})

    @classmethod
    def concatenate(cls, parts: list[Pairs]) -> Pairs:
        """All pairs of ``parts``, in order."""
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in cls.__annotations__})


def quantised(images: np.ndarray) -> np.ndarray:
    """Network input in -1..1 as uint8; :func:`restored` is the way back, to within 1/254."""
    return np.clip(np.rint(images * _IMAGE_SCALE + _IMAGE_SCALE), 0, 255).astype(np.uint8)


def restored(images):
    """The network input of :func:`quantised`, for arrays and tensors."""
    return images / _IMAGE_SCALE - 1.0


def make_pairs(
    subject: Subject,
    rng: np.random.Generator,
    preset: Preset,
    masks_per_structure: int = 8,
    slices_per_mask: int | None = 4,
) -> Pairs:
    """Simulate masks of every structure of a subject and prepare some of their slices for the network.

    Args:
        slices_per_mask: slices drawn at random from each mask; ``None`` takes every slice that holds mask voxels.
    """
    rows = []
    images, sizes = [], []
    margin = [int(np.ceil(MARGIN_MM / s)) for s in subject.ct.frame.spacing]
    boxes = boxes_of_labels(subject.labels, subject.structures)
    number = 0
    for value, box in boxes.items():
        grown = tuple(
            slice(max(0, r.start - m), min(n, r.stop + m))
            for r, m, n in zip(box, margin, subject.labels.shape, strict=True)
        )
        labels = np.ascontiguousarray(subject.labels[grown])
        hu = np.ascontiguousarray(subject.ct.hu[grown])
        reference = labels == value
        corner = tuple(r.start for r in grown)
        items = []
        for _ in range(masks_per_structure):
            number += 1
            mask, record = simulate(reference, labels, hu, subject.ct.frame.spacing, rng)
            dsc = slice_dice(mask, reference)
            areas = np.count_nonzero(mask, axis=(1, 2))
            held = np.flatnonzero(areas)
            if not len(held):
                continue
            total = 2.0 * np.count_nonzero(mask & reference) / (areas.sum() + np.count_nonzero(reference))
            if slices_per_mask is not None and len(held) > slices_per_mask:
                held = np.sort(rng.choice(held, slices_per_mask, replace=False))
            segment = segment_from_mask(mask, corner, id=str(value), name="", structure=subject.structures[value])
            for k in held:
                items.append((segment, int(k) + corner[0]))
                rows.append((dsc[k], segment.structure, record.kinds, number, int(k) + corner[0], areas[k], total))
        if items:
            batch = make_batch(subject.ct, items, preset)
            images.append(quantised(batch.images.numpy()))
            sizes.append(batch.pixel_mm.numpy())
    dsc, structure, kind, mask_number, k, area, volume = zip(*rows, strict=True)
    return Pairs(
        images=np.concatenate(images),
        pixel_mm=np.concatenate(sizes).astype(np.float32),
        dsc=np.array(dsc, np.float32),
        structure=np.array(structure),
        kind=np.array(kind),
        subject=np.array([subject.name] * len(rows)),
        mask=np.array(mask_number, np.int32),
        k=np.array(k, np.int32),
        area=np.array(area, np.int32),
        volume_dsc=np.array(volume, np.float32),
    )
