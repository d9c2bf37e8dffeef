"""From what the network draws to error maps on the CT's grid, and islands."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from QualitySentinelLib.slices import COMPACT, PlaneCrop, coverage
from QualitySentinelLib.slices.crop import square_crop
from QualitySentinelLib.suggestions import Drawing, ErrorMap, Kind, error_map, islands
from QualitySentinelLib.volume.segmentation import mask_extent, segment_from_mask

K = 2


def drawn(mask, reference, spacing, digest):
    """What a perfect network would draw of ``reference`` around ``mask``, both ``[j, i]``."""
    box = square_crop(mask_extent(mask), spacing, COMPACT)
    covered = [coverage([PlaneCrop(m, m, box, spacing)], COMPACT.size) for m in (mask, mask & reference, reference)]
    whole, both, of_reference = torch.nn.functional.avg_pool2d(torch.cat(covered), 2).numpy()
    inside = both / np.maximum(whole, 1e-6)
    outside = (of_reference - both) / np.maximum(1 - whole, 1e-6)
    return Drawing(box, np.rint(255 * np.clip([inside, outside], 0, 1)).astype(np.uint8), digest)


@pytest.mark.parametrize(
    ("shape", "spacing", "corner"),
    [((40, 50), (4.0, 4.0), (14, 20)), ((160, 200), (0.8, 0.9), (70, 90)), ((40, 50), (4.0, 3.0), (0, 33))],
    ids=["pixels larger than cells", "pixels smaller than cells", "at the CT's edge"],
)
def test_a_perfect_drawing_gives_back_the_reference_on_the_cts_grid(shape, spacing, corner):
    j, i = corner
    mask, reference = np.zeros((2, *shape), bool)
    mask[j : j + 16, i : i + 12] = True
    reference[j : j + 8, i : i + 17] = True
    segment = segment_from_mask(mask[None], (K, 0, 0), id="liver", name="liver")
    found = error_map(drawn(mask, reference, spacing, segment.slice_digest(K)), segment, K, shape)
    rows, columns = (slice(a, a + n) for a, n in zip(found.corner, found.mask.shape, strict=True))
    np.testing.assert_array_equal(found.mask, mask[rows, columns])
    assert reference[rows, columns].sum() == reference.sum()
    # cells along an edge of the mask say nothing sharp of pixels that are smaller
    allowed = 0 if min(spacing) > 1.5 else 60
    assert np.count_nonzero(found.expected() != reference[rows, columns]) <= allowed
    assert np.count_nonzero(found.suggested(Kind.REMOVE) != (mask & ~reference)[rows, columns]) <= allowed
    assert np.count_nonzero(found.suggested(Kind.ADD) != (reference & ~mask)[rows, columns]) <= allowed


def test_only_pixels_whose_centers_were_judged_are_on_the_map():
    drawing = Drawing((2.5, 6.4, -3.0, 1.5), np.full((2, 8, 8), 51, np.uint8), "")
    corner, shares = drawing.on_grid((20, 20))
    assert corner == (2, 0) and shares.shape == (2, 4, 2)  # rows 2 to 5, columns 0 and 1
    np.testing.assert_allclose(shares, 0.2, atol=1e-6)


def test_a_drawing_of_another_mask_gives_no_map():
    mask = np.zeros((1, 20, 20), bool)
    mask[0, 5:10, 5:10] = True
    segment = segment_from_mask(mask, (K, 0, 0), id="liver", name="liver")
    drawing = Drawing((0.0, 20.0, 0.0, 20.0), np.zeros((2, 4, 4), np.uint8), segment.slice_digest(K))
    assert error_map(drawing, segment, K, (20, 20)).suggested(Kind.REMOVE).sum() == 25
    mask[0, 5] = False
    edited = segment_from_mask(mask, (K, 0, 0), id="liver", name="liver")
    assert error_map(drawing, edited, K, (20, 20)) is None
    assert error_map(None, segment, K, (20, 20)) is None


def test_an_empty_slice_can_only_be_added_to():
    segment = segment_from_mask(np.ones((1, 4, 4), bool), (K, 3, 3), id="liver", name="liver")
    drawing = Drawing((0.0, 20.0, 0.0, 20.0), np.full((2, 4, 4), 255, np.uint8), "of the nearest slice")
    found = error_map(drawing, segment, K + 1, (20, 20))
    assert not found.mask.any() and not found.suggested(Kind.REMOVE).any() and found.suggested(Kind.ADD).all()


def a_map(k, wrong=(), missing=()):
    mask, shares = np.zeros((12, 12), bool), np.zeros((2, 12, 12), np.float32)
    mask[3:9, 3:9] = True
    for share, where in zip(shares, (wrong, missing), strict=True):
        for j, i in where:
            share[j, i] = 0.9
    return ErrorMap(k, (10, 20), mask, *shares)


def test_islands_are_the_connected_parts_largest_first():
    maps = [
        a_map(4, wrong=[(3, 3), (4, 4)], missing=[(0, 0)]),  # a corner joins within a slice
        a_map(5, wrong=[(4, 4), (5, 5), (8, 8)]),  # a face joins across slices, a corner does not
        a_map(6, wrong=[(7, 8)]),
    ]
    found = islands(maps, (2.0, 1.0, 1.5))
    assert [(i.kind, i.volume_mm3, i.k) for i in found] == [
        (Kind.REMOVE, 12.0, 4), (Kind.ADD, 3.0, 4), (Kind.REMOVE, 3.0, 5), (Kind.REMOVE, 3.0, 6),
    ]  # fmt: skip
    assert sorted(map(tuple, found[0].voxels)) == [(4, 13, 23), (4, 14, 24), (5, 14, 24), (5, 15, 25)]
    assert found[0].middle in {(13, 23), (14, 24)}
    assert islands([a_map(4)], (2.0, 1.0, 1.5)) == []
