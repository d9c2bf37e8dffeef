"""Making a new subject from one: deform, resample, change the appearance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from zlib import crc32

import numpy as np
from scipy.ndimage import binary_fill_holes, binary_opening, find_objects, gaussian_filter, label
from scipy.spatial.transform import Rotation

from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelLib.volume.segmentation import boxes_of_labels

from ..model_files import PHANTOM
from ..phantom.noise import smooth_noise
from ..subjects import Subject, SubjectSource
from .appearance import paint, scan, with_other_phase
from .names import is_mirrorable, mirrored_name

AIR_HU = -1000.0
_FULL = 1_500_000
_ABRUPT = 0.4
"""A patient whose end slice is larger than this share of the median slice goes on beyond the scan."""
_LEAST_JACOBIAN = 0.35
"""Volume change below which a displacement counts as too close to folding; its amplitude is then lowered."""
_FEWEST_SLICES = 16
_CROP_MM = (5.0, 60.0)
_LEAST_SHARE = 0.3
"""A structure of which a crop leaves less than this is not labeled: nobody would."""


@dataclass(frozen=True)
class SynthesisOptions:
    """Ranges of the synthesis; every range is (least, most)."""

    # upper bound of the new volume's voxels: pixels, slices and at last the field of view give way
    most_voxels: int = 4_000_000
    pixel_mm: tuple[float, float] = (0.7, 3.0)  # pixel size in the slice; never below half the source's
    slice_mm: tuple[float, float] = (1.0, 5.0)  # slice distance; never below half the source's
    rotation_degrees: float = 10.0  # largest turn in the slice; tilts out of it are at most half as large
    scale: tuple[float, float] = (0.85, 1.15)  # size of the anatomy over that of the source, drawn for each axis
    displacement_mm: tuple[float, float] = (1.0, 4.5)  # standard deviation of the smooth displacements
    most_displacement_mm: float = 12.0  # no component of a displacement is larger
    mirror_share: float = 0.5  # share of mirrored subjects among those that can be mirrored (``is_mirrorable``)
    # share of subjects whose CT is painted from labels and tissue classes; the others keep their CT's gray values,
    # changed in contrast, sharpness and noise
    painted_share: float = 0.4
    close_up_share: float = 0.25  # share of fields of view smaller than the body
    keep_share: float = 0.6  # this share of the structures must keep its centre inside the field of view


@dataclass(frozen=True)
class Grid:
    """Voxels of a new volume."""

    shape: tuple[int, ...]  # (k, j, i)
    spacing: tuple[float, ...]  # mm (k, j, i)
    # point of the source's anatomy (mm, its index times its spacing) in the middle of the volume
    centre: tuple[float, ...]


def synthetic_subject(subject: Subject, seed: int, options: SynthesisOptions = SynthesisOptions()) -> Subject:
    """A new subject with the anatomy of ``subject``, deformed, on another grid and seen by another scanner.

    The same arguments always give the same voxels. ``subject`` needs at least 2 voxels along each axis. Structures that
    were lost (smaller than the new voxels, outside the field of view) are not in the new one's ``structures``; its CT
    is int16 in -1024..3071.
    """
    rng = np.random.default_rng(seed)
    hu, spacing = subject.ct.hu, subject.ct.frame.spacing
    body = body_mask(hu) | (subject.labels > 0)
    mirrored = bool(rng.random() < options.mirror_share) and is_mirrorable(subject.structures)
    scale = rng.uniform(*options.scale, 3)
    matrix = draw_turn(rng, options) @ np.diag(1 / scale) @ np.diag([1, 1, -1 if mirrored else 1])
    grid = draw_grid(rng, subject, body, scale, options)
    part = scanned_slices(body)
    points = source_points(grid, matrix, spacing, displacements(rng, grid, matrix, options))
    points[0] -= part.start
    labels = resample_labels(np.ascontiguousarray(subject.labels[part]), points)
    # as thicker slices and larger pixels average it
    sigma = 0.42 * np.sqrt(np.maximum((np.array(grid.spacing) / spacing) ** 2 - 1, 0))
    image = sample(gaussian_filter(hu[part].astype(np.float32), sigma, mode="nearest", truncate=3.0), points, AIR_HU)
    inside = sample(body[part], points) > 0.5
    change = rng.random() < options.painted_share
    image = (
        paint(rng, image, labels, subject.structures, grid.spacing) if change
        else with_other_phase(rng, image, labels, subject.structures)
    )  # fmt: skip
    image = scan(rng, image, inside | (labels > 0), grid.spacing)
    counts, swap = np.bincount(labels.ravel(), minlength=256), mirrored_name if mirrored else str
    name = f"{subject.name}_synthetic_{seed}"
    return replace(
        subject, name=name, ct=CtVolume(image, _frame(subject.ct.frame, grid), source=name), labels=labels,
        structures={value: swap(known) for value, known in subject.structures.items() if counts[value]},
        source=f"{subject.source}, synthetic" if subject.source else "synthetic",
    )  # fmt: skip


def made_sources(source: SubjectSource, cropped: int, synthetic: int) -> list[SubjectSource]:
    """So many subjects of each kind made from one, which a program has not made."""
    kinds = {"cropped": (cropped_subject, cropped)}
    if source.source != PHANTOM and "," not in source.source:
        kinds["synthetic"] = synthetic_subject, synthetic
    return [
        replace(source, name=name, read=partial(_read_made, source, make, name), folder=None, with_masks=False)
        for kind, (make, number) in kinds.items()
        for name in (f"{source.name}_{kind}_{n}" for n in range(number))
    ]


def _read_made(source: SubjectSource, make: Callable[[Subject, int], Subject], name: str) -> Subject:
    return replace(make(source.read(), crc32(name.encode())), name=name)


def cropped_subject(subject: Subject, seed: int) -> Subject:
    """A part of a scan, as of a CT that was cut around one organ: the box around a structure, drawn at random, and a
    margin drawn for each side; what sticks out is cut.
    """
    rng = np.random.default_rng(seed)
    boxes = boxes_of_labels(subject.labels, subject.structures)
    value, frame = rng.choice(sorted(boxes)), subject.ct.frame
    # The slices are often left as they are: fields of view are cut in the plane.
    margins = rng.uniform(*_CROP_MM, size=(3, 2)) * (1.0 if rng.random() < 0.5 else np.array([[20.0], [1.0], [1.0]]))
    box = tuple(
        slice(max(0, int(r.start - low / mm)), min(n, int(np.ceil(r.stop + high / mm))))
        for r, (low, high), mm, n in zip(boxes[value], margins, frame.spacing, subject.labels.shape, strict=True)
    )
    affine, labels = frame.ijk_to_ras.copy(), subject.labels[box].copy()
    affine[:3, 3] = (frame.ijk_to_ras @ [*(r.start for r in reversed(box)), 1.0])[:3]
    left, before = (np.bincount(a.ravel(), minlength=256) for a in (labels, subject.labels))
    labels[(left < _LEAST_SHARE * before)[labels]] = 0
    hu = np.ascontiguousarray(subject.ct.hu[box])
    ct = CtVolume(hu, AxialFrame.from_affine(affine, hu.shape), subject.ct.source)
    return replace(subject, ct=ct, labels=labels, source=f"{subject.source.split(',')[0]}, cropped")


def body_mask(hu: np.ndarray) -> np.ndarray:
    """The patient without table and air around, bool ``[k, j, i]``; holes (lungs, gut) are filled slice by slice.

    Of large CTs only every few pixels, then slices, are looked at: edges are that coarse.
    """
    excess = hu.size / _FULL
    pixels = int(np.clip(np.ceil(np.sqrt(excess)), 1, 4))
    steps = (max(1, int(np.ceil(excess / pixels**2))), pixels, pixels)
    parts, count = label(binary_opening(hu[:: steps[0], :: steps[1], :: steps[2]] > -300, np.ones((1, 3, 3), bool)))
    if not count:
        return np.ones(hu.shape, bool)
    mask = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    for plane in mask:
        plane |= binary_fill_holes(plane)
    for axis, (size, step) in enumerate(zip(hu.shape, steps, strict=True)):
        mask = np.repeat(mask, step, axis=axis).take(range(size), axis=axis)
    return mask


def scanned_slices(body: np.ndarray) -> slice:
    """The slices that show the patient; where he ends by and by, as at the top of the head, all to the volume's end.

    Some CTs are padded with empty slices beyond the last one that was scanned.
    """
    areas = body.sum(axis=(1, 2))
    held = np.flatnonzero(areas)
    if held.size == 0:
        return slice(0, len(areas))
    abrupt = areas > _ABRUPT * np.median(areas[held])
    start, stop = (int(held[0]) if abrupt[held[0]] else 0), (int(held[-1]) + 1 if abrupt[held[-1]] else len(areas))
    return slice(start, stop) if stop - start > 1 else slice(0, len(areas))


def draw_turn(rng: np.random.Generator, options: SynthesisOptions) -> np.ndarray:
    """Rotation matrix (k, j, i): mostly in the slice."""
    turns = rng.uniform(-1, 1, 3) * options.rotation_degrees * (1, 0.5, 0.5)
    return Rotation.from_euler("xyz", turns, degrees=True).as_matrix()


def draw_grid(
    rng: np.random.Generator, subject: Subject, body: np.ndarray, scale: np.ndarray, options: SynthesisOptions
) -> Grid:
    """Spacing, range in z and field of view, drawn around the anatomy, which is enlarged by ``scale``."""
    spacing = np.array(subject.ct.frame.spacing)
    slices = scanned_slices(body)
    whole = np.array([[slices.start, 0, 0], [slices.stop - 1, body.shape[1] - 1, body.shape[2] - 1]]) * spacing
    patient = np.array([(s.start, s.stop - 1) for s in find_objects(body.astype(np.uint8))[0]]).T * spacing
    boxes = boxes_of_labels(subject.labels, subject.structures).values()
    centres = np.array([[(s.start + s.stop - 1) / 2 for s in box] for box in boxes]).reshape(-1, 3) * spacing
    best, most = whole, -1.0
    for _ in range(12):
        window = _draw_window(rng, whole, patient, centres, options.close_up_share)
        inside = ((centres > window[0]) & (centres < window[1])).all(axis=1).mean() if len(centres) else 1.0
        if inside > most:
            best, most = window, inside
        if inside >= options.keep_share:
            break
    ends = [np.maximum(options.slice_mm, spacing[0] / 2), np.maximum(options.pixel_mm, spacing[1:].max() / 2)]
    slice_mm, pixel_mm = (float(np.exp(rng.uniform(*np.log(limits)))) for limits in ends)
    return fit_grid(best, (slice_mm, pixel_mm, pixel_mm), scale, options)


def _draw_window(rng, whole: np.ndarray, body: np.ndarray, centres: np.ndarray, close_up_share: float) -> np.ndarray:
    """A field of view, lowest and highest coordinate ``[2, 3]`` (mm of the source), from the volume's and body's."""
    (bottom, *_), (top, *_) = whole
    kept = (top - bottom) * (1.0 if rng.random() < 0.4 else rng.uniform(0.5, 1.0))
    low = bottom + rng.uniform(0, 1) * (top - bottom - kept)
    kind, (whole, body) = rng.random(), (bounds[:, 1:] for bounds in (whole, body))
    aim, half = body.mean(axis=0), (body[1] - body[0]) / 2
    if kind < close_up_share:
        near = centres[rng.integers(len(centres)), 1:] if len(centres) else aim
        aim = near + (aim - near) * rng.uniform(0, 1) + rng.uniform(-25, 25, 2)
        half = rng.uniform(160, 300) / 2 * np.array([rng.uniform(0.8, 1), 1])
    elif kind < close_up_share + 0.15:  # table and air as in the source
        aim, half = whole.mean(axis=0), (whole[1] - whole[0]) / 2
    else:
        half = half * rng.uniform(1.04, 1.25)
        half = np.maximum(half, half.max() * rng.uniform(0.6, 1.0))  # rather square, as scanners have it
        aim = aim + rng.uniform(-0.12, 0.12, 2) * half
    return np.array([[low, *(aim - half)], [low + kept, *(aim + half)]])


def fit_grid(window: np.ndarray, spacing: tuple, scale: np.ndarray, options: SynthesisOptions) -> Grid:
    """Grid over a ``window`` (mm of the source) whose anatomy is enlarged by ``scale``, within the voxel budget."""
    extent, step = (window[1] - window[0]) * scale, np.array(spacing, dtype=float)
    excess = np.prod(extent / step) / options.most_voxels
    if excess > 1:  # coarser pixels, then thicker slices, then fewer slices, then a smaller field of view
        pixel = np.clip(options.pixel_mm[1] / step[1], 1.0, np.sqrt(excess))
        thicker = np.clip(options.slice_mm[1] / step[0], 1.0, excess / pixel**2)
        step *= (thicker, pixel, pixel)
        excess /= pixel**2 * thicker
        fewer = np.clip(extent[0] / (2 * _FEWEST_SLICES * step[0]), 1.0, max(excess, 1.0))
        extent /= (fewer, *np.sqrt([max(excess / fewer, 1.0)] * 2))
    shape = np.maximum(np.floor(extent / step), [_FEWEST_SLICES, 32, 32]).astype(int)
    return Grid(tuple(shape.tolist()), tuple(step.tolist()), tuple(window.mean(axis=0).tolist()))


def displacements(rng: np.random.Generator, grid: Grid, matrix: np.ndarray, options: SynthesisOptions) -> np.ndarray:
    """Smooth random displacements without folds, float32 ``[3, k, j, i]`` in mm (k, j, i)."""
    axes = [np.arange(n) * step for n, step in zip(grid.shape, grid.spacing, strict=True)]
    low, high = options.displacement_mm
    waves = ((rng.uniform(60, 120), rng.uniform(low, high)), (rng.uniform(28, 45), rng.uniform(0.2, 0.35) * high))
    field = np.array([np.sum([mm * smooth_noise(rng, axes, cell) for cell, mm in waves], 0) for _ in range(3)])
    field = np.clip(field, -options.most_displacement_mm, options.most_displacement_mm)
    while least_jacobian(field, matrix, grid.spacing) < _LEAST_JACOBIAN:
        field *= np.float32(0.75)
    return field


def least_jacobian(field: np.ndarray, matrix: np.ndarray, spacing: tuple[float, ...]) -> float:
    """Smallest volume change by ``field`` (mm, voxels of ``spacing`` mm) over that by ``matrix``; below 0: a fold."""
    steps = [max(1, round(6 / s)) for s in spacing]
    coarse = field[:, :: steps[0], :: steps[1], :: steps[2]]
    if min(coarse.shape[1:]) < 2:
        return 1.0
    gradients = np.array([np.gradient(one, *np.multiply(steps, spacing)) for one in coarse])
    jacobian = np.moveaxis(gradients, (0, 1), (-2, -1)) + matrix
    return float((np.linalg.det(jacobian) / np.linalg.det(matrix)).min())


def source_points(grid: Grid, matrix: np.ndarray, spacing: tuple, field: np.ndarray | float = 0.0) -> np.ndarray:
    """Where each voxel of ``grid`` lies in the source: its index there, float32 ``[3, k, j, i]``.

    ``matrix`` is 3x3, new mm to source mm, both (k, j, i) from the centre of the field of view; ``spacing`` is the
    source's, mm; ``field`` are displacements, mm.
    """
    from monai.transforms import AffineGrid

    affine = np.eye(4)
    affine[:3, :3] = np.diag(1 / np.array(spacing)) @ matrix @ np.diag(grid.spacing)
    affine[:3, 3] = np.array(grid.centre) / spacing
    points = AffineGrid(affine=affine, dtype=np.float32)(spatial_size=grid.shape)[0].numpy()[:3]
    return points + field / np.array(spacing, np.float32).reshape(3, 1, 1, 1)


def sample(volume: np.ndarray, points: np.ndarray, outside: float = 0.0, mode: str = "bilinear") -> np.ndarray:
    """Samples of ``volume`` ``[k, j, i]`` at ``points`` (index, ``[3, ...]``), float32.

    Above and below the volume its end slices go on: a tilted field of view would cut a wedge of air out of the
    patient there, which no scanner does. In the slice, ``outside`` is beyond the volume.
    """
    from monai.transforms import Resample

    middle = (np.array(volume.shape, np.float32).reshape(3, 1, 1, 1) - 1) / 2
    centred = points - middle
    centred[0].clip(-middle[0, 0, 0, 0], middle[0, 0, 0, 0], out=centred[0])
    resample = Resample(mode=mode, padding_mode="zeros", align_corners=False, dtype=np.float32)
    return resample(volume[None].astype(np.float32) - np.float32(outside), centred)[0].numpy() + np.float32(outside)


def resample_labels(labels: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Labels at ``points``: the label with the largest trilinear share wins, so that finer grids get no stairs."""
    nearest = sample(labels, points, mode="nearest").astype(labels.dtype)
    best, total = np.zeros((2, *nearest.shape), np.float32)
    new, boxes = np.zeros_like(nearest), find_objects(labels)
    for value, box in enumerate(find_objects(nearest), start=1):
        if box is None:
            continue
        there = tuple(slice(max(s.start - 3, 0), s.stop + 3) for s in box)
        own = tuple(
            slice(max(s.start - 1, 0), s.stop + 1) if axis else slice(0, len(labels))
            for axis, s in enumerate(boxes[value - 1])
        )
        start = np.array([s.start for s in own], np.float32).reshape(3, 1, 1, 1)
        share = sample(labels[own] == value, points[(slice(None), *there)] - start)
        total[there] += share
        won = share > best[there]
        best[there][won], new[there][won] = share[won], value
    new[best <= 1 - total] = 0
    return new


def _frame(source: AxialFrame, grid: Grid) -> AxialFrame:
    """Axial frame of the grid; its middle is where the source has that point of the anatomy."""
    index = np.array(grid.centre) / source.spacing
    centre = (source.ijk_to_ras @ [*index[::-1], 1.0])[:3]
    affine = np.diag([-grid.spacing[2], -grid.spacing[1], grid.spacing[0], 1.0])
    affine[:3, 3] = centre - affine[:3, :3] @ [(n - 1) / 2 for n in grid.shape[::-1]]
    return AxialFrame.from_affine(affine, grid.shape)
