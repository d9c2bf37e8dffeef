"""The scored segmentation as a ``.seg.nrrd`` that Slicer opens: the input's segments, colored by predicted DSC."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..files import atomic_file
from ..scores import CaseScore
from ..scores.colors import dsc_color
from ..scores.tags import TAG_PREFIX, score_tags
from ..volume import Segment, Segmentation

_GZIP = 31  # zlib's code for a gzip container with the largest window


def write_scored_segmentation(
    path: str | Path,
    segmentation: Segmentation,
    case_score: CaseScore,
    accepted: Mapping[str, int] | None = None,
) -> Path:
    """Write the segments with their scores, in the file order of the CT, gzip-compressed, whole.

    Segments share a label map; one that overlaps with others goes to a further layer. Names, ids and tags are kept.

    Args:
        path: ends in ``.seg.nrrd``.
        case_score: a segment without a score keeps its color and gets no tags.
        accepted: by segment id how many flagged or missed slices a reader accepted, if there is a review.

    Raises:
        InputError: the file cannot be written.
    """
    path = Path(path)
    frame = segmentation.frame
    layers, places = _layers(segmentation)
    in_file_order = [frame.to_file(layer) for layer in layers]
    scores = {s.segment_id: s for s in case_score.segments}
    header = _header(in_file_order, frame.file_ijk_to_ras)
    for number, (segment, (layer, value)) in enumerate(zip(segmentation, places, strict=True)):
        score = scores.get(segment.id)
        color = (segment.color or (0.5, 0.5, 0.5)) if score is None else dsc_color(score.predicted_dsc)
        tags = {k: v for k, v in segment.tags.items() if not k.startswith(TAG_PREFIX)}
        tags |= score_tags(score, case_score, accepted)
        header += _segment_lines(number, segment, layer, value, color, tags, _file_extent(segment, frame))
    with atomic_file(path) as temporary, open(temporary, "wb") as stream:
        # "replace": file names that are not UTF-8 have lone surrogates
        stream.write(("\n".join(header) + "\n\n").encode("utf-8", "replace"))
        packer = zlib.compressobj(4, zlib.DEFLATED, _GZIP)
        for planes in zip(*in_file_order, strict=True):  # the layers of a voxel side by side (a NRRD list axis)
            block = planes[0] if len(planes) == 1 else np.stack(planes, axis=-1)
            stream.write(packer.compress(block.tobytes()))
        stream.write(packer.flush())
    return path


def _layers(segmentation: Segmentation) -> tuple[list[np.ndarray], list[tuple[int, int]]]:
    """Label maps ``[k, j, i]`` in canonical order, and (layer, value) of each segment."""
    dtype = np.uint8 if len(segmentation) <= 255 else np.uint16
    layers = [np.zeros(segmentation.frame.shape, dtype)]
    counts, places = [0], []
    for segment in segmentation:
        chosen = 0
        if not segment.is_empty:
            mask = segment.voxels()
            free = (n for n, layer in enumerate(layers) if not layer[segment.box][mask].any())
            chosen = next(free, len(layers))
            if chosen == len(layers):
                layers.append(np.zeros(segmentation.frame.shape, dtype))
                counts.append(0)
            layers[chosen][segment.box][mask] = counts[chosen] + 1
        counts[chosen] += 1
        places.append((chosen, counts[chosen]))
    return layers, places


def _header(layers: list[np.ndarray], ijk_to_ras: np.ndarray) -> list[str]:
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijk_to_ras
    sizes = " ".join(str(n) for n in layers[0].shape[::-1])
    directions = " ".join(_vector(lps[:3, column]) for column in range(3))
    several = len(layers) > 1
    return [
        "NRRD0004",
        "# Complete NRRD file format specification at:",
        "# http://teem.sourceforge.net/nrrd/format.html",
        f"type: {'unsigned char' if layers[0].dtype == np.uint8 else 'unsigned short'}",
        f"dimension: {4 if several else 3}",
        "space: left-posterior-superior",
        f"sizes: {len(layers)} {sizes}" if several else f"sizes: {sizes}",
        f"space directions: {'none ' if several else ''}{directions}",
        f"kinds: {'list ' if several else ''}domain domain domain",
        *(["endian: little"] if layers[0].dtype == np.uint16 else []),
        "encoding: gzip",
        f"space origin: {_vector(lps[:3, 3])}",
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|",
        "Segmentation_ConversionParameters:=",
        "Segmentation_MasterRepresentation:=Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset:=0 0 0",
    ]


def _vector(values: np.ndarray) -> str:
    return "(" + ",".join(repr(float(v) + 0.0) for v in values) + ")"


def _segment_lines(number, segment: Segment, layer: int, value: int, color, tags: dict[str, str], extent) -> list[str]:
    fields = {
        "Color": " ".join(f"{c:.6g}" for c in color),
        "ColorAutoGenerated": "0",
        "Extent": " ".join(str(e) for e in extent),
        "ID": _escaped(segment.id),
        "LabelValue": str(value),
        "Layer": str(layer),
        "Name": _escaped(segment.name),
        "NameAutoGenerated": "0",
        "Tags": "".join(f"{_tag_text(k)}:{_tag_text(v)}|" for k, v in tags.items()),
    }
    return [f"Segment{number}_{key}:={text}" for key, text in fields.items()]


def _file_extent(segment: Segment, frame) -> tuple[int, ...]:
    """Inclusive first and last index along the file's i, j, k; 0 -1 for an empty segment."""
    if segment.is_empty:
        return (0, -1, 0, -1, 0, -1)
    shape, first = frame.file_box([s.start for s in segment.box], segment.labels.shape)
    return tuple(n for start, size in zip(first[::-1], shape[::-1], strict=True) for n in (start, start + size - 1))


def _escaped(text: str) -> str:
    """Text as the value of a NRRD key/value pair, which lives on one line."""
    return text.replace("\\", "\\\\").replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\\n")


def _tag_text(text: str) -> str:
    """Tags are parted by ``|``, which the format cannot escape."""
    return _escaped(str(text).replace("|", "/"))
