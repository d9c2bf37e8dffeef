"""Reading a segmentation, in any of its forms, onto the CT's grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from ..errors import InputError
from ..volume import CtVolume, Segmentation
from ..volume.collector import SegmentCollector
from .image import existing
from .label_map import read_label_file
from .mask_folder import mask_files, read_mask_folder
from .names import read_names


def read_segmentation(
    path: str | Path,
    ct: CtVolume,
    names: str | Path | Mapping | None = None,
    segments: Iterable[str] | None = None,
) -> Segmentation:
    """Read a segmentation and put its masks on the CT's grid, in the canonical frame.

    Args:
        path: a label map or mask (NIfTI, NRRD, MHA), a ``.seg.nrrd``, a DICOM SEG (file or folder that holds one), or
            a folder of one binary mask per structure.
        ct: the CT it belongs to.
        names: what label values, file stems or segment ids mean; see ``names.read_names``.
        segments: ids, names or structures of the segments to read; all by default.

    Returns:
        The segments in the file's order with unique ids. Each is matched to an anatomical structure where its name,
        its tags or ``names`` allow it. Grids that agree up to axis order and flips are not interpolated; others are
        resampled by nearest neighbour, with a warning. What lies outside the CT is left out, with a warning.

    Raises:
        InputError: not a readable segmentation.
        MismatchError: no part of it lies inside the CT.
        UsageError: ``names`` cannot be understood, or a segment of ``segments`` does not exist.
    """
    path = existing(path, "segmentation")
    collector = SegmentCollector(ct, read_names(names), segments, str(path))
    if path.is_dir():
        _read_folder(path, ct, collector)
    elif _is_dicom(path):
        from .dicom_seg import read_dicom_seg

        read_dicom_seg(path, collector)
    else:
        read_label_file(path, collector)
    return collector.finish()


def _read_folder(folder: Path, ct: CtVolume, collector: SegmentCollector) -> None:
    try:
        files = mask_files(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror or error}); check its rights") from error
    if files:
        read_mask_folder(files, folder, ct.source, collector)
        return
    from .dicom_seg import find_dicom_segs, read_dicom_seg

    objects = find_dicom_segs(folder)
    if len(objects) == 1:
        read_dicom_seg(objects[0], collector)
    elif objects:
        some = ", ".join(p.name for p in objects[:3])
        raise InputError(f"{folder}: holds {len(objects)} DICOM SEG objects ({some} ...); give one of them as the file")
    else:
        raise InputError(f"{folder}: holds neither masks (NIfTI, NRRD, MHA) nor a DICOM SEG; check the path")


def _is_dicom(path: Path) -> bool:
    with open(path, "rb") as stream:
        return stream.read(132)[128:] == b"DICM"
