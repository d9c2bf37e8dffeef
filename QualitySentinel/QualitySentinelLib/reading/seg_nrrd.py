"""``.seg.nrrd``, the format of Slicer's segmentations: segments with names, colors and tags, in layers.

The fields are those of Slicer's ``vtkMRMLSegmentationStorageNode``: ``Segment0_ID``, ``Segment0_Name``,
``Segment0_Color``, ``Segment0_LabelValue``, ``Segment0_Layer``, ``Segment0_Tags`` and so on. The array may be cropped
to the segments (``Segmentation_ReferenceImageExtentOffset`` says by how much); its space origin is that of the
cropped array, so that no offset needs to be applied.
"""

from __future__ import annotations

import re

import numpy as np

from ..errors import InputError
from ..volume.collector import SegmentCollector, SegmentHeader
from .image import Image
from .labels import as_labels

_SEGMENT_ID = re.compile(r"Segment(\d{1,6})_ID$")  # more digits than any file has are no number worth reading


def has_segments(metadata: dict[str, str]) -> bool:
    """Whether the header describes Slicer segments."""
    return any(_SEGMENT_ID.match(key) for key in metadata)


def read_seg_nrrd(image: Image, collector: SegmentCollector) -> None:
    """Add the segments that the header describes, in its order; those without voxels are empty.

    Files of Slicer before 4.11 have neither ``Layer`` nor ``LabelValue``: there each segment has a layer of its own.

    Raises:
        InputError: the header names a layer that the file does not have, or a label that is not a number.
    """
    metadata, layers = image.metadata, image.layers
    representation = metadata.get("Segmentation_SourceRepresentation") or metadata.get(
        "Segmentation_MasterRepresentation", ""
    )
    fractional = "fractional" in representation.lower()
    numbers = sorted(int(m.group(1)) for m in map(_SEGMENT_ID.match, metadata) if m)
    by_layer: dict[int, list[tuple[int, int, SegmentHeader]]] = {}
    for position, number in enumerate(numbers):
        field = {key: metadata.get(f"Segment{number}_{key}") for key in ("ID", "Name", "Color", "Tags")}
        try:
            layer = int(metadata.get(f"Segment{number}_Layer", position if len(layers) > 1 else 0))
            value = int(metadata.get(f"Segment{number}_LabelValue", 1))
        except ValueError as error:
            raise InputError(f"{image.source}: its header is damaged (Segment{number}); save it again") from error
        if not 0 <= layer < len(layers):
            raise InputError(f"{image.source}: segment {number} is in layer {layer}, which is missing; save it again")
        found = SegmentHeader(
            id=field["ID"] or f"Segment_{number}",
            name=field["Name"] or field["ID"] or f"Segment_{number}",
            color=_color(field["Color"]),
            tags=parse_tags(field["Tags"] or ""),
            keys=(str(value),) if len(layers) == 1 else (),
        )
        if collector.wants(found):
            by_layer.setdefault(layer, []).append((position, value, found))
    if fractional:
        collector.warnings.append(f"{image.source}: a fractional segmentation; voxels of at least one half were taken")
    for layer, members in sorted(by_layer.items()):
        if fractional:
            labels = _half_and_above(layers[layer], metadata)
            known = [(1, found) for _, _, found in members]
        else:
            labels, meaning, warnings = as_labels(np.ascontiguousarray(layers[layer]), image.source)
            collector.warnings += warnings
            own = {value: label for label, value in meaning.items()}
            known = [(own.get(value, -1), found) for _, value, found in members]
        collector.add(known, labels, image.ijk_to_ras, image.source)
    collector.reorder([position for _, members in sorted(by_layer.items()) for position, _, _ in members])


def _half_and_above(layer: np.ndarray, metadata: dict[str, str]) -> np.ndarray:
    """A fractional layer as 0/1; Slicer's scale is 0..255, or 0..1 for floats."""
    high = 1.0 if layer.dtype.kind == "f" and (not layer.size or layer.max() <= 1) else float(max(layer.max(), 1))
    low = min(float(layer.min()), 0.0) if layer.size else 0.0
    return (layer >= (low + high) / 2).view(np.uint8)


def _color(text: str | None) -> tuple[float, float, float] | None:
    try:
        red, green, blue = (min(max(float(part), 0.0), 1.0) for part in (text or "").split())
    except ValueError:
        return None
    return red, green, blue


def parse_tags(text: str) -> dict[str, str]:
    """Segment tags of ``key:value|key:value|``; the first colon parts key and value."""
    pairs = (part.partition(":") for part in text.split("|") if ":" in part)
    return {key.strip(): value for key, _, value in pairs if key.strip()}
