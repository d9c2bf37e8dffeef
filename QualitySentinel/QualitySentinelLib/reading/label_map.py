"""Segments of one label-map file: NIfTI, MGZ, NRRD, MetaImage; also ``.seg.nrrd``, by what its header says."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError
from ..volume.collector import SegmentCollector, SegmentHeader
from .image import Image, image_stem
from .labels import as_labels
from .seg_nrrd import has_segments, read_seg_nrrd
from .volume_file import read_image

_STEM_SUFFIXES = ("_segmentation", "_seg", "_mask", "_label", "-seg", "-mask", "-label")


def read_label_file(path: Path, collector: SegmentCollector) -> None:
    """Add the segments of the file; an ``InputError`` if it is not a readable segmentation."""
    image = read_image(path, "segmentation", layers=True)
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
    if len(layers) > 1:
        _add_layers(image, collector)
        return
    labels, meaning, warnings = as_labels(layers[0], image.source)
    collector.warnings += warnings
    if not meaning:
        found = SegmentHeader(stem, _mask_name(stem), keys=(stem,))
        if collector.wants(found):
            collector.add_empty(found)
        return
    if len(meaning) == 1 and next(iter(meaning.values())) not in image.label_names:
        label, value = next(iter(meaning.items()))
        known = {label: SegmentHeader(stem, _mask_name(stem), keys=(str(value), stem), rename=True)}
    else:
        known = {}
        for label, value in meaning.items():
            name = image.label_names.get(value)
            known[label] = SegmentHeader(str(value), name or f"label {value}", keys=(str(value),), rename=True)
        if not any(collector.has_name(str(v)) or v in image.label_names for v in meaning.values()):
            _ask_for_names(image, f"{len(meaning)} label values", collector)
    wanted = [(label, header) for label, header in known.items() if collector.wants(header)]
    if wanted:
        collector.add(wanted, labels, image.ijk_to_ras, image.source)


def _add_layers(image: Image, collector: SegmentCollector) -> None:
    """Add a segment for each layer of a file that has a mask per structure and no segment names (one-hot).

    A first layer that is where all others are not is the background. Layers are numbered as label values are: from 1
    behind a background, from 0 only where the ``names`` argument does.
    """
    if image.voxels.size and image.voxels.min() < 0:
        raise InputError(f"{image.source}: is a 4D image with negative values, so no masks; give the segmentation")
    masks, others = list[tuple[int, np.ndarray]](), np.zeros(image.voxels.shape[:3], bool)
    for layer in image.layers:
        labels, meaning, warnings = as_labels(layer, image.source)
        if len(meaning) > 1:
            raise InputError(
                f"{image.source}: is a 4D image with {len(meaning)} label values in one layer; give a 3D label map or "
                "one mask in each layer"
            )
        collector.warnings += [w for w in warnings if w not in collector.warnings]
        if masks:
            others |= labels > 0
        masks.append((next(iter(meaning), None), labels))
    background = np.array_equal(masks[0][1] == 0, others)
    first = 0 if background or collector.has_name("0") else 1
    numbers = [str(n) for n in range(first, first + len(masks))]
    if not any(collector.has_name(n) for n in numbers):
        _ask_for_names(image, f"{len(masks) - background} layers", collector)
    for number, (value, labels) in list(zip(numbers, masks, strict=True))[background:]:
        found = SegmentHeader(number, f"label {number}", keys=(number,), rename=True)
        if not collector.wants(found):
            continue
        if value is None:
            collector.add_empty(found)
        else:
            collector.add([(value, found)], labels, image.ijk_to_ras, image.source)


def _ask_for_names(image: Image, what: str, collector: SegmentCollector) -> None:
    collector.warnings.append(
        f"{image.source}: holds no names for its {what}; give them with --names "
        "(a JSON file, or a convention such as totalsegmentator)"
    )


def _mask_name(stem: str) -> str:
    """``liver`` of the stem ``liver_seg``; a stem that is nothing but such a word stays."""
    for suffix in _STEM_SUFFIXES:
        if stem.lower().endswith(suffix) and len(stem) > len(suffix):
            return stem[: -len(suffix)]
    return stem
