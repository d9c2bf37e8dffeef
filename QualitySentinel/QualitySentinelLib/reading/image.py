"""An image file as an array and an affine, and what all readers of image files share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import InputError

IMAGE_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
"""What ``read_image`` is meant for, besides DICOM; other formats that SimpleITK knows are tried too."""


@dataclass
class Image:
    """A volume as its file holds it.

    Attributes:
        voxels: ``[K, J, I]`` in file order (slowest axis first), or ``[K, J, I, layer]`` when the file holds layers.
        ijk_to_ras: 4x4, ``(i, j, k, 1)`` of the file to RAS mm.
        source: the file, for messages.
        metadata: text fields of the header (NRRD key/value pairs).
        label_names: names of label values, where the header has a label table (NIfTI of TotalSegmentator).
        warnings: what was odd, one line each.
    """

    voxels: np.ndarray
    ijk_to_ras: np.ndarray
    source: str
    metadata: dict[str, str] = field(default_factory=dict)
    label_names: dict[int, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

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
    for suffix in (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".seg.nhdr", ".nhdr", ".mha", ".mhd", ".dcm"):
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def existing(path: str | Path, what: str) -> Path:
    """The path, if something is there.

    Raises:
        InputError: nothing is there, or it is an empty file.
    """
    path = Path(path)
    try:
        if path.is_dir():
            return path
        if path.is_file():
            if path.stat().st_size == 0:
                raise InputError(f"{path}: the file is empty; copy or export the {what} again")
            return path
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check its rights") from error
    raise InputError(f"{path}: no such file or folder; check the path of the {what}")


def refuse_dimensions(path: Path, size: tuple[int, ...], what: str) -> None:
    """Raise the message for an image whose number of axes is not 3 (``size`` is in file order, fastest first)."""
    text = " x ".join(str(n) for n in size)
    if len(size) < 3:
        raise InputError(f"{path}: is a 2D image ({text}); give the {what} as a 3D volume")
    raise InputError(f"{path}: is a {len(size)}D image ({text}); give one 3D volume, e.g. a single time frame")
