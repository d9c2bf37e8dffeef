"""Resampling by matrix products equals torch's antialiased bilinear interpolation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from QualitySentinelLib.slices.resize import resize, triangle_weights


@pytest.mark.parametrize(("height", "width", "size"), [(220, 220, 256), (512, 400, 128), (40, 41, 128), (1, 7, 64)])
def test_whole_boxes_equal_torch_interpolate(height, width, size):
    image = torch.rand(3, 2, height, width, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(
        image, (size, size), mode="bilinear", antialias=True, align_corners=False
    )
    lengths = np.tile([[float(height), float(width)]], (3, 1))
    result = resize(image.transpose(1, 2).contiguous(), np.zeros((3, 2)), lengths, size)
    assert (result - expected).abs().max() < 1e-6


def test_items_of_different_size_share_a_padded_batch():
    generator = torch.Generator().manual_seed(1)
    images = [torch.rand(1, 1, *shape, generator=generator) for shape in ((30, 50), (64, 20))]
    padded = torch.full((2, 64, 1, 50), torch.nan)
    padded[:] = 7.0  # what lies in the padding must not matter
    for plane, image in zip(padded, images, strict=True):
        plane[: image.shape[2], 0, : image.shape[3]] = image[0, 0]
    lengths = np.array([i.shape[2:] for i in images], dtype=float)
    result = resize(padded, np.zeros((2, 2)), lengths, 32)
    for item, image in zip(result, images, strict=True):
        expected = torch.nn.functional.interpolate(image, (32, 32), mode="bilinear", antialias=True)
        assert (item - expected[0]).abs().max() < 1e-6


def test_a_fractional_box_of_a_ramp_samples_the_ramp():
    ramp = torch.arange(64.0)[None, :, None, None].expand(1, 64, 1, 64).contiguous()
    start, length, size = 10.3, 32.0, 32
    result = resize(ramp, np.array([[start, start]]), np.array([[length, length]]), size)[0, 0, :, 5]
    expected = start + torch.arange(size) + 0.5 - 0.5
    assert (result[1:-1] - expected[1:-1]).abs().max() < 1e-5


def test_weights_sum_to_one_and_stay_inside_the_interval():
    weights = triangle_weights(np.array([0.4, 0.0]), np.array([9.2, 30.0]), 16, 40)
    assert torch.allclose(weights.sum(dim=2), torch.ones(2, 16))
    assert weights[0, :, 10:].abs().max() == 0 and weights[1, :, 30:].abs().max() == 0
