"""The canonical axial frame: from a file's voxel order to axial slices, and back; and a CT in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import numpy as np

_CANONICAL_RAS = np.array([[0.0, 0.0, 1.0], [0.0, -1.0, 0.0], [-1.0, 0.0, 0.0]])
"""Row a: the RAS direction in which canonical array axis a grows. k to S, j to P (-A), i to L (-R)."""

OBLIQUE_DEGREES = 5.0
"""An axis this far off its patient axis makes the acquisition oblique (worth a remark, not a refusal)."""


@dataclass(frozen=True)
class AxialFrame:
    """How a file's array ``[K, J, I]`` becomes the canonical ``[k, j, i]``, by axis permutation and flips only.

    No voxel is interpolated: an oblique acquisition is taken along the file axes nearest to the patient's.

    Example:
        >>> frame = AxialFrame.from_affine(np.diag([-1.0, -1.0, 3.0, 1.0]), (10, 64, 64))
        >>> frame.flipped, frame.spacing
        ((False, False, False), (3.0, 1.0, 1.0))
    """

    shape: tuple[int, ...]  # canonical shape ``(k, j, i)``
    permutation: tuple[int, ...]  # canonical axis a is file array axis ``permutation[a]``
    flipped: tuple[bool, ...]  # canonical axis a runs against the file axis
    spacing: tuple[float, ...]  # voxel size in mm along canonical ``(k, j, i)``
    ijk_to_ras: np.ndarray  # 4x4 affine of the *canonical* array, ``(i, j, k, 1)`` to RAS mm
    file_ijk_to_ras: np.ndarray  # 4x4 affine of the file's array
    obliquity: float  # largest angle in degrees between a file axis and its patient axis
    # where the file's planes are unevenly spaced: the true place of each along canonical axis :attr:`plane_axis`,
    # ascending, in steps of ``ijk_to_ras``, which runs evenly from the first to the last
    planes: np.ndarray | None = None

    @classmethod
    def from_affine(
        cls, ijk_to_ras: np.ndarray, file_shape: tuple[int, ...], planes: np.ndarray | None = None
    ) -> AxialFrame:
        """Frame of an array of ``file_shape`` ``[K, J, I]`` whose ``(i, j, k, 1)`` maps to RAS by ``ijk_to_ras``.

        ``planes``: true place of each plane along K, ascending, in steps of the affine, where they are uneven.

        Raises:
            ValueError: the affine is not finite or not invertible.
        """
        ijk_to_ras = np.asarray(ijk_to_ras, dtype=np.float64)
        columns = ijk_to_ras[:3, :3]
        if not np.isfinite(ijk_to_ras).all() or abs(np.linalg.det(columns)) < 1e-9:
            raise ValueError("the affine is not finite or not invertible")
        sizes = np.linalg.norm(columns, axis=0)
        directions = (columns / sizes).T[::-1]  # row a: RAS direction of file array axis a (K, J, I)
        alignment = _CANONICAL_RAS @ directions.T  # [canonical axis, file axis]: cosines
        permutation = max(permutations(range(3)), key=lambda p: sum(abs(alignment[a, p[a]]) for a in range(3)))
        cosines = np.array([alignment[a, permutation[a]] for a in range(3)])
        flipped = tuple(bool(c < 0) for c in cosines)
        shape = tuple(int(file_shape[p]) for p in permutation)
        to_file = np.zeros((4, 4))  # canonical (i, j, k, 1) -> file (i, j, k, 1)
        to_file[3, 3] = 1.0
        for axis in range(3):
            file_column, column = 2 - permutation[axis], 2 - axis
            to_file[file_column, column] = -1.0 if flipped[axis] else 1.0
            to_file[file_column, 3] = shape[axis] - 1 if flipped[axis] else 0.0
        canonical = ijk_to_ras @ to_file
        spacing = tuple(float(s) for s in np.linalg.norm(canonical[:3, :3], axis=0)[::-1])
        obliquity = float(np.degrees(np.arccos(np.clip(np.abs(cosines).min(), 0.0, 1.0))))
        if planes is not None and flipped[permutation.index(0)]:
            planes = len(planes) - 1 - planes[::-1]
        return cls(shape, tuple(permutation), flipped, spacing, canonical, ijk_to_ras, obliquity, planes)

    @property
    def plane_axis(self) -> int:
        """The canonical axis along which the file's planes are stacked."""
        return self.permutation.index(0)

    @property
    def file_planes(self) -> np.ndarray:
        """True place of each of the file's planes along its slowest axis, in steps of ``file_ijk_to_ras``."""
        count = self.shape[self.plane_axis]
        places = np.arange(count, dtype=float) if self.planes is None else self.planes
        return count - 1 - places[::-1] if self.flipped[self.plane_axis] else places

    def to_canonical(self, array: np.ndarray) -> np.ndarray:
        """View of a file-order array ``[K, J, I]`` in canonical order ``[k, j, i]``; nothing is copied."""
        turned = np.transpose(array, self.permutation)
        return turned[tuple(slice(None, None, -1) if f else slice(None) for f in self.flipped)]

    def to_file(self, array: np.ndarray) -> np.ndarray:
        """View of a canonical array ``[k, j, i]`` in the file's order: the inverse of :meth:`to_canonical`."""
        turned = array[tuple(slice(None, None, -1) if f else slice(None) for f in self.flipped)]
        return np.transpose(turned, np.argsort(self.permutation))

    def file_box(self, corner: Iterable[int], shape: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shape and first voxel, ``(K, J, I)`` in the file's order, of a canonical box of ``shape`` at ``corner``."""
        boxes = zip(self.shape, self.flipped, corner, shape, strict=True)
        starts = [n - start - size if flipped else start for n, flipped, start, size in boxes]
        order = np.argsort(self.permutation)
        return tuple(int(shape[axis]) for axis in order), tuple(int(starts[axis]) for axis in order)

    @property
    def remarks(self) -> list[str]:
        """What a reader of scores should know of the geometry, without the name of the file."""
        told = f"the acquisition is oblique by {self.obliquity:.0f} degrees; its slices are scored as they are"
        return [f"{told}, along the nearest axes"] if self.obliquity > OBLIQUE_DEGREES else []

    def file_slice(self, k: int) -> int:
        """The file's own 0-based number, along its axial axis, of canonical slice ``k``; and the other way round."""
        return self.shape[0] - 1 - int(k) if self.flipped[0] else int(k)

    def position_mm(self, k: int) -> float:
        """Patient S coordinate (mm, RAS) of the center of canonical slice ``k``."""
        return float(self.slice_center_ras(k)[2])

    def slice_center_ras(self, k: int) -> np.ndarray:
        """RAS mm of the center of canonical slice ``k``, shape (3,)."""
        _, height, width = self.shape
        if self.planes is not None and self.plane_axis == 0:
            k = self.planes[k]
        return (self.ijk_to_ras @ np.array([(width - 1) / 2, (height - 1) / 2, k, 1.0]))[:3]


@dataclass
class CtVolume:
    """A CT."""

    hu: np.ndarray  # Hounsfield units, ``[k, j, i]`` in ``frame``'s order, int16 or float32, finite (usually a view)
    frame: AxialFrame  # geometry
    source: str = ""  # file or node name, for messages and reports
    warnings: list[str] = field(default_factory=list)  # what was found odd and corrected while reading, one line each
    # where the body is, once :func:`QualitySentinelLib.slices.place.body_of` was asked
    body: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.hu.shape != self.frame.shape:
            raise ValueError(f"array {self.hu.shape} does not fit the frame {self.frame.shape}")
