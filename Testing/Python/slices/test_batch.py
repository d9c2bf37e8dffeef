"""From volumes and planes to the network's input."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from QualitySentinelLib.slices import (
    COMPACT,
    PUBLISHED,
    PlaneCrop,
    coverage,
    crop_plane,
    make_batch,
    neighbour_strength,
    prepare,
)
from QualitySentinelLib.slices import resize as resize_module
from QualitySentinelLib.slices.crop import published_crop
from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelLib.volume.segmentation import segment_from_mask


@pytest.fixture(scope="module")
def published(shared):
    """The parity fixture: case name to (CT, mask, upstream's CT channel, upstream's mask channel)."""
    with np.load(shared / "fixtures" / "preprocess_fixture_tv016.npz") as arrays:
        names = [key[:-4] for key in arrays.files if key.endswith("__ct")]
        keys = ("__ct", "__mask", "__ct_out", "__mask_out")
        return {name: [arrays[name + key] for key in keys] for name in names}


def axial_case(ct_plane, mask_plane, permutation=(0, 1, 2), flipped=(False, False, False), spacing=(5.0, 0.8, 0.8)):
    """A 3-slice CT and segment whose *file* holds the given planes in its middle slice, so oriented."""
    volume = np.stack([np.full_like(ct_plane, -1000), ct_plane, np.full_like(ct_plane, -1000)])
    masks = np.stack([np.zeros_like(mask_plane), mask_plane, np.zeros_like(mask_plane)])
    rotation = np.zeros((3, 3))  # columns: RAS direction of file axes i, j, k
    ras_row = {0: 2, 1: 1, 2: 0}  # canonical axis k, j, i runs along S, P, L
    sign = {0: 1.0, 1: -1.0, 2: -1.0}
    for axis in range(3):
        direction = sign[axis] * (-1.0 if flipped[axis] else 1.0)
        rotation[ras_row[axis], 2 - permutation[axis]] = direction * spacing[axis]
    affine = np.eye(4)
    affine[:3, :3] = rotation
    frame = AxialFrame.from_affine(affine, volume.shape)
    assert (frame.permutation, frame.flipped) == (permutation, flipped)
    segment = segment_from_mask(frame.to_canonical(masks), id="1", name="x")
    return CtVolume(frame.to_canonical(volume), frame), segment


def test_published_preset_equals_upstream_on_all_eight_cases_in_one_batch(published):
    crops = [crop_plane(ct, mask, PUBLISHED) for ct, mask, _, _ in published.values()]
    images = prepare(crops, PUBLISHED).images.numpy()
    assert images.shape == (8, 2, 256, 256) and images.dtype == np.float32
    for image, (name, (_, _, ct_out, mask_out)) in zip(images, published.items(), strict=True):
        assert np.abs(image[0] - ct_out[0]).max() < 1e-5, name
        assert np.abs(image[1] - mask_out[0]).max() < 1e-5, name


def test_published_training_crops_equal_interpolation_of_the_crop(published):
    for ct, mask, _, _ in published.values():
        crop = crop_plane(ct, mask, PUBLISHED)
        extent = (*np.flatnonzero(mask.any(1))[[0, -1]], *np.flatnonzero(mask.any(0))[[0, -1]])
        extent = (extent[0], extent[1] + 1, extent[2], extent[3] + 1)
        crop.box = box = published_crop(extent, mask.shape, 14, 33)
        image = prepare([crop], PUBLISHED).images[0]
        part = np.s_[box[0] : box[1], box[2] : box[3]]
        planes = np.stack([(np.clip(ct[part].astype(np.float32), -200, 200) + 200) / 400, mask[part] > 0])
        expected = torch.nn.functional.interpolate(
            torch.from_numpy(planes.astype(np.float32))[None], (256, 256), mode="bilinear", antialias=True
        )[0]
        assert (image[0] - (expected[0] - 0.5) / 0.25).abs().max() < 1e-5
        assert (image[1] - (expected[1] - 0.5) / 0.5).abs().max() < 1e-5


@pytest.mark.parametrize("permutation", [(0, 1, 2), (0, 2, 1)])
@pytest.mark.parametrize("flipped", list(itertools.product((False, True), repeat=3)))
def test_published_preset_takes_rows_and_columns_in_file_order(published, permutation, flipped):
    ct_plane, mask_plane, ct_out, mask_out = published["c2_border_512"]
    ct, segment = axial_case(ct_plane[:128, :160], mask_plane[:128, :160], permutation, flipped)
    image = make_batch(ct, [(segment, 1)], PUBLISHED).images[0].numpy()
    assert np.abs(image[0] - ct_out[0]).max() < 1e-5
    assert np.abs(image[1] - mask_out[0]).max() < 1e-5


@pytest.mark.parametrize(
    ("permutation", "flipped"), [((1, 0, 2), (True, False, True)), ((2, 1, 0), (False, True, True))]
)
def test_our_preset_is_the_same_in_every_orientation(permutation, flipped, published):
    ct_plane, mask_plane, _, _ = published["c1_small_512"]
    plain, segment = axial_case(ct_plane, mask_plane)
    expected = make_batch(plain, [(segment, 1)], COMPACT)
    # the same anatomy, stored otherwise
    canonical_ct = plain.hu
    affine = plain.frame.ijk_to_ras
    order = np.argsort(permutation)
    file_ct = canonical_ct[tuple(slice(None, None, -1 if f else 1) for f in flipped)].transpose(order)
    turned = np.zeros((4, 4))
    turned[3] = [0, 0, 0, 1]
    for axis in range(3):
        turned[:3, 2 - permutation[axis]] = affine[:3, 2 - axis] * (-1 if flipped[axis] else 1)
    frame = AxialFrame.from_affine(turned, file_ct.shape)
    ct = CtVolume(frame.to_canonical(np.ascontiguousarray(file_ct)), frame)
    found = make_batch(ct, [(segment, 1)], COMPACT)
    assert (found.images - expected.images).abs().max() < 1e-5 and torch.allclose(found.pixel_mm, expected.pixel_mm)


def test_our_preset_has_two_windows_and_a_mask_within_one(a_ct_with_a_liver):
    ct, segmentation = a_ct_with_a_liver
    items = [(s, int(k)) for s in segmentation for k in s.occupied_slices()]
    batch = make_batch(ct, items, COMPACT)
    assert batch.images.shape == (len(items), 4, 128, 128) and batch.images.dtype == torch.float32
    assert batch.images.abs().max() <= 1.0 and batch.images[:, 2].amax(dim=(1, 2)).min() > 0.5
    assert batch.pixel_mm.shape == (len(items),) and batch.pixel_mm.min() >= 96 / 128 - 1e-6


def test_anisotropic_pixels_become_square():
    ct, mask = np.zeros((200, 100), np.int16), np.zeros((200, 100), bool)
    mask[80:120, 40:60] = True  # 40 mm x 40 mm
    image = prepare([crop_plane(ct, mask, COMPACT, (1.0, 2.0))], COMPACT).images[0, COMPACT.mask_channel] > 0
    rows, columns = image.any(dim=1).sum(), image.any(dim=0).sum()
    assert abs(rows - 40 / (96 / 128)) < 1 and abs(columns - 40 / (96 / 128)) < 1


def test_outside_the_image_is_air_without_mask():
    ct, mask = np.full((40, 40), 50, np.int16), np.ones((40, 40), bool)
    image = prepare([crop_plane(ct, mask, COMPACT)], COMPACT).images[0]
    assert (image[:, 0, 0] == -1).all() and (image[1, 0] == -1).all()
    assert image[2, 64, 64] == 1 and image[1, 64, 64] == pytest.approx(0.05, abs=1e-6)


def test_parts_with_origins_equal_whole_planes():
    rng = np.random.default_rng(0)
    ct, mask = rng.integers(-1000, 1000, (300, 300)).astype(np.int16), np.zeros((300, 300), bool)
    mask[150:170, 100:140] = rng.random((20, 40)) > 0.5
    whole = crop_plane(ct, mask, COMPACT, (0.9, 0.9))
    top, bottom, left, right = (int(v) for v in whole.box)
    part = PlaneCrop(
        ct[top : bottom + 1, left : right + 1], mask[150:170, 100:140], whole.box, (0.9, 0.9), (top, left), (150, 100)
    )
    assert (prepare([whole], COMPACT).images - prepare([part], COMPACT).images).abs().max() < 1e-5


def test_an_empty_slice_needs_a_neighbour(a_ct_with_a_liver):
    ct, segmentation = a_ct_with_a_liver
    liver = segmentation["1"]
    with pytest.raises(ValueError, match="empty"):
        make_batch(ct, [(liver, liver.box[0].stop + 1)], COMPACT)


def test_an_empty_slice_shows_its_neighbours_mask_the_weaker_the_farther(a_ct_with_a_liver):
    ct, segmentation = a_ct_with_a_liver
    liver = segmentation["1"]
    last = liver.box[0].stop - 1
    batch = make_batch(
        ct, [(liver, last), (liver, last + 1), (liver, last + 2)], COMPACT, neighbours=[None, last, last]
    )
    own, near, far = batch.images
    assert (own[3] == -1).all() and (near[2] == -1).all() and (far[2] == -1).all()
    assert own[2].max() > near[3].max() > far[3].max() > -1
    strength = neighbour_strength(ct.frame.spacing[0])
    assert torch.allclose(near[3] + 1, (own[2] + 1) * strength, atol=1e-6)  # the same place and shape
    with pytest.raises(ValueError, match="no channel"):
        make_batch(ct, [(liver, last + 1)], PUBLISHED, neighbours=[last])


def test_coverage_is_the_mask_channel_in_shares(a_ct_with_a_liver):
    ct, segmentation = a_ct_with_a_liver
    liver = segmentation["1"]
    k = liver.box[0].start
    crop = crop_plane(
        ct.hu[k], liver.slice_mask(k), COMPACT, ct.frame.spacing[1:], tuple(r.start for r in liver.box[1:])
    )
    channel = prepare([crop], COMPACT).images[:, 2]
    assert torch.allclose(coverage([crop], COMPACT.size), (channel + 1) / 2, atol=1e-6)


def test_chunks_do_not_change_anything(a_ct_with_a_liver, monkeypatch):
    ct, segmentation = a_ct_with_a_liver
    items = [(s, int(k)) for s in segmentation for k in s.occupied_slices()]
    together = make_batch(ct, items, COMPACT)
    monkeypatch.setattr(resize_module, "_CHUNK_NUMBERS", 1)
    ct.body = None  # its pictures are drawn again
    apart = make_batch(ct, items, COMPACT)
    assert together.boxes == apart.boxes
    for name in ("images", "pixel_mm", "place", "locator"):
        assert (getattr(together, name) - getattr(apart, name)).abs().max() < 1e-6, name


def test_mask_values_other_than_one_count_as_one_and_no_items_make_no_batch():
    ct, mask = np.zeros((64, 64), np.float32), np.zeros((64, 64), np.uint8)
    mask[20:30, 20:30] = 1
    ones, many = (prepare([crop_plane(ct, mask * v, PUBLISHED)], PUBLISHED).images for v in (1, 255))
    assert (ones - many).abs().max() < 1e-5
    assert prepare([], COMPACT).images.shape == (0, 4, 128, 128)
