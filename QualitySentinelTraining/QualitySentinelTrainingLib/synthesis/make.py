"""Making a new subject from one: deform, resample, change the appearance."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import find_objects

from QualitySentinelLib.volume import AxialFrame, CtVolume

from ..subjects import Subject
from .body import body_mask, bounds, scanned_slices
from .contrast import with_other_curve, with_other_phase
from .deform import Deformation, draw_deformation, is_mirrorable, source_points
from .grid import Grid, draw_spacing, draw_window, fit_grid
from .names import mirrored_name
from .options import SynthesisOptions
from .paint import paint
from .resample import AIR_HU, antialiased, crop_to, resample_labels, sample
from .scanner import Scanner, draw_scanner, scan


@dataclass(frozen=True)
class Plan:
    """All that is decided before a voxel is made.

    Attributes:
        deformation: the anatomy.
        grid: the voxels.
        scanner: the reconstruction.
        painted: the CT is painted from labels and classes, not the source's own.
    """

    deformation: Deformation
    grid: Grid
    scanner: Scanner
    painted: bool


def plan_synthesis(
    rng: np.random.Generator, subject: Subject, body: np.ndarray, options: SynthesisOptions = SynthesisOptions()
) -> Plan:
    """Draw how ``subject``, the patient at ``body`` (bool ``[k, j, i]``), is changed."""
    spacing = subject.ct.frame.spacing
    deformation = draw_deformation(rng, is_mirrorable(subject.structures), options)
    slices = scanned_slices(body)
    whole = np.array([[slices.start, 0, 0], [slices.stop - 1, body.shape[1] - 1, body.shape[2] - 1]]) * spacing
    boxes = find_objects(subject.labels)
    centres = [[(s.start + s.stop - 1) / 2 for s in boxes[v - 1]] for v in _present(subject, boxes)]
    centres = np.array(centres, dtype=float).reshape(-1, 3) * spacing
    window = draw_window(rng, whole, bounds(body, spacing), centres, options)
    grid = fit_grid(window, draw_spacing(rng, spacing, options), deformation.scale, options)
    return Plan(deformation, grid, draw_scanner(rng), bool(rng.random() < options.painted_share))


def _present(subject: Subject, boxes: list) -> list[int]:
    return [v for v in subject.structures if v <= len(boxes) and boxes[v - 1] is not None]


def synthetic_subject(subject: Subject, seed: int, options: SynthesisOptions = SynthesisOptions()) -> Subject:
    """A new subject with the anatomy of ``subject``, deformed, on another grid and seen by another scanner.

    The same arguments always give the same voxels.

    Args:
        subject: CT and reference labels; at least 2 voxels along each axis.
        seed: non-negative.
        options: what may be drawn.

    Returns:
        the new subject: same person; structures that were lost (smaller than the new voxels, outside the field of
        view) are not in ``structures``; the CT is int16 in -1024..3071.
    """
    rng = np.random.default_rng(seed)
    hu, spacing = subject.ct.hu, subject.ct.frame.spacing
    body = body_mask(hu) | (subject.labels > 0)
    plan = plan_synthesis(rng, subject, body, options)
    points = source_points(rng, plan.deformation, plan.grid)
    part = crop_to(points, scanned_slices(body), hu.shape, spacing)
    corner = np.array([s.start * step for s, step in zip(part, spacing, strict=True)])
    labels = resample_labels(np.ascontiguousarray(subject.labels[part]), points, corner, spacing)
    image = sample(antialiased(hu[part], spacing, plan.grid.spacing), points, corner, spacing, AIR_HU)
    inside = sample(body[part].astype(np.float32), points, corner, spacing, 0.0) > 0.5
    del points
    if plan.painted:
        image = paint(rng, image, labels, subject.structures, plan.grid.spacing)
    else:
        image = with_other_phase(rng, with_other_curve(rng, image), labels, subject.structures)
    image = scan(rng, image, inside | (labels > 0), plan.grid.spacing, plan.scanner)
    return _assembled(subject, seed, image, labels, plan)


def _assembled(subject: Subject, seed: int, hu: np.ndarray, labels: np.ndarray, plan: Plan) -> Subject:
    counts = np.bincount(labels.ravel(), minlength=max(subject.structures, default=0) + 1)
    swap = mirrored_name if plan.deformation.mirrored else str
    structures = {value: swap(name) for value, name in subject.structures.items() if counts[value]}
    name = f"{subject.name}_synthetic_{seed}"
    frame = _frame(subject.ct.frame, plan.grid)
    return replace(
        subject,
        name=name,
        ct=CtVolume(hu, frame, source=name),
        labels=labels,
        structures=structures,
        source=f"{subject.source}, synthetic" if subject.source else "synthetic",
    )


def _frame(source: AxialFrame, grid: Grid) -> AxialFrame:
    """Axial frame of the grid; its middle is where the source has that point of the anatomy."""
    index = np.array(grid.centre) / source.spacing
    centre = (source.ijk_to_ras @ [*index[::-1], 1.0])[:3]
    affine = np.diag([-grid.spacing[2], -grid.spacing[1], grid.spacing[0], 1.0])
    affine[:3, 3] = centre - affine[:3, :3] @ [(n - 1) / 2 for n in grid.shape[::-1]]
    return AxialFrame.from_affine(affine, grid.shape)
