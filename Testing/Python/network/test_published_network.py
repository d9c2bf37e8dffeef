"""The published network: keys, shapes and outputs equal upstream's."""

from __future__ import annotations

import csv
import json
import sys
import zlib

import numpy as np
import pytest
import torch

from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.network import build_network, optimize_for_inference
from QualitySentinelLib.network.published import BACKBONES, architecture_of, unused_shapes, without_unused

TOLERANCE = 1e-5


def load_fixture(folder, backbone):
    """Arrays and state dict of a model fixture (recipe in the fixtures' README)."""
    arrays = np.load(folder / f"model_fixture_{backbone}.npz")
    state = {}
    for key, shape, kind, _ in json.loads((folder / f"model_fixture_{backbone}.json").read_text())["keys"]:
        if kind == "stored":
            state[key] = torch.from_numpy(arrays["small__" + key])
            continue
        if "q__" + key in arrays:
            values = arrays["q__" + key]
        else:
            normal = np.random.RandomState(zlib.crc32(key.encode())).randn(int(np.prod(shape)))
            values = np.clip(np.rint(normal * 40.0), -127, 127).astype(np.int8).reshape(shape)
        state[key] = torch.from_numpy(values.astype(np.float32) * np.float32(arrays["scale__" + key]))
    return arrays, state


@pytest.fixture(scope="module", params=["resnet18", "resnet50"])
def published(request, shared):
    """(arrays, network with the fixture's weights) for two backbones."""
    arrays, state = load_fixture(shared / "fixtures", request.param)
    architecture = architecture_of(state)
    assert architecture == {"kind": "published", "backbone": request.param, "hidden_dim": 50, "embedding_dim": 512}
    network = build_network(architecture)
    network.load_state_dict(without_unused(state))
    return arrays, network.eval()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_keys_and_shapes_equal_upstreams(backbone, shared):
    with open(shared / "fixtures" / f"state_dict_keys_{backbone}.csv") as stream:
        rows = list(csv.DictReader(stream))
    expected = {r["key"]: () if r["shape"] == "scalar" else tuple(int(n) for n in r["shape"].split("x")) for r in rows}
    with torch.device("meta"):
        network = build_network({"kind": "published", "backbone": backbone})
    found = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    assert found | unused_shapes(backbone) == expected
    assert found == without_unused(expected)


@torch.inference_mode()
def test_outputs_equal_upstreams(published):
    arrays, network = published
    inputs, embeddings = torch.from_numpy(arrays["inputs"]), torch.from_numpy(arrays["embeddings"])
    for runner in (network, optimize_for_inference(network)):
        assert np.abs(runner(inputs, embeddings).numpy() - arrays["predicted_dsc"]).max() < TOLERANCE
        alone = torch.cat([runner(inputs[n : n + 1], embeddings[n : n + 1]) for n in range(4)])
        assert np.abs(alone.numpy() - arrays["predicted_dsc_batch1"]).max() < TOLERANCE
        empty = inputs.clone()
        empty[:, 1] = -1.0
        assert np.abs(runner(empty, embeddings).numpy() - arrays["empty_mask_predicted_dsc"]).max() < TOLERANCE


@torch.inference_mode()
def test_outputs_for_all_145_labels_equal_upstreams(shared):
    arrays, state = load_fixture(shared / "fixtures", "resnet18")
    network = build_network(architecture_of(state))
    network.load_state_dict(without_unused(state))
    network = optimize_for_inference(network)
    table = torch.from_numpy(np.load(shared / "fixtures" / "label_embedding_145x512_f32.npy"))
    one = torch.from_numpy(arrays["inputs"][:1])
    outputs = torch.cat([network(one.expand(29, -1, -1, -1), rows) for rows in table.split(29)])
    assert np.abs(outputs.numpy() - arrays["pair0_predicted_dsc_for_all_145_classes"]).max() < TOLERANCE
    both = network(one.expand(2, -1, -1, -1), table[13:14])
    assert both.shape == (2, 1) and (both - outputs[13]).abs().max() < TOLERANCE


def test_without_torchvision_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(UsageError, match="a published checkpoint needs torchvision, which is not installed"):
        build_network({"kind": "published", "backbone": "resnet18"})
