"""Where in the body a mask lies, and what a name claims of it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from QualitySentinelLib.anatomy.structures import level_of
from QualitySentinelLib.slices import COMPACT, make_batch
from QualitySentinelLib.slices.place import (
    ABOVE,
    BELOW,
    DEPTH,
    FOUND_LATERAL,
    LATERAL,
    PLACE,
    Body,
    body_of,
    name_numbers,
    told,
)
from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelLib.volume.segmentation import segment_from_mask


def a_body(center=(60, 90), half=(35, 55), shape=(30, 128, 180), table=False, arm=False):
    """HU of an elliptic cylinder with two lungs, perhaps on a table, perhaps with an arm beside it."""
    rows, columns = np.mgrid[: shape[1], : shape[2]]
    y, x = (rows - center[0]) / half[0], (columns - center[1]) / half[1]
    hu = np.full(shape, -1000, np.int16)
    hu[:, y**2 + x**2 <= 1] = 40
    for side in (-1, 1):
        hu[:, ((y / 0.6) ** 2 + ((x - side * 0.45) / 0.3) ** 2) <= 1] = -850
    if table:
        hu[:, center[0] + half[0] + 2 : center[0] + half[0] + 4, 10:-10] = 100
    if arm:
        hu[:, (rows - center[0]) ** 2 + (columns - center[1] - half[1] - 12) ** 2 <= 100] = 40
    return hu


def seen(body, k, mask, corner):
    """The numbers of one mask's place, and its locator."""
    places, locators = body.places([k], [SimpleNamespace(mask=mask, mask_origin=corner)], 64)
    return places[0], locators[0]


@pytest.mark.parametrize("what", [{}, {"table": True}, {"arm": True}])
def test_the_midline_is_found_beside_table_and_arm(what):
    body = Body.find(a_body(**what), (5.0, 2.0, 2.0))
    assert body.boxes.shape == (30, 4)
    np.testing.assert_allclose(body.boxes[:, 0], 90.5, atol=2.5)
    np.testing.assert_allclose(body.boxes[:, 2], 60.5, atol=3)
    assert (body.found == 1).all()


def test_a_cut_body_has_no_midline_to_trust_and_an_empty_scan_breaks_nothing():
    assert (Body.find(a_body()[:, :, 70:], (5.0, 2.0, 2.0)).found[:, 0] == 0).all()
    nothing = Body.find(np.full((3, 20, 30), -1000, np.int16), (5.0, 2.0, 2.0))
    assert (nothing.found == 0).all()
    np.testing.assert_allclose(nothing.boxes, [[15, 15, 10, 10]] * 3)


def test_places_run_from_right_to_left_and_front_to_back_whatever_the_voxels():
    hu = a_body()
    mask = np.zeros(hu.shape[1:], bool)
    mask[70:80, 110:120] = True  # left of the middle, behind it
    for step in (1, 2):
        body = Body.find(hu[:, ::step, ::step], (5.0, 2.0 * step, 2.0 * step))
        cut = mask[::step, ::step][60 // step :, 100 // step :]
        numbers = seen(body, 20, cut, (60 // step, 100 // step))[0]
        assert numbers[LATERAL] == pytest.approx(24.5 / 55.5, abs=0.06)
        assert numbers[DEPTH] == pytest.approx(14.5 / 35.5, abs=0.06)
        assert numbers[BELOW] == pytest.approx(20.5 * 5 / 500, abs=1e-6)
        assert numbers[ABOVE] == pytest.approx(9.5 * 5 / 500, abs=1e-6)
    assert not seen(body, 20, np.zeros((4, 4), bool), (0, 0))[0].any()


def test_the_locator_shows_the_mask_where_it_lies():
    body, mask = Body.find(a_body(), (5.0, 2.0, 2.0)), np.zeros((10, 10), bool)
    mask[2:6, 2:6] = True
    numbers, picture = seen(body, 3, mask, (70, 110))
    assert picture.shape == (2, 64, 64) and picture.min() >= 0 and picture.max() == 1
    row, column = np.average(np.argwhere(picture[1] > 0.5), axis=0)
    assert (column + 0.5) / 32 - 1 == pytest.approx(numbers[LATERAL], abs=0.05)
    assert (row + 0.5) / 32 - 1 == pytest.approx(numbers[DEPTH], abs=0.05)
    assert picture[0, 32, 32] > 0.5 > picture[0, 0, 0]


def test_names_claim_sides_and_levels():
    left, right, none, t11, t12, rib, unheard = name_numbers(
        ["kidney left", "kidney right", "liver", "vertebra T11", "vertebra T12", "costa 12 left", "unheard of"]
    )
    assert (left[0], right[0], none[0], rib[0]) == (1, -1, 0, 1)
    assert not none.any() and not unheard.any() and t11[1] == t12[1] == 1
    assert np.abs(t11 - t12).max() > 0.3 and np.array_equal(rib[1:], t12[1:])
    assert [level_of(n) for n in ("vertebra C1", "vertebra S1", "costa 1 right", "costa")] == [1, 25, 8, None]
    place = torch.zeros(2, len(PLACE))
    place[:, LATERAL] = -0.4
    one, other = told(place, torch.from_numpy(name_numbers(["kidney left", None])))
    assert one[len(PLACE) : len(PLACE) + 2].tolist() == pytest.approx([1.0, -0.4])
    assert not other[len(PLACE) :].any()


def test_a_batch_holds_places_and_the_body_is_found_once(monkeypatch):
    hu = a_body()
    ct = CtVolume(hu, AxialFrame.from_affine(np.diag([-2.0, -2.0, 5.0, 1.0]), hu.shape))
    mask = hu == -850
    mask[:, :, :90] = False
    lung = segment_from_mask(mask, (0, 0, 0), id="1", name="lung", structure="lung left")
    batch = make_batch(ct, [(lung, 4), (lung, 5)], COMPACT)
    assert batch.place.shape == (2, len(PLACE)) and batch.locator.shape == (2, 2, 64, 64)
    assert batch.place[0, LATERAL] == pytest.approx(0.45, abs=0.05) and batch.place[0, FOUND_LATERAL] == 1
    found = ct.body
    make_batch(ct, [(lung, 6)], COMPACT)
    assert body_of(ct) is found
    assert make_batch(ct, [], COMPACT).locator.shape == (0, 2, 64, 64)
