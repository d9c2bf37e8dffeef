"""Segments of one label-map file: NIfTI, NRRD, MetaImage; also ``.seg.nrrd``, by what its header says."""

from __future__ import annotations

from pathlib import Path

from ..volume.collector import Found, SegmentCollector
from .image import Image, image_stem
from .labels import as_labels
from .seg_nrrd import has_segments, read_seg_nrrd
from .volume_file import read_image

_STEM_SUFFIXES = ("_segmentation", "_seg", "_mask", "_label", "-seg", "-mask", "-label")


def read_label_file(path: Path, collector: SegmentCollector) -> None:
    """Add the segments of the file.

    Raises:
        InputError: the file is not a readable segmentation.
    """
    image = read_image(path, "segmentation", layers=path.name.lower().endswith((".nrrd", ".nhdr")))
    collector.warnings += image.warnings
    if has_segments(image.metadata):
        read_seg_nrrd(image, collector)
    else:
        add_label_map(image, collector)


def add_label_map(image: Image, collector: SegmentCollector) -> None:
    """Add a segment for each value that occurs in a label map; a map with one value is one mask.

    Names come from the ``names`` argument, else from the label table in the header, else, for a single mask, from the
    file's name. Else a segment is called ``label 5``: which convention a file follows is not guessed.
    """
    stem = image_stem(image.source)
    layers = image.layers
    if len(layers) > 1:  # several components and no segment names: each is a mask of its own
        for number, layer in enumerate(layers):
            labels, meaning, warnings = as_labels(layer, image.source)
            collector.warnings += warnings
            _add(labels, {v: Found(f"{stem} {number}", f"{stem} {number}") for v in meaning}, image, collector)
        return
    labels, meaning, warnings = as_labels(layers[0], image.source)
    collector.warnings += warnings
    if not meaning:
        found = Found(stem, _mask_name(stem), keys=(stem,))
        if collector.wants(found):
            collector.add_empty(found)
        return
    if len(meaning) == 1 and next(iter(meaning.values())) not in image.label_names:
        label, value = next(iter(meaning.items()))
        known = {label: Found(stem, _mask_name(stem), keys=(str(value), stem), rename=True)}
    else:
        known = {}
        for label, value in meaning.items():
            name = image.label_names.get(value)
            known[label] = Found(str(value), name or f"label {value}", keys=(str(value),), rename=True)
        if not any(collector.has_name(str(v)) or v in image.label_names for v in meaning.values()):
            collector.warnings.append(
                f"{image.source}: holds no names for its {len(meaning)} label values; give them with --names "
                "(a JSON file, or a convention such as totalsegmentator)"
            )
    _add(labels, known, image, collector)


def _mask_name(stem: str) -> str:
    """``liver`` of the stem ``liver_seg``; a stem that is nothing but such a word stays."""
    for suffix in _STEM_SUFFIXES:
        if stem.lower().endswith(suffix) and len(stem) > len(suffix):
            return stem[: -len(suffix)]
    return stem


def _add(labels, known: dict[int, Found], image: Image, collector: SegmentCollector) -> None:
    wanted = [(label, found) for label, found in known.items() if collector.wants(found)]
    if wanted:
        collector.add(wanted, labels, image.ijk_to_ras, image.source)
