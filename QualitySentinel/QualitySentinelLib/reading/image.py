"""An image file as an array and an affine; files and folders found, also through links, as clusters often have them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import InputError, readable

IMAGE_SUFFIXES = (".nii", ".nii.gz", ".mgz", ".mgh", ".nrrd", ".nhdr", ".mha", ".mhd")
"""What ``read_image`` is meant for, besides DICOM; other formats that SimpleITK knows are tried too."""


@dataclass
class Image:
    """A volume as its file holds it."""

    # ``[K, J, I]`` in file order (slowest axis first), or ``[K, J, I, layer]`` when the file holds layers
    voxels: np.ndarray
    ijk_to_ras: np.ndarray  # 4x4, ``(i, j, k, 1)`` of the file to RAS mm
    source: str  # the file, for messages
    # true place of each plane along K, ascending, in steps of the affine, where they are uneven (DICOM)
    planes: np.ndarray | None = None
    metadata: dict[str, str] = field(default_factory=dict)  # text fields of the header (NRRD key/value pairs)
    # names of label values, where the header has a label table (NIfTI of TotalSegmentator)
    label_names: dict[int, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)  # what was odd, one line each

    @property
    def layers(self) -> list[np.ndarray]:
        """The layers as views ``[K, J, I]``: one for an ordinary image."""
        return [self.voxels] if self.voxels.ndim == 3 else [self.voxels[..., c] for c in range(self.voxels.shape[3])]


def is_image_file(path: Path) -> bool:
    """Whether the file's name promises a volume (hidden files, as macOS leaves them, do not)."""
    name = path.name.lower()
    return not name.startswith(".") and name.endswith(IMAGE_SUFFIXES)


def image_stem(path: str | Path) -> str:
    """File name without its image suffix: ``liver`` of ``liver.nii.gz``, ``case 1`` of ``case 1.seg.nrrd``."""
    name = Path(path).name
    for suffix in (".seg.nrrd", ".seg.nhdr", *sorted(IMAGE_SUFFIXES, key=len, reverse=True), ".dcm"):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def files_below(root: Path) -> Iterator[Path]:
    """Every file below a folder; a folder that several links lead to is entered once, links to nowhere are left out."""
    seen = set()
    for folder, inner, names in os.walk(root, followlinks=True):
        place = os.path.realpath(folder)
        if place in seen:
            inner.clear()
            continue
        seen.add(place)
        inner.sort()
        paths = (Path(folder, name) for name in sorted(names))
        yield from (path for path in paths if os.path.isfile(path))  # no error where it may not be looked at


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, sorted, without hidden ones and links to a folder that they lie in.

    Raises:
        OSError: it cannot be read.
    """
    here = Path(os.path.realpath(folder))
    inner = (p for p in folder.iterdir() if not p.name.startswith(".") and os.path.isdir(p))
    return sorted(p for p in inner if not (p.is_symlink() and here.is_relative_to(os.path.realpath(p))))


def images_in(folder: Path) -> list[Path]:
    """The image files of a folder in alphabetical order; none when there is no such folder."""
    return sorted(p for p in folder.iterdir() if is_image_file(p) and os.path.isfile(p)) if folder.is_dir() else []


def existing(path: str | Path, what: str) -> Path:
    """The path; an ``InputError`` if nothing is there, or it is an empty file."""
    path = Path(path)
    with readable(path):
        if path.is_file() and path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty; copy or export the {what} again")
        if path.is_dir() or path.is_file():
            return path
    raise InputError(f"{path}: no such file or folder; check the path of the {what}")


def refuse_dimensions(path: Path, size: tuple[int, ...], what: str) -> None:
    """Raise the message for an image whose number of axes is not 3 (``size`` is in file order, fastest first)."""
    text = " x ".join(str(n) for n in size)
    if len(size) < 3:
        raise InputError(f"{path}: is a 2D image ({text}); give the {what} as a 3D volume")
    raise InputError(f"{path}: is a {len(size)}D image ({text}); give one 3D volume, e.g. a single time frame")


FARTHEST_MM = 1e6
"""No scanner is a kilometer long; numbers beyond that are damage, and overflow in what is computed with them."""

_MILLIMETERS = {"m": 1000.0, "meter": 1000.0, "cm": 10.0, "um": 1e-3, "µm": 1e-3, "micron": 1e-3}
_PLAUSIBLE_MM = (0.05, 50.0)
_WAYS = (("right", "left"), ("front", "back"), ("head", "feet"))


def settle_geometry(
    affine: np.ndarray, source: str, unit: str, says_how: bool, says_size: bool
) -> tuple[np.ndarray, list[str]]:
    """The affine of a file in millimeters, and a warning for what its header does not say.

    Args:
        affine: 4x4, ``(i, j, k, 1)`` to RAS, in ``unit``: as the header names it; millimeters where it names none.
        says_how: the header says how the patient lies.
        says_size: it says how large voxels are.

    Raises:
        InputError: the affine gives no valid position.
    """
    invalid = InputError(f"{source}: its header gives no valid position in space; export it again with geometry")
    if not (np.abs(affine[:3]) < FARTHEST_MM).all():
        raise invalid
    warnings, sizes = [], np.linalg.norm(affine[:3, :3], axis=0)
    factor = _MILLIMETERS.get(unit.strip().lower(), 1.0)
    if factor != 1.0:
        fits = [bool(((_PLAUSIBLE_MM[0] <= s) & (s <= _PLAUSIBLE_MM[1])).all()) for s in (sizes * factor, sizes)]
        if fits[1] and not fits[0]:
            warnings.append(
                f"{source}: its header says '{unit}', but its voxels are those of a CT in mm; mm was assumed"
            )
        else:
            affine = np.diag([factor, factor, factor, 1.0]) @ affine
            sizes = sizes * factor
    if abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise invalid
    if says_how and says_size:
        return affine, warnings
    axes = np.abs(affine[:3, :3]).argmax(axis=0)
    ways = [_WAYS[a][int(affine[a, n] < 0)] for n, a in enumerate(axes)]
    missing = ["the patient's orientation"] * (not says_how) + ["the voxel size"] * (not says_size)
    warnings.append(
        f"{source}: its header does not give {' or '.join(missing)}; axes toward the patient's {ways[0]}, {ways[1]} "
        f"and {ways[2]} and voxels of {' x '.join(f'{s:.3g}' for s in sizes)} mm were assumed. If that is wrong, so "
        f"are the scores{'' if says_how else ' (left and right may be swapped)'}: export it with its geometry"
    )
    return affine, warnings
