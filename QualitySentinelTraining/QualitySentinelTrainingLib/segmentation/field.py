"""The network's field of view: square, of fixed pixel size, centred on the body; and the way there and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from QualitySentinelLib.slices.resize import resize
from QualitySentinelLib.volume import CtVolume

BODY_HU = -300
"""Above this is body: between lung and fat."""

LEAST_BODY = 0.005
"""A slice with a smaller share of body shows nothing to learn from."""

_AIR_HU = -1024.0


@dataclass(frozen=True)
class Field:
    """Where the network looks in a CT."""

    start: tuple[float, ...]  # row and column of the field's edge, in voxel edges of the CT; may lie outside it
    length: tuple[float, ...]  # rows and columns of the CT that the field spans
    size: int  # pixels on a side, S
    slices: np.ndarray  # canonical k of the slices that show a body, ascending

    @classmethod
    def on_body(cls, ct: CtVolume, size: int, pixel_mm: float) -> Field:
        """The field of ``size`` pixels of ``pixel_mm`` around the centre of mass of what is denser than lung."""
        body = ct.hu > BODY_HU
        slices = np.flatnonzero(body.mean(axis=(1, 2)) >= LEAST_BODY)
        plane = body.sum(axis=0, dtype=np.float64)
        total = plane.sum()
        start, length = [], []
        for axis, (count, spacing) in enumerate(zip(ct.frame.shape[1:], ct.frame.spacing[1:], strict=True)):
            profile = plane.sum(axis=1 - axis)
            centre = float((profile * (np.arange(count) + 0.5)).sum() / total) if total else count / 2
            length.append(size * pixel_mm / spacing)
            start.append(centre - length[-1] / 2)
        return cls(tuple(start), tuple(length), size, slices)

    def training_slices(self, ct: CtVolume, slice_mm: float) -> np.ndarray:
        """Canonical k of the slices with a body that lie about ``slice_mm`` apart."""
        return self.slices[:: max(1, round(slice_mm / ct.frame.spacing[0]))]

    def look(self, ct: CtVolume, slices: np.ndarray) -> np.ndarray:
        """The CT in the field, int16 HU ``[n, S, S]``; outside of the CT is air."""
        height, width = ct.frame.shape[1:]
        before = [max(0, int(np.ceil(-s))) for s in self.start]
        after = [
            max(0, int(np.ceil(s + n)) - count)
            for s, n, count in zip(self.start, self.length, (height, width), strict=True)
        ]
        shape = (height + before[0] + after[0], width + before[1] + after[1])
        box = np.array([[s + b for s, b in zip(self.start, before, strict=True)]])
        seen = np.empty((len(slices), self.size, self.size), np.int16)
        for n, k in enumerate(slices):
            plane = np.full(shape, _AIR_HU, np.float32)
            plane[before[0] : before[0] + height, before[1] : before[1] + width] = ct.hu[k]
            planes = torch.from_numpy(plane.T)[None, :, None, :]  # columns, channel, rows
            seen[n] = resize(planes, box, np.array([self.length]), self.size)[0, 0].round().short().numpy()
        return seen

    def look_at_labels(self, labels: np.ndarray, slices: np.ndarray) -> np.ndarray:
        """A label map in the field by nearest neighbour, ``[n, S, S]``, dtype kept; outside is 0."""
        rows, columns = (self._nearest(axis, labels.shape[axis + 1]) for axis in range(2))
        seen = labels[np.ix_(slices, np.maximum(rows, 0), np.maximum(columns, 0))]
        seen[:, rows < 0] = 0
        seen[:, :, columns < 0] = 0
        return seen

    def _nearest(self, axis: int, count: int) -> np.ndarray:
        """Index in the CT of each pixel of the field; -1 outside."""
        where = np.floor(self.start[axis] + (np.arange(self.size) + 0.5) * self.length[axis] / self.size).astype(int)
        return np.where((where >= 0) & (where < count), where, -1)

    def put_back(self, seen: torch.Tensor, shape: tuple[int, ...]) -> tuple[torch.Tensor, slice, slice]:
        """Probabilities in the field, float32 ``[n, channels, S, S]``, on the CT's pixels, interpolated linearly.

        Returns:
            ``[n, channels, rows, columns]`` of the part of the CT's slices in the field; its rows; its columns.
        """
        (rows, y), (columns, x) = (self._positions(axis, shape[axis]) for axis in range(2))
        grid_y, grid_x = torch.meshgrid(torch.from_numpy(y), torch.from_numpy(x), indexing="ij")
        grid = torch.stack([grid_x, grid_y], dim=-1)[None].to(seen)
        if not grid.numel():
            return seen.new_zeros(*seen.shape[:2], len(y), len(x)), rows, columns
        grid = grid.expand(len(seen), -1, -1, -1)
        return functional.grid_sample(seen, grid, padding_mode="border", align_corners=False), rows, columns

    def _positions(self, axis: int, count: int) -> tuple[slice, np.ndarray]:
        """The CT's indices inside the field, and where they lie in it: -1 and 1 are its edges (``grid_sample``)."""
        where = ((np.arange(count) + 0.5 - self.start[axis]) / self.length[axis]) * 2 - 1
        inside = np.flatnonzero(np.abs(where) < 1)
        if not len(inside):
            return slice(0, 0), np.zeros(0)
        return slice(int(inside[0]), int(inside[-1]) + 1), where[inside]
