"""Gathers the segments of a case as the readers find them, on the CT's grid, named, matched and with unique ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..anatomy import match_structure
from ..errors import MismatchError, UsageError, one_line
from .frame import CtVolume
from .placement import PlacedMask, Placement
from .segmentation import Box, Segment, Segmentation, boxes_of_labels, is_called

SAME_PLANE = 0.05
"""In steps between planes: so near, a plane of a segmentation is one of the CT's."""
IGNORED = "ignore"
"""Name of a label whose voxels are nobody's: nnU-Net's mark for what was not annotated."""


@dataclass(frozen=True)
class SegmentHeader:
    """What a file says of one segment, before its mask is placed."""

    id: str
    name: str
    color: tuple[float, ...] | None = None
    tags: dict[str, str] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    """Under what the ``names`` argument may speak of it, first match first; id and name are tried anyway."""
    rename: bool = False
    """The name is only a stand-in (``label 5``): a name from the ``names`` argument replaces it."""


class SegmentCollector:
    """Collects the segments of one segmentation on the CT's grid.

    Args:
        names: key to structure name, from ``read_names``.
        wanted: ids, names or structures of the segments to read, or ``None`` for all.
        source: the segmentation's file or folder, for messages.
    """

    def __init__(self, ct: CtVolume, names: dict[str, str], wanted: Iterable[str] | None, source: str) -> None:
        self.ct, self._names, self._source = ct, names, source
        self._wanted = None if wanted is None else [w for w in wanted if w.strip()]
        self._met: set[str] = set()
        self._offered: list[str] = []
        self._ids: set[str] = set()
        self._used_names: set[str] = set()
        self._placement: tuple[tuple, Placement] | None = None
        self._segments: list[Segment] = []
        self._filled = self._outside = 0
        self._resampled: list[str] = []
        self._elsewhere: str | None = None
        self.warnings: list[str] = []

    @property
    def grid(self) -> tuple[bytes, tuple[int, ...]]:
        """What is equal only for one and the same grid."""
        return self.ct.frame.ijk_to_ras.tobytes(), self.ct.frame.shape

    def on_planes(self, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """On which planes of the CT's file planes in space lie, or ``None`` where they are not all planes of it.

        Args:
            corners: RAS mm ``[N, 3, 3]`` of three corners of each.

        Returns:
            The number of each one's plane, int ``[N]``; the RAS shift ``[N, 3]`` from where each lies to where it would
            lie were the CT's planes even; and the RAS step of the even planes.
        """
        frame = self.ct.frame
        step, count = frame.file_ijk_to_ras[:3, 2], frame.shape[frame.plane_axis]
        depths = (corners - frame.file_ijk_to_ras[:3, 3]) @ np.linalg.inv(frame.file_ijk_to_ras[:3, :3]).T[:, 2]
        places = frame.file_planes
        numbers = np.abs(depths[:, :1] - places).argmin(axis=1)
        if not len(corners) or np.abs(depths - places[numbers, None]).max() > SAME_PLANE or count < 2:
            return None
        return numbers, (numbers - places[numbers])[:, None] * step, step

    def has_name(self, key: str) -> bool:
        """Whether the ``names`` argument speaks of ``key``."""
        return key in self._names

    def wants(self, header: SegmentHeader) -> bool:
        """Whether the user asked for this segment; readers ask before they read a mask."""
        if self._names.get(key := self._key(header)) == IGNORED:
            self._used_names.add(key)
            return False
        self._offered.append(header.name)
        if self._wanted is None:
            return True
        name, structure = self._name_and_structure(header)
        hits = {w for w in self._wanted if is_called(w, header.id, header.name, name, structure, *header.keys)}
        self._met |= hits
        return bool(hits)

    def add(
        self,
        headers: Sequence[tuple[int, SegmentHeader]],
        labels: np.ndarray,
        ijk_to_ras: np.ndarray,
        source: str,
        boxes: dict[int, Box] | None = None,
        by_plane: bool = False,
    ) -> None:
        """Add the segments of one label array; values that it does not have make empty segments.

        Args:
            headers: label values and what is known of them.
            labels: ``[K, J, I]`` in file order, unsigned.
            ijk_to_ras: 4x4 of the file.
            boxes: the boxes in ``labels`` of all values that occur, where they are known already.
            by_plane: the planes of ``labels`` are those of the CT's file, as :meth:`on_planes` counts them.
        """
        values = [value for value, _ in headers]
        placement = self._place_for(ijk_to_ras, labels.shape, by_plane)
        if not placement.overlaps:
            self._elsewhere = self._elsewhere or self._describe_elsewhere(source, ijk_to_ras, labels.shape)
            there = boxes_of_labels(labels, values) if boxes is None else boxes
            masks = dict.fromkeys(there, PlacedMask(lost=1.0))
        else:
            masks = placement.place(labels, values, boxes)
        if masks and placement.overlaps and not placement.exact and source not in self._resampled:
            self._resampled.append(source)
        for value, header in headers:
            self._append(header, masks.get(value), source)

    def add_empty(self, header: SegmentHeader) -> None:
        """Add a segment that the file names but gives no voxel."""
        self._append(header, None, self._source)

    def release(self) -> None:
        """Let go of the last file's array: keep of the last segment only a copy of its box."""
        segment = self._segments[-1]
        segment.labels, segment.value = segment.voxels().view(np.uint8), 1

    def reorder(self, positions: Sequence[int]) -> None:
        """Sort the segments added last by their position in the file (layers are read one after the other)."""
        added = self._segments[len(self._segments) - len(positions) :]
        pairs = sorted(zip(positions, added, strict=True), key=lambda pair: pair[0])
        self._segments[len(self._segments) - len(positions) :] = [segment for _, segment in pairs]

    def finish(self) -> Segmentation:
        """The segmentation.

        Raises:
            MismatchError: none of the masks lies inside the CT.
            UsageError: a segment was asked for that is not there.
        """
        for wanted in self._wanted or ():
            if wanted not in self._met:
                there = [one_line(n, 60) for n in self._offered[:12]] + ["..."] * (len(self._offered) > 12)
                raise UsageError(
                    f"{self._source}: has no segment '{one_line(wanted, 60)}'; it has {', '.join(there) or 'none'}"
                )
        if self._outside and not self._filled:
            outside = f"{self._source}: all its segments lie outside the CT {self.ct.source}"
            raise MismatchError(self._elsewhere or f"{outside}; give the segmentation of this CT")
        if self._elsewhere:
            self.warnings.append(self._elsewhere)
        if self._resampled:
            more = f" and {len(self._resampled) - 1} more files" if len(self._resampled) > 1 else ""
            self.warnings.append(
                f"{self._resampled[0]}{more}: on another grid than the CT; resampled to it by nearest neighbor"
            )
        unused = [key for key in self._names if key not in self._used_names]
        if self._names and len(unused) == len(self._names) and self._segments:
            self.warnings.append(f"{self._source}: none of the names given (--names) fits a label or file in it")
        if not any(not s.is_empty for s in self._segments):
            self.warnings.append(f"{self._source}: holds no labeled voxel")
        return Segmentation(self._segments, self.ct.frame, self._source, self.warnings)

    def _place_for(self, ijk_to_ras: np.ndarray, shape: tuple[int, ...], by_plane: bool) -> Placement:
        key = (ijk_to_ras.tobytes(), tuple(shape), by_plane)
        if self._placement is None or self._placement[0] != key:
            self._placement = (key, Placement(ijk_to_ras, shape, self.ct.frame, by_plane))
        return self._placement[1]

    def _append(self, header: SegmentHeader, mask: PlacedMask | None, source: str) -> None:
        name, structure = self._name_and_structure(header)
        shown = one_line(name, 60)
        if mask is None:
            mask = PlacedMask()
        elif not mask.labels.size and mask.lost == 0.0:
            self._filled += 1
            self.warnings.append(f"{source}: segment '{shown}' is smaller than the CT's voxels and was lost")
        elif not mask.labels.size:
            self._outside += 1
            if self._elsewhere is None:
                self.warnings.append(f"{source}: segment '{shown}' lies outside the CT and was left out")
        else:
            self._filled += 1
            if mask.lost > 0:
                between = "" if self.ct.frame.planes is None else " or between its slices"
                share = f"{100 * mask.lost:.1f} %" if mask.lost >= 0.0005 else "less than 0.1 %"
                self.warnings.append(
                    f"{source}: {share} of segment '{shown}' lies outside the CT{between} and was left out"
                )
        unique, tags = self._unique(header.id), dict(header.tags)
        self._segments.append(Segment(unique, name, mask.box, mask.labels, mask.value, structure, header.color, tags))

    def _name_and_structure(self, header: SegmentHeader) -> tuple[str, str | None]:
        """The name to show and the structure: the user's word first, then the file's."""
        given = self._key(header)
        if given is not None:
            self._used_names.add(given)
        called, tags = (header.name, header.tags) if given is None else (self._names[given], None)
        structure = match_structure(called, tags)
        return called if header.rename else header.name, None if structure is None else structure.name

    def _key(self, header: SegmentHeader) -> str | None:
        """Under what the ``names`` argument speaks of a segment."""
        return next((k for k in (*header.keys, header.id, header.name) if k in self._names), None)

    def _unique(self, wanted: str) -> str:
        """``liver``, then ``liver_2``, ``liver_3``."""
        unique, count = wanted or "segment", 1
        while unique in self._ids:
            count += 1
            unique = f"{wanted or 'segment'}_{count}"
        self._ids.add(unique)
        return unique

    def _describe_elsewhere(self, source: str, ijk_to_ras: np.ndarray, shape: tuple[int, ...]) -> str:
        center = (ijk_to_ras @ [*((n - 1) / 2 for n in shape[::-1]), 1.0])[:3]
        ct_center = (self.ct.frame.ijk_to_ras @ [*((n - 1) / 2 for n in self.ct.frame.shape[::-1]), 1.0])[:3]
        distance = np.linalg.norm(center - ct_center)
        if sorted(shape) == sorted(self.ct.frame.shape):
            remedy = "their matrix sizes agree, so one header lost its geometry: copy it from the other"
        else:
            remedy = "give the segmentation of this CT"
        return f"{source}: lies elsewhere than the CT {self.ct.source} (centers {distance:.0f} mm apart); {remedy}"
