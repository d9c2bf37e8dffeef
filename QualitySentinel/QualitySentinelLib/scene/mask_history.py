"""Needs ``slicer`` and ``vtk``. Edits of masks that can be undone: of each, only the voxels that it changed are kept.

A copy of the label maps, as Slicer's own history keeps it for each edit, takes about as much memory as the CT.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product

import numpy as np

from ..suggestions import Kind
from .errors import change_mask
from .label_layers import label_layers
from .nodes import frame_of

_MOST = 100
"""Edits that can be undone."""


class MaskHistory:
    """Edits a segmentation, and undoes its edits, the last one first. Voxels that were edited elsewhere stay."""

    def __init__(self, segmentation_node, volume_node) -> None:
        self._segmentation_node, self._volume_node = segmentation_node, volume_node
        self._ways_back: deque[dict[str, dict[Kind, np.ndarray]]] = deque(maxlen=_MOST)

    def change(self, segment_id: str, change: Mapping[Kind, np.ndarray]) -> None:
        """Remove voxels from a segment and add others, as :func:`.errors.change_mask` does."""
        voxels = np.concatenate(list(change.values()))
        with self._noting(voxels.min(axis=0), voxels.max(axis=0) + 1, [segment_id]):
            change_mask(self._segmentation_node, self._volume_node, segment_id, change)

    @contextmanager
    def stroke(self, low: Sequence[float], high: Sequence[float]) -> Iterator[None]:
        """Whatever the block changes between two corners of the world, RAS mm, is one edit."""
        frame = frame_of(self._volume_node)
        corners = np.array([[*corner, 1.0] for corner in product(*zip(low, high, strict=True))])
        ijk = (corners @ np.linalg.inv(frame.ijk_to_ras).T)[:, 2::-1]
        start, stop = np.floor(ijk.min(axis=0)) - 1, np.ceil(ijk.max(axis=0)) + 2
        with self._noting(*(np.clip(edge, 0, frame.shape).astype(int) for edge in (start, stop))):
            yield

    @property
    def can_undo(self) -> bool:
        return bool(self._ways_back) and all(node.GetScene() for node in (self._segmentation_node, self._volume_node))

    def undo(self) -> None:
        if not self.can_undo:
            return
        back, segmentation = self._ways_back.pop(), self._segmentation_node.GetSegmentation()
        for kind in Kind:  # first remove: segments that overlap would no longer share a label map
            for segment_id, change in back.items():
                if len(change[kind]) and segmentation.GetSegment(segment_id) is not None:
                    change_mask(self._segmentation_node, self._volume_node, segment_id, {kind: change[kind]})

    @contextmanager
    def _noting(self, start: np.ndarray, stop: np.ndarray, segment_ids: list[str] | None = None) -> Iterator[None]:
        """What the block changes from one canonical ``(k, j, i)`` up to another is one edit."""
        before = self._masks(start, stop, segment_ids)
        yield
        after, nothing = self._masks(start, stop, segment_ids), np.zeros(0, int)
        back = {}
        for segment_id in before.keys() | after.keys():
            was, now = before.get(segment_id, nothing), after.get(segment_id, nothing)
            changed = {Kind.REMOVE: np.setdiff1d(now, was, True), Kind.ADD: np.setdiff1d(was, now, True)}
            if any(map(len, changed.values())):
                back[segment_id] = {
                    kind: np.stack(np.unravel_index(places, stop - start), axis=1).astype(np.int32) + start
                    for kind, places in changed.items()
                }
        if back:
            self._ways_back.append(back)

    def _masks(self, start: np.ndarray, stop: np.ndarray, segment_ids: list[str] | None) -> dict[str, np.ndarray]:
        """The voxels of each segment from ``start`` to ``stop``, numbered there."""
        found: dict[str, np.ndarray] = {}
        for layer in label_layers(self._segmentation_node, self._volume_node, segment_ids):
            low = np.maximum(layer.corner, start)
            high = np.minimum(np.add(layer.corner, layer.labels.shape), stop)
            if (high <= low).any():
                continue
            part = layer.labels[tuple(map(slice, low - layer.corner, high - layer.corner))]
            voxels, values = np.argwhere(part), part[part > 0]
            places = np.ravel_multi_index((voxels + low - start).T, stop - start)
            for value in set(np.unique(values).tolist()) & layer.ids.keys():
                found[layer.ids[value]] = places[values == value]
        return found
