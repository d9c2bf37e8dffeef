"""Reading a segmentation, in any of its forms, onto the CT's grid."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import InputError, readable
from ..volume import CtVolume, Segmentation
from ..volume.collector import SegmentCollector
from .dicom_files import RT_STRUCTURE_SET_STORAGE, SEGMENTATION_STORAGE, dicom_headers, is_dicom
from .image import existing
from .label_map import read_label_file
from .mask_folder import mask_files, read_mask_folder
from .names import read_names


def read_segmentation(
    path: str | Path | Sequence[str | Path],
    ct: CtVolume,
    names: str | Path | Mapping | None = None,
    segments: Iterable[str] | None = None,
) -> Segmentation:
    """Read a segmentation and put its masks on the CT's grid, in the canonical frame.

    Args:
        path: a label map or mask (NIfTI, MGZ, NRRD, MHA; 4D with one mask per structure), a ``.seg.nrrd``, a DICOM SEG
            or RTSTRUCT (file or folder that holds one), or a folder of one binary mask per structure; or several of
            these, of which those that cannot be read are left out with a warning.
        ct: the CT it belongs to.
        names: what label values, file stems or segment ids mean; see ``names.read_names``.
        segments: ids, names or structures of the segments to read; all by default.

    Returns:
        The segments in the file's order with unique ids. Each is matched to an anatomical structure where its name,
        its tags or ``names`` allow it. Grids that agree up to axis order and flips are not interpolated; others are
        resampled by nearest neighbor, with a warning. What lies outside the CT is left out, with a warning.

    Raises:
        InputError: not a readable segmentation.
        MismatchError: no part of it lies inside the CT.
        UsageError: ``names`` cannot be understood, or a segment of ``segments`` does not exist.
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    collector = SegmentCollector(ct, read_names(names), segments, f"{paths[0]}{more}")
    failures = []
    for one in paths:
        try:
            _read(existing(one, "segmentation"), ct, collector)
        except InputError as error:
            if not Path(one).exists():  # a slip of the user, not a damaged file
                raise
            failures.append(error)
    if len(failures) == len(paths):
        raise failures[0]
    collector.warnings += [f"{failure} (left out)" for failure in failures]
    return collector.finish()


def _read(path: Path, ct: CtVolume, collector: SegmentCollector) -> None:
    if path.is_dir():
        _read_folder(path, ct, collector)
    elif is_dicom(path):
        _read_dicom(path, collector)
    else:
        read_label_file(path, collector)


def _read_dicom(path: Path, collector: SegmentCollector) -> None:
    from .dicom_rtstruct import read_rtstruct
    from .dicom_seg import read_dicom_seg

    is_rtstruct = RT_STRUCTURE_SET_STORAGE in (kind for _, kind in _kinds(path, [path]))
    (read_rtstruct if is_rtstruct else read_dicom_seg)(path, collector)


def _kinds(folder: Path, files: list[Path] | None = None) -> Iterator[tuple[Path, str]]:
    """DICOM files and their SOP classes."""
    for path, header in dicom_headers(folder, ["SOPClassUID"], files):
        yield path, str(header.get("SOPClassUID", ""))


def _read_folder(folder: Path, ct: CtVolume, collector: SegmentCollector) -> None:
    with readable(folder):
        files = mask_files(folder)
    if files:
        read_mask_folder(files, folder, ct.source, collector)
        return
    kinds = (*SEGMENTATION_STORAGE, RT_STRUCTURE_SET_STORAGE)
    objects = [path for path, kind in _kinds(folder) if kind in kinds]
    if len(objects) == 1:
        _read_dicom(objects[0], collector)
    elif objects:
        some = ", ".join(p.name for p in objects[:3])
        raise InputError(f"{folder}: holds {len(objects)} DICOM SEG or RTSTRUCT objects ({some} ...); give those meant")
    else:
        raise InputError(
            f"{folder}: holds neither masks (NIfTI, NRRD, MHA) nor a DICOM SEG or RTSTRUCT; check the path"
        )
