"""A folder with one binary mask per structure, as TotalSegmentator writes it."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from ..volume.collector import SegmentCollector, SegmentHeader
from .image import image_stem, images_in
from .labels import as_labels
from .seg_nrrd import has_segments
from .volume_file import read_image


def mask_files(folder: Path) -> list[Path]:
    """The image files of the folder in alphabetical order, or of its subfolder ``segmentations`` where that has them.

    The CT of a TotalSegmentator case (``ct.nii.gz`` beside ``segmentations``) is not taken for a mask then.
    """
    inner = folder / "segmentations"
    return images_in(inner) or images_in(folder)


def read_mask_folder(files: list[Path], folder: Path, ct_source: str, collector: SegmentCollector) -> None:
    """Add one segment per file; each is read and cut to its bounding box before the next one is opened.

    Files that cannot be read or be masks (the CT, a label map with several values) are left out with a warning.

    Raises:
        InputError: no file of the folder is a mask that can be read.
    """
    read, unsaid, failures = 0, list[str](), []
    for path in files:
        if ct_source and path.resolve() == Path(ct_source).resolve():
            continue
        stem = image_stem(path)
        found = SegmentHeader(stem, stem, keys=(stem,))
        if not collector.wants(found):
            read += 1
            continue
        try:
            image = read_image(path, "mask", layers=True)
        except InputError as error:
            failures.append(error)
            continue
        if image.voxels.ndim > 3 or has_segments(image.metadata):
            collector.warnings.append(f"{path}: is not a binary mask and was left out; give it as a separate file")
            continue
        if image.voxels.dtype.kind != "b" and image.voxels.size and image.voxels.min() < 0:
            collector.warnings.append(f"{path}: holds negative values, so it is no mask, and was left out")
            continue
        try:
            labels, meaning, warnings = as_labels(image.voxels, str(path))
        except InputError as error:
            failures.append(error)
            continue
        if len(meaning) > 1:
            collector.warnings.append(
                f"{path}: holds {len(meaning)} label values, so it is no binary mask, and was left out; "
                "give it as a separate file"
            )
            continue
        if not unsaid:  # what one header lacks, all of the folder do
            collector.warnings += (unsaid := image.warnings)
        collector.warnings += warnings
        read += 1
        if meaning:
            collector.add([(next(iter(meaning)), found)], labels, image.ijk_to_ras, str(path))
            collector.release()
        else:
            collector.add_empty(found)
    collector.warnings += [f"{failure} (left out)" for failure in failures]
    if failures and not read:
        raise failures[0]
    if not read:
        raise InputError(f"{folder}: holds no binary mask (NIfTI, NRRD or MHA); give the folder of masks")
