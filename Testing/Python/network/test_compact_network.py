"""The compact network: what it depends on, what empty and perfect masks give, and that folding changes nothing."""

from __future__ import annotations

import math

import pytest
import torch

from QualitySentinelLib.errors import ModelError
from QualitySentinelLib.network import build_network, optimize_for_inference

COMPACT = {"kind": "compact", "embedding_dim": 384, "in_channels": 4}
SMALL = COMPACT | {"widths": [8, 8, 16, 16], "blocks": [1, 1, 1, 1], "map_width": 8, "embedding_dim": 12}


def inputs(number=5, dimension=12):
    generator = torch.Generator().manual_seed(0)
    return (
        torch.rand(number, 4, 128, 128, generator=generator) * 2 - 1,
        torch.randn(number, dimension, generator=generator),
        torch.rand(number, generator=generator) + 0.5,
    )


def trained(architecture):
    """A network whose normalisation statistics, modulation and weights are not those of initialisation."""
    torch.manual_seed(0)
    network = build_network(architecture)
    for parameter in network.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.05)
    network.train()
    with torch.no_grad():
        network(*inputs(8, architecture["embedding_dim"]))
    return network.eval()


def test_it_is_small():
    numbers = sum(p.numel() for p in build_network(COMPACT).parameters())
    assert numbers * 4 <= 13e6


@torch.inference_mode()
def test_folding_changes_nothing_and_leaves_the_original():
    network = trained(SMALL)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    fast = optimize_for_inference(network)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in fast.modules())
    assert (fast(*inputs()) - network(*inputs())).abs().max() < 1e-5
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@torch.inference_mode()
def test_output_depends_on_image_structure_and_scale_and_not_on_the_batch():
    network = trained(SMALL)
    images, embeddings, pixel_mm = inputs()
    outputs = network(images, embeddings, pixel_mm)
    assert outputs.shape == (5, 1)
    assert (network(images[2:3], embeddings[2:3], pixel_mm[2:3]) - outputs[2]).abs().max() < 1e-5
    for changed in (
        network(images.flip(3), embeddings, pixel_mm),
        network(images, embeddings.flip(1), pixel_mm),
        network(images, embeddings, pixel_mm * 2),
    ):
        assert (changed - outputs).abs().max() > 1e-4
    ones = torch.ones(5)
    assert (network(images, embeddings) - network(images, embeddings, ones)).abs().max() < 1e-5
    assert network(images, embeddings[:1], pixel_mm).shape == (5, 1)


def shares_of(network, inside, outside):
    """Have every pixel of the shares say the same."""
    network.pyramid.logits.weight.data.zero_()
    network.pyramid.logits.bias.data[:4] = torch.logit(torch.tensor(inside), eps=1e-9)
    network.pyramid.logits.bias.data[4:] = torch.logit(torch.tensor(outside), eps=1e-9)
    return network.eval()


@torch.inference_mode()
def test_the_untouched_head_gives_the_dice_of_the_shares_drawn():
    images, embeddings, pixel_mm = inputs()
    images[:, 2] = -1.0
    images[:, 2, 32:96, 32:96] = 1.0  # a quarter of the crop
    perfect = shares_of(build_network(SMALL), 1.0, 0.0)(images, embeddings, pixel_mm)
    half = shares_of(build_network(SMALL), 0.5, 0.0)(images, embeddings, pixel_mm)
    wrong = shares_of(build_network(SMALL), 0.0, 0.25)(images, embeddings, pixel_mm)
    assert (perfect - 1.0).abs().max() < 0.01
    assert (half - 2 * 0.125 / (0.125 + 0.25)).abs().max() < 0.01
    assert wrong.abs().max() < 0.01


@torch.inference_mode()
def test_an_empty_mask_is_right_where_no_reference_is_expected_and_missed_where_one_is():
    images, embeddings, pixel_mm = inputs()
    images[:, 2] = -1.0
    assert shares_of(build_network(SMALL), 0.5, 1e-9)(images, embeddings, pixel_mm).min() > 0.8
    assert shares_of(build_network(SMALL), 0.5, 0.05)(images, embeddings, pixel_mm).max() < 0.02


@torch.inference_mode()
def test_the_gate_multiplies_the_dsc_of_masks_and_not_that_of_empty_ones():
    torch.manual_seed(0)
    network = build_network(SMALL | {"told_dim": 23}).eval()
    plain = build_network(SMALL).eval()
    plain.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("identity.")})
    images, embeddings, pixel_mm = inputs()
    images[0, 2] = -1.0
    where = torch.randn(5, 23), torch.rand(5, 2, 64, 64)
    known = torch.tensor(4.0).sigmoid()
    expected = plain(images, embeddings, pixel_mm) * torch.tensor([1, *[known] * 4])[:, None]
    assert (network(images, embeddings, pixel_mm, *where) - expected).abs().max() < 1e-6
    network.identity.expect(0.2, 0.02)
    believed = torch.tensor(4.0 + math.log(0.25) - math.log(2 / 98)).sigmoid()
    assert (network(images, embeddings, pixel_mm, *where)[1:] - expected[1:] / known * believed).abs().max() < 1e-5
    for parameter in network.identity.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.1)
    fast = optimize_for_inference(network)
    output = network(images, embeddings, pixel_mm, *where)
    assert (fast(images, embeddings, pixel_mm, *where) - output).abs().max() < 1e-5
    assert (network(images, embeddings, pixel_mm, where[0].flip(1), where[1]) - output).abs().max() > 1e-4
    assert (network(images, embeddings, pixel_mm, where[0], where[1].flip(3)) - output).abs().max() > 1e-4


@pytest.mark.parametrize("told_dim", [0, 23])
def test_gradients_reach_every_parameter(told_dim):
    torch.manual_seed(0)
    network = build_network(SMALL | {"told_dim": told_dim}).train()
    for parameter in network.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.05)
    where = (torch.randn(5, told_dim), torch.rand(5, 2, 64, 64)) if told_dim else ()
    output, logits, _ = network.with_shares(*inputs(), *where)
    (output.sum() + logits.mean()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize(
    "architecture",
    [
        None, [], {}, {"kind": "transformer"}, {"kind": ["compact"]}, COMPACT | {"widths": [8]},
        COMPACT | {"widths": [8, 8, 8, 10**9]}, COMPACT | {"depth": 3},
        COMPACT | {"blocks": 2}, COMPACT | {"mask_channel": 4},
        COMPACT | {"embedding_dim": "384"}, COMPACT | {"in_channels": True},
        {"kind": "published", "backbone": "vgg16"}, {"kind": "published", "hidden_dim": -1},
    ],
)  # fmt: skip
def test_nonsense_is_a_model_error(architecture):
    with pytest.raises(ModelError) as error:
        build_network(architecture)
    assert "\n" not in str(error.value)
