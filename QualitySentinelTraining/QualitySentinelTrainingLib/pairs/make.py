"""From candidate masks to pairs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from QualitySentinelLib.scorer.plan import REACH_MM, empty_slices, slices_within
from QualitySentinelLib.slices import PlaneCrop, Preset, coverage, crop_plane, neighbour_strength, prepare
from QualitySentinelLib.slices.place import PLACE, body_of
from QualitySentinelLib.volume.segmentation import Box, boxes_of_labels, mask_extent

from ..candidates import Candidate
from ..dice import slice_dice, volume_dice
from ..subjects import Subject
from .columns import Pairs, quantised

_CHUNK = 64


def make_pairs(
    subject: Subject, candidates: Iterable[Candidate], rng: np.random.Generator, preset: Preset, slices_per_mask: int |
    None = 4, empty_per_mask: int | None = 1, pretended_per_mask: int = 0,
) -> Pairs:  # fmt: skip
    """Prepare slices of candidate masks of a subject for the network, with their true DSC.

    Args:
        slices_per_mask: slices drawn at random from each mask; ``None`` takes every slice that holds mask voxels.
        empty_per_mask: empty slices drawn from those that inference asks for, ``scorer.plan.empty_slices`` (only with
            a preset that has a neighbour channel); ``None`` takes all.
        pretended_per_mask: slices that are shown as if the mask were empty there, with a nearby slice of it as the
            neighbour, although it is not: examples of missed slices, of which there are too few otherwise.
    """
    boxes = boxes_of_labels(subject.labels, subject.structures)
    rows, crops, references = [], [], []
    for number, candidate in enumerate(candidates, start=1):
        judged = _Judged(subject, candidate, boxes[candidate.value])
        chosen: list[tuple[int, int | None]] = [(k, None) for k in _some(rng, judged.held, slices_per_mask)]
        if preset.neighbour and len(judged.held):
            empty = judged.empty()
            chosen += [(k, empty[k]) for k in _some(rng, np.array(list(empty), int), empty_per_mask)]
            pretended = (judged.pretended(rng) for _ in range(pretended_per_mask))
            chosen += [pair for pair in pretended if pair is not None]
        for k, neighbour in chosen:
            crop, reference = judged.crops(k, neighbour, preset)
            crops.append(crop)
            references.append(reference)
            rows.append(judged.row(k, neighbour) | {"mask": number})
    images, shares, pixel_mm = [np.zeros((0, preset.channels, preset.size, preset.size), np.uint8)], [], []
    places = np.zeros((len(crops), len(PLACE)), np.float32)
    locators = np.zeros((len(crops), 2, preset.locator, preset.locator), np.uint8)
    for start in range(0, len(crops), _CHUNK):
        some = slice(start, start + _CHUNK)
        batch = prepare(crops[some], preset)
        images.append(quantised(batch.images.numpy()))
        pixel_mm.append(batch.pixel_mm.numpy())
        if preset.locator:
            ks = [row["k"] for row in rows[some]]
            places[some], locator = body_of(subject.ct).places(ks, crops[some], preset.locator)
            locators[some] = np.rint(locator * 255)
        shares.append(np.rint(coverage(references[some], preset.size).numpy() * 255).astype(np.uint8))
    columns: dict[str, Any] = {name: np.array([row[name] for row in rows], Pairs.types()[name]) for name in _BY_ROW}
    return Pairs(
        images=np.concatenate(images),
        reference=np.concatenate([np.zeros((0, preset.size, preset.size), np.uint8), *shares]),
        locator=locators,
        place=places,
        pixel_mm=np.concatenate([np.zeros(0, np.float32), *pixel_mm]),
        subject=np.full(len(rows), subject.name),
        patient=np.full(len(rows), subject.patient),
        source=np.full(len(rows), subject.source),
        voxel_mm3=np.full(len(rows), np.prod(subject.ct.frame.spacing), np.float32),
        **columns,
    )


_BY_ROW = (
    "dsc", "structure", "kind", "origin", "stage", "mask", "k", "area", "reference_area", "nearest_area", "gap_mm",
    "inner", "volume_dsc",
)  # fmt: skip


def _some(rng: np.random.Generator, values: np.ndarray, count: int | None) -> np.ndarray:
    """``count`` of the values at random, in order; all when there are no more, or for ``None``."""
    return values if count is None or len(values) <= count else np.sort(rng.choice(values, count, replace=False))


class _Judged:
    """A candidate beside its reference, in one box that holds both."""

    def __init__(self, subject: Subject, candidate: Candidate, reference_box: Box) -> None:
        ends = [c + n for c, n in zip(candidate.corner, candidate.mask.shape, strict=True)]
        self.box = tuple(
            slice(min(r.start, c), max(r.stop, e))
            for r, c, e in zip(reference_box, candidate.corner, ends, strict=True)
        )
        self.subject, self.candidate = subject, candidate
        self.reference = subject.labels[self.box] == candidate.value
        self.mask = np.zeros(self.reference.shape, bool)
        place = tuple(slice(c - r.start, e - r.start) for r, c, e in zip(self.box, candidate.corner, ends, strict=True))
        self.mask[place] = candidate.mask
        self.areas = np.count_nonzero(self.mask, axis=(1, 2))
        self.reference_areas = np.count_nonzero(self.reference, axis=(1, 2))
        self.dsc = slice_dice(self.mask, self.reference)
        self.volume_dsc = volume_dice(self.mask, self.reference)
        self.held = np.flatnonzero(self.areas) + self.box[0].start

    def empty(self) -> dict[int, int]:
        """Canonical slices without mask voxels that may have been missed, and the masked slice nearest to each."""
        frame = self.subject.ct.frame
        return empty_slices(self.held, frame.shape[0], frame.spacing[0])

    def pretended(self, rng: np.random.Generator) -> tuple[int, int] | None:
        """A slice that holds the structure, and a masked slice as near as inference would find one, at random.

        ``None`` when no other slice near the one drawn holds the structure.
        """
        neighbour = int(rng.choice(self.held))
        reach = slices_within(REACH_MM, self.subject.ct.frame.spacing[0])
        there = np.flatnonzero(self.reference_areas) + self.box[0].start
        near = there[(np.abs(there - neighbour) <= reach) & (there != neighbour)]
        return (int(rng.choice(near)), neighbour) if len(near) else None

    def crops(self, k: int, neighbour: int | None, preset: Preset) -> tuple[PlaneCrop, PlaneCrop]:
        """The crop of slice ``k``, and the same crop with the reference in place of the mask."""
        frame = self.subject.ct.frame
        shown = k if neighbour is None else neighbour
        origin = self.box[1].start, self.box[2].start
        mask = self.mask[shown - self.box[0].start]
        extent = mask_extent(mask, origin)
        rows = slice(extent[0] - origin[0], extent[1] - origin[0])
        columns = slice(extent[2] - origin[1], extent[3] - origin[1])
        mask = mask[rows, columns].copy()  # a view would keep the whole box alive until the crops are resampled
        crop = crop_plane(self.subject.ct.hu[k], mask, preset, frame.spacing[1:], extent[::2], extent)
        if neighbour is not None:
            crop.neighbour = neighbour_strength(abs(neighbour - k) * frame.spacing[0])
        inside = self.box[0].start <= k < self.box[0].stop
        reference = self.reference[k - self.box[0].start].copy() if inside else np.zeros((1, 1), bool)
        return crop, PlaneCrop(crop.ct, reference, crop.box, crop.spacing, (0, 0), origin)

    def row(self, k: int, neighbour: int | None) -> dict:
        """The columns of one pair that depend on its slice and mask."""
        at = k - self.box[0].start
        inside = 0 <= at < len(self.areas)
        reference_area = int(self.reference_areas[at]) if inside else 0
        nearest_area = int(self.areas[(k if neighbour is None else neighbour) - self.box[0].start])
        return {
            "dsc": self.dsc[at] if neighbour is None else float(reference_area == 0),
            "structure": self.subject.structures[self.candidate.value],
            "kind": self.candidate.kind,
            "origin": self.candidate.origin,
            "stage": self.candidate.stage,
            "k": k,
            "area": nearest_area if neighbour is None else 0,
            "reference_area": reference_area,
            "nearest_area": nearest_area,
            "gap_mm": 0.0 if neighbour is None else abs(neighbour - k) * self.subject.ct.frame.spacing[0],
            "inner": neighbour is not None and bool(self.held[0] < k < self.held[-1]),
            "volume_dsc": self.volume_dsc,
        }
