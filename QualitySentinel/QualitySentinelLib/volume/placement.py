"""Putting masks on the CT's grid: exactly where the grids agree up to axis order and flips, else by nearest neighbor.

Tolerance: two grids agree when no corner of the one lies further than ``GRID_TOLERANCE`` voxels from a voxel center
of the other. Below half a voxel nearest neighbor would give the same masks; the tolerance only absorbs the rounding
of headers (float32 in NIfTI, short decimal strings in DICOM).

The planes of an uneven CT are looked up where they truly lie. A mask on the even grid from its first to its last plane
was made from a file that lost the true places (a conversion, ``scored.seg.nrrd``): it is taken plane by plane.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import numpy as np

from .frame import AxialFrame
from .segmentation import NO_BOX, NO_VOXELS, Box, boxes_of_labels, segment_from_mask

GRID_TOLERANCE = 0.01
"""In voxels of the CT."""


@dataclass(frozen=True)
class PlacedMask:
    """A mask on the CT's grid."""

    lost: float = 0.0  # share of the mask's voxels outside the CT, 0..1
    box: Box = NO_BOX  # canonical box; ``NO_BOX`` when nothing of the mask is inside the CT
    # ``[dk, dj, di]`` inside ``box``; voxels equal to ``value`` belong
    labels: np.ndarray = field(default_factory=lambda: NO_VOXELS)
    value: int = 1  # the mask's value in ``labels``


class Placement:
    """How the grid of a mask file lies on the CT's.

    Args:
        ijk_to_ras: 4x4 of the mask file, ``(i, j, k, 1)`` to RAS mm.
        shape: of the mask file's array, ``[K, J, I]``.
        frame: the CT's frame.
        by_plane: the planes of an uneven CT are counted, as if they were even.

    Attributes:
        exact: the grids agree up to axis order, flips and whole voxels; masks are placed without interpolation.
        overlaps: the two volumes have space in common.
    """

    def __init__(
        self, ijk_to_ras: np.ndarray, shape: tuple[int, ...], frame: AxialFrame, by_plane: bool = False
    ) -> None:
        self.shape, self.frame, self._planes = shape, frame, None if by_plane else frame.planes
        turn = np.fliplr(np.eye(3))  # (i, j, k) <-> (k, j, i)
        to_ct = np.linalg.inv(frame.ijk_to_ras) @ ijk_to_ras
        self._linear = turn @ to_ct[:3, :3] @ turn  # file [K, J, I] -> canonical [k, j, i]
        self._offset = turn @ to_ct[:3, 3]
        self.exact = False
        self._axes: tuple[int, ...] = (0, 1, 2)
        is_truly_there = self._planes is not None and self._meets_planes()
        self._find_exact()
        if self.exact and (not is_truly_there or shape[self._axes[frame.plane_axis]] == frame.shape[frame.plane_axis]):
            self._planes = None
        self.exact = self.exact or is_truly_there
        corners = self._map(np.array(list(product(*((-0.5, n - 0.5) for n in shape)))))
        self._low, self._high = corners.min(axis=0), corners.max(axis=0)
        self.overlaps = all(
            high > -0.5 + 1e-3 and low < n - 0.5 - 1e-3
            for low, high, n in zip(self._low, self._high, frame.shape, strict=True)
        )

    def _map(self, points: np.ndarray) -> np.ndarray:
        """Canonical CT indices of file indices, both ``[N, 3]``, slowest axis first."""
        return points @ self._linear.T + self._offset

    def _meets_planes(self) -> bool:
        """Whether each plane of the uneven CT that lies in the file's volume meets voxel centers of the file."""
        to_file, axis = np.linalg.inv(self._linear), self.frame.plane_axis
        steps = np.delete(to_file, axis, axis=1)
        if np.abs(steps - np.rint(steps)).max() > GRID_TOLERANCE or (np.abs(np.rint(steps)).sum(axis=0) != 1).any():
            return False
        first = np.zeros((len(self._planes), 3))
        first[:, axis] = self._planes
        last = np.where(np.arange(3) == axis, first, np.array(self.frame.shape) - 1)
        index = np.stack([(c - self._offset) @ to_file.T for c in (first, last)])
        along = int(np.argmax(np.abs(to_file[:, axis])))
        there = (index[0, :, along] > -0.5) & (index[0, :, along] < self.shape[along] - 0.5)
        return bool(there.any() and np.abs(index - np.rint(index))[:, there].max() <= GRID_TOLERANCE)

    def _find_exact(self) -> None:
        linear = self._linear.copy()
        for axis in (a for a in range(3) if self.shape[a] == 1):
            # The size of a single slice's voxel across the slice says nothing about where its voxels lie.
            across = np.linalg.norm(linear[:, axis])
            linear[:, axis] /= across if across > 0 else 1.0
        rounded = np.rint(linear)
        corners = np.array(list(product(*((0, n - 1) for n in self.shape))), dtype=float)
        shift = np.rint(self._offset)
        error = np.abs(corners @ linear.T + self._offset - (corners @ rounded.T + shift)).max()
        permutes = (np.abs(rounded).sum(axis=0) == 1).all() and (np.abs(rounded).sum(axis=1) == 1).all()
        self.exact = bool(permutes and error <= GRID_TOLERANCE)
        if self.exact:
            self._linear, self._offset = rounded, shift
            self._axes = tuple(int(np.flatnonzero(rounded[a])[0]) for a in range(3))
            self._reversed = tuple(bool(rounded[a, self._axes[a]] < 0) for a in range(3))

    def place(self, labels: np.ndarray, values, boxes: dict[int, Box] | None = None) -> dict[int, PlacedMask]:
        """Masks of the label values that occur in ``labels`` (file order ``[K, J, I]``, unsigned), on the CT's grid.

        Where the grids agree, the masks are views of ``labels``; else each is resampled inside its own box.

        Args:
            labels: the label map.
            values: those wanted.
            boxes: the boxes in ``labels`` of all values that occur, where they are known already.
        """
        boxes = boxes_of_labels(labels, values) if boxes is None else {v: boxes[v] for v in values if v in boxes}
        return (
            self._place_exact(labels, boxes) if self.exact and self._planes is None else self._resample(labels, boxes)
        )

    def _place_exact(self, labels: np.ndarray, boxes: dict[int, Box]) -> dict[int, PlacedMask]:
        view = np.transpose(labels, self._axes)
        view = view[tuple(slice(None, None, -1 if r else 1) for r in self._reversed)]
        corner = [
            int(self._offset[a]) - (view.shape[a] - 1 if self._reversed[a] else 0) for a in range(3)
        ]  # where the view's first voxel lies in the CT
        placed = {}
        for value, file_box in boxes.items():
            box = self._turned(file_box)
            inside = tuple(
                slice(max(s.start, -c), min(s.stop, n - c))
                for s, c, n in zip(box, corner, self.frame.shape, strict=True)
            )
            lost = 0.0
            if inside != box:
                before = np.count_nonzero(view[box] == value)
                if any(s.start >= s.stop for s in inside):
                    placed[value] = PlacedMask(lost=1.0)
                    continue
                kept = view[inside] == value
                lost = 1.0 - np.count_nonzero(kept) / before
                tight = boxes_of_labels(kept.view(np.uint8), [1])
                if not tight:
                    placed[value] = PlacedMask(lost=1.0)
                    continue
                pairs = zip(inside, tight[1], strict=True)
                inside = tuple(slice(s.start + t.start, s.start + t.stop) for s, t in pairs)
            on_ct = tuple(slice(s.start + c, s.stop + c) for s, c in zip(inside, corner, strict=True))
            placed[value] = PlacedMask(lost, on_ct, view[inside], value)
        return placed

    def _turned(self, box: Box) -> Box:
        """A box of file indices, as the canonical view of the file's array has it."""
        turned = []
        for axis, is_reversed in zip(self._axes, self._reversed, strict=True):
            s, n = box[axis], self.shape[axis]
            turned.append(slice(n - s.stop, n - s.start) if is_reversed else s)
        return tuple(turned)

    def _resample(self, labels: np.ndarray, boxes: dict[int, Box]) -> dict[int, PlacedMask]:
        to_file = np.linalg.inv(self._linear)
        placed = {}
        for value, box in boxes.items():
            mask = np.pad((labels[box] == value).view(np.uint8), 1)  # so that half a voxel outside is still inside
            start = np.array([s.start - 1 for s in box])
            corners = self._map(np.array(list(product(*((s.start - 0.5, s.stop - 0.5) for s in box)))))
            low, high = corners.min(axis=0), corners.max(axis=0)
            first = np.maximum(np.floor(low).astype(int), 0)
            last = np.minimum(np.ceil(high).astype(int) + 1, self.frame.shape)
            if self._planes is not None:
                axis = self.frame.plane_axis
                first[axis], last[axis] = np.searchsorted(self._planes, (low[axis], high[axis]))
            lost = 0.0
            if self._planes is not None or (low < -0.5).any() or (high > np.array(self.frame.shape) - 0.5).any():
                lost = self._share_outside(mask, start)
            if (first >= last).any():
                placed[value] = PlacedMask(lost=1.0)
                continue
            moved = self._looked_up(mask, to_file, start, first, last)
            segment = segment_from_mask(moved, tuple(int(f) for f in first), id="", name="")
            placed[value] = PlacedMask(float(lost), segment.box, segment.labels)
        return placed

    def _looked_up(self, mask, to_file, start, first, last) -> np.ndarray:
        """``mask``, which begins at the file's ``start``, at the voxels of the CT from ``first`` to before ``last``."""
        shape = last - first
        if self._planes is None:
            return _nearest(mask, to_file, to_file @ (first - self._offset) - start, tuple(shape.tolist()))
        axis = self.frame.plane_axis
        one, planes = np.where(np.arange(3) == axis, 1, shape), []
        for place in self._planes[first[axis] : last[axis]]:
            corner = np.where(np.arange(3) == axis, place, first)
            planes.append(_nearest(mask, to_file, to_file @ (corner - self._offset) - start, tuple(one.tolist())))
        return np.concatenate(planes, axis=axis)

    def _share_outside(self, mask: np.ndarray, start: np.ndarray) -> float:
        """Share of the voxels of ``mask`` (beginning at the file's ``start``) outside the CT or between its planes."""
        inside = total = 0
        for number, plane in enumerate(mask):  # plane by plane: the points of a whole body would fill gigabytes
            points = np.argwhere(plane)
            where = self._map(np.insert(points, 0, number, axis=1) + start)
            if self._planes is not None:
                along = where[:, self.frame.plane_axis]
                above = np.searchsorted(self._planes, along).clip(1, len(self._planes) - 1)
                away = np.minimum(np.abs(along - self._planes[above - 1]), np.abs(along - self._planes[above]))
                along[away > 0.5 * np.median(np.diff(self._planes)) + GRID_TOLERANCE] = -1
            where = np.rint(where)
            inside += int(((where >= 0) & (where < self.frame.shape)).all(axis=1).sum())
            total += len(points)
        return 1.0 - inside / total


def _nearest(mask: np.ndarray, matrix: np.ndarray, origin: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """``mask`` at ``matrix @ index + origin`` for the indices of an array of ``shape``; 0 outside."""
    used = np.abs(matrix) * np.array(shape) > 1e-6
    if (used.sum(axis=0) == 1).all() and (used.sum(axis=1) == 1).all():  # other spacing, same directions: look up
        axes = [int(np.flatnonzero(used[:, a])[0]) for a in range(3)]
        wanted = [np.rint(matrix[axes[a], a] * np.arange(shape[a]) + origin[axes[a]]).astype(int) for a in range(3)]
        wanted = [np.clip(w, 0, mask.shape[axes[a]] - 1) for a, w in enumerate(wanted)]  # the border of mask is 0
        return np.transpose(mask, axes)[np.ix_(*wanted)]
    from scipy import ndimage  # half of the time in which Slicer's panel opens

    return ndimage.affine_transform(mask, matrix, offset=origin, output_shape=shape, order=0, mode="constant")
