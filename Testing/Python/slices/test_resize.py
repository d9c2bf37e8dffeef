"""Resampling equals torch's antialiased bilinear interpolation, and means are means."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from QualitySentinelLib.slices.resize import resize


@pytest.mark.parametrize(("height", "width", "size"), [(220, 220, 256), (512, 400, 128), (40, 41, 128), (1, 7, 64)])
def test_whole_boxes_equal_torch_interpolate(height, width, size):
    image = torch.rand(3, 2, height, width, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(
        image, (size, size), mode="bilinear", antialias=True, align_corners=False
    )
    lengths = np.tile([[float(height), float(width)]], (3, 1))
    result = resize(image.permute(0, 3, 1, 2).contiguous(), np.zeros((3, 2)), lengths, size)
    assert (result - expected).abs().max() < 1e-6


def test_items_of_different_size_share_a_padded_batch():
    generator = torch.Generator().manual_seed(1)
    images = [torch.rand(1, 1, *shape, generator=generator) for shape in ((30, 50), (64, 20))]
    padded = torch.full((2, 50, 1, 64), torch.nan)  # what lies in the padding must not matter
    for plane, image in zip(padded, images, strict=True):
        plane[: image.shape[3], 0, : image.shape[2]] = image[0, 0].T
    lengths = np.array([i.shape[2:] for i in images], dtype=float)
    result = resize(padded, np.zeros((2, 2)), lengths, 32)
    for item, image in zip(result, images, strict=True):
        expected = torch.nn.functional.interpolate(image, (32, 32), mode="bilinear", antialias=True)
        assert (item - expected[0]).abs().max() < 1e-6


def test_a_fractional_box_of_a_ramp_samples_the_ramp():
    ramp = torch.arange(64.0).expand(1, 64, 1, 64)
    start, length, size = 10.3, 32.0, 32
    result = resize(ramp, np.array([[start, start]]), np.array([[length, length]]), size)[0, 0, :, 5]
    expected = start + torch.arange(size) + 0.5 - 0.5
    assert (result[1:-1] - expected[1:-1]).abs().max() < 1e-5


def test_a_constant_stays_itself_and_what_lies_outside_the_box_has_no_weight():
    planes = torch.full((2, 40, 1, 40), torch.nan)
    planes[0, :10, 0, :10] = planes[1, :30, 0, :30] = 5.0
    result = resize(planes, np.array([[0.4, 0.4], [0.0, 0.0]]), np.array([[9.2, 9.2], [30.0, 30.0]]), 16)
    assert (result - 5.0).abs().max() < 1e-5


def test_means_count_what_lies_outside_the_planes_as_nothing():
    planes = torch.rand((1, 12, 1, 8), generator=torch.Generator().manual_seed(0))
    whole = resize(planes, np.array([[0.0, 0.0]]), np.array([[8.0, 12.0]]), 4, means=True)
    expected = torch.nn.functional.avg_pool2d(planes.permute(0, 2, 3, 1), (2, 3))
    assert (whole - expected).abs().max() < 1e-6
    around = resize(planes, np.array([[-8.0, -12.0]]), np.array([[24.0, 36.0]]), 3, means=True)[0, 0]
    assert around[1, 1].item() == pytest.approx(planes.mean().item()) and around.sum() == around[1, 1]
    shifted = resize(torch.ones(1, 4, 1, 4), np.array([[-0.5, 0.25]]), np.array([[4.0, 4.0]]), 4, means=True)[0, 0]
    np.testing.assert_allclose(shifted[0], [0.5, 0.5, 0.5, 0.375])
