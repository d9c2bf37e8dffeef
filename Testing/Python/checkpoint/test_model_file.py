"""Our model file: what is saved comes back; anything else is refused in one line that names the file."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from QualitySentinelLib import bundled
from QualitySentinelLib.checkpoint import QualityModel, load_model, save_model
from QualitySentinelLib.checkpoint.model_file import HEADER_KEY
from QualitySentinelLib.errors import InputError, ModelError
from QualitySentinelLib.network import build_network
from QualitySentinelLib.slices import COMPACT
from QualitySentinelLib.text.table import EmbeddingTable

ARCHITECTURE = {
    "kind": "compact",
    "embedding_dim": 12,
    "in_channels": COMPACT.channels,
    "mask_channel": COMPACT.mask_channel,
    "widths": [8, 8, 8, 8],
    "blocks": [1, 1, 1, 1],
}
NAMES = ("liver", "kidney left", "spleen")


def calibration() -> dict:
    """Every key that a model file may have, with as few knots as there can be."""
    return {
        "coverage": 0.9,
        "slice": {"predicted": [0.0, 1.0], "low": [0.0, 0.8], "high": [0.3, 1.0]},
        "segment": {"aggregated": [0.2, 0.5, 0.9], "dsc": [0.1, 0.5, 1], "low": [0, 0.3, 0.8], "high": [0.2, 0.7, 1]},
        "missed": {"threshold": 0.4, "false_flags": 0.05, "reach_mm": 10.0},
    }


@pytest.fixture
def a_model() -> QualityModel:
    """A small model with random weights and three structures."""
    torch.manual_seed(0)
    network = build_network(ARCHITECTURE)
    for parameter in network.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.05)
    vectors = np.random.default_rng(0).normal(size=(3, 12)).astype(np.float32)
    table = EmbeddingTable("test encoder", "a CT of the {}", NAMES, vectors)
    metadata = {"calibration": calibration(), "structures": list(NAMES)}
    return QualityModel("test", network.eval(), ARCHITECTURE, COMPACT, table, metadata)


@pytest.fixture
def a_model_file(a_model, tmp_path):
    """The small model on disk."""
    return save_model(a_model, tmp_path / "model.safetensors")


def images(number=4):
    return torch.rand(number, COMPACT.channels, 128, 128, generator=torch.Generator().manual_seed(1))


def rewrite(path, change_header=None, change_tensors=None, text=None):
    """Write the file again with another header or other tensors."""
    with safe_open(str(path), "pt") as file:
        header = json.loads(file.metadata()[HEADER_KEY])
        tensors = {key: file.get_tensor(key) for key in file.keys()}
    if change_header:
        change_header(header)
    if change_tensors:
        change_tensors(tensors)
    save_file(tensors, str(path), metadata={HEADER_KEY: json.dumps(header) if text is None else text})


def refused(path) -> str:
    with pytest.raises(ModelError) as error:
        load_model(path)
    message = str(error.value)
    assert "\n" not in message and path.name in message and len(message) < 700
    return message


def test_what_is_saved_comes_back(a_model, a_model_file):
    loaded = load_model(a_model_file)
    assert (loaded.name, loaded.architecture, loaded.preset) == (a_model.name, a_model.architecture, a_model.preset)
    assert loaded.metadata == a_model.metadata and loaded.table.names == NAMES and len(loaded.sha256) == 64
    assert (loaded.table.encoder, loaded.table.prompt) == ("test encoder", "a CT of the {}")
    names, scale = ["liver", "spleen", None, "unheard of"], torch.ones(4)
    assert np.allclose(loaded.score(images(), names, scale), a_model.score(images(), names, scale), atol=1e-6)


def test_half_precision_storage_is_half_the_size_and_nearly_equal(a_model, a_model_file, tmp_path):
    path = save_model(a_model, tmp_path / "half.safetensors", half=True)
    assert path.stat().st_size < 0.7 * a_model_file.stat().st_size
    loaded = load_model(path)
    assert all(p.dtype == torch.float32 for p in loaded.network.parameters())
    names = ["liver"] * 4
    assert np.abs(loaded.score(images(), names) - a_model.score(images(), names)).max() < 1e-2


def test_scores_are_raw_float32_and_unknown_structures_are_neutral(a_model):
    scores = a_model.score(images(), ["liver", "unheard of", None, "liver"], torch.ones(4))
    assert scores.dtype == np.float32 and scores.shape == (4,)
    same = images()[:1].expand(2, -1, -1, -1)
    unknown, none = a_model.score(same, ["unheard of", None])
    assert unknown == pytest.approx(none, abs=1e-6)  # rows of one batch may differ in the last digit
    assert a_model.score(images(0), []).shape == (0,)


def test_scores_that_are_no_numbers_are_an_error_and_never_pass_unflagged(a_model):
    with torch.no_grad():
        a_model.network.head[-1].weight.fill_(3e38)  # finite, so the file is in order
    with pytest.raises(ModelError, match="NaN or infinite"):
        a_model.score(images(2), ["liver", None])


def test_scores_follow_weights_that_change(a_model):
    before = a_model.score(images(), ["liver"] * 4)
    with torch.no_grad():
        a_model.network.head[-1].bias[0] += 1.0
    assert np.allclose(a_model.score(images(), ["liver"] * 4), before + 1.0, atol=1e-5)


def test_a_loaded_model_can_be_trained_further(a_model_file):
    network = load_model(a_model_file).network.train()
    network(images(), torch.zeros(4, 12)).sum().backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.parametrize(
    "content", [b"", b"\x01", b"not a model at all", struct.pack("<Q", 1 << 62) + b"{}", b"\x80\x02."]
)
def test_damaged_files_are_refused(tmp_path, content):
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content)
    refused(path)


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.99])
def test_truncated_files_are_refused(a_model_file, keep):
    content = a_model_file.read_bytes()
    a_model_file.write_bytes(content[: int(len(content) * keep)])
    refused(a_model_file)


@pytest.mark.parametrize("text", ["", "not json", "[]", "{}", "null", '{"version": NaN}', "[" * 100_000])
def test_headers_that_are_not_ours_are_refused(a_model_file, text):
    rewrite(a_model_file, text=text)
    refused(a_model_file)


def test_a_safetensors_file_of_someone_else_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, str(path))
    assert "header of Quality Sentinel" in refused(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda h: h.update(version=99), "version"),
        (lambda h: h.update(architecture={"kind": "oracle"}), "oracle"),
        (lambda h: h["architecture"].update(widths=[1024] * 4, blocks=[16] * 4), "tensors are missing"),
        (lambda h: h["architecture"].update(widths=[8, 8, 8, 16]), "shape"),
        (lambda h: h["architecture"].update(embedding_dim=13), "shape"),
        (lambda h: h["preset"].update(size=-1), "size"),
        (lambda h: h["preset"].update(windows=h["preset"]["windows"][:1]), "channels"),
        (lambda h: h["preset"].update(windows=h["preset"]["windows"] * 2), "channels"),
        (lambda h: h["preset"].update(neighbour=False), "takes 4"),
        (lambda h: h["table"].update(names=["liver"]), "shape"),
        (lambda h: h["table"].update(names=["liver", "liver", "spleen"]), "twice"),
        (lambda h: h["table"].update(names=[1, 2, 3]), "names"),
        (lambda h: h["table"].update(names=7), ""),
        (lambda h: h["table"].pop("encoder"), "encoder"),
        (lambda h: h.pop("table"), "table"),
        (lambda h: h.update(metadata=[]), "metadata"),
        (lambda h: h.update(name=3), "name"),
        (lambda h: h["metadata"].update(calibration=[0.1]), "calibration"),
    ],
)
def test_wrong_headers_are_refused(a_model_file, change, said):
    rewrite(a_model_file, change_header=change)
    assert said in refused(a_model_file)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("slice", 0.1, "slice without predicted, low, high"),
        ("slice", {"predicted": [0, 1], "low": [0, 1]}, "slice without predicted, low, high"),
        ("slice", {"predicted": [0, 1], "low": [0, True], "high": [1, 1]}, "numbers from 0 to 1"),
        ("slice", {"predicted": [0, 1], "low": [0, "0.5"], "high": [1, 1]}, "numbers from 0 to 1"),
        ("slice", {"predicted": [0, 1], "low": [0, -0.1], "high": [1, 1]}, "numbers from 0 to 1"),
        ("slice", {"predicted": [0, 1], "low": [0, 0], "high": [1, 1.1]}, "numbers from 0 to 1"),
        ("slice", {"predicted": [0, 1], "low": [0, 0, 0], "high": [1, 1]}, "knots in every column"),
        ("slice", {"predicted": [0], "low": [0], "high": [1]}, "2 to 64 knots"),
        ("slice", {k: [0.5] * 65 for k in ("predicted", "low", "high")}, "2 to 64 knots"),
        ("slice", {"predicted": [1, 0], "low": [0, 0], "high": [1, 1]}, "predicted not ascending"),
        ("slice", {"predicted": [0, 1], "low": [0, 0.9], "high": [1, 0.8]}, "slice with low above high"),
        ("segment", {"aggregated": [0, 1], "low": [0, 0], "high": [1, 1]}, "segment without aggregated, dsc"),
        ("segment", {"aggregated": [1, 0], "dsc": [0, 1], "low": [0, 0], "high": [1, 1]}, "aggregated not ascending"),
        ("coverage", "most", "coverage"),
        ("coverage", 90, "coverage"),
        ("flags", {"threshold": [0, 1], "share": [0]}, "knots in every column"),
        ("flags", {"threshold": [0, 1], "share": [0, 1], "structures": {"liver": 1.2}}, "thresholds of structures"),
        ("flags", {"threshold": [0, 1], "share": [0, 1], "structures": {"liver": None}}, "thresholds of structures"),
        ("flags", {"threshold": [0, 1], "share": [0, 1], "structures": [0.5]}, "thresholds of structures"),
        ("flags", {"threshold": [0, 1], "share": [0, 1], "structures_share": -1}, "share of flags"),
        ("few", ["liver"], "few without known"),
        ("few", {"known": ["liver"]}, "few without known"),
        ("few", {"known": "liver", "patients": 4}, "few without known"),
        ("few", {"known": [], "patients": 4, "slice": {"predicted": [0, 1]}}, "slice without predicted, low"),
        ("missed", [0.5], "missed"),
        ("missed", {"threshold": 1.5}, "missed threshold"),
        ("missed", {"threshold": None}, "missed threshold"),
        ("missed", {"threshold": 0.5, "inner_threshold": -1}, "missed inner_threshold"),
        ("missed", {"threshold": 0.5, "reach_mm": 1000}, "reach_mm"),
    ],
)
def test_wrong_calibrations_are_refused(a_model_file, key, value, said):
    rewrite(a_model_file, change_header=lambda h: h["metadata"]["calibration"].update({key: value}))
    assert said in refused(a_model_file)


def test_a_network_that_takes_another_channel_for_the_mask_is_refused(a_model, tmp_path):
    architecture = {"kind": "compact", "embedding_dim": 12, "in_channels": COMPACT.channels, "widths": [8, 8, 8, 8]}
    for channel in (COMPACT.mask_channel, COMPACT.mask_channel + 1):
        a_model.architecture = architecture | {"mask_channel": channel}
        a_model.network = build_network(a_model.architecture)
        path = save_model(a_model, tmp_path / f"{channel}.safetensors")
        if channel == COMPACT.mask_channel:
            load_model(path)
        else:
            assert "mask" in refused(path)


@pytest.mark.parametrize("kept", [(), ("slice",), ("segment",), ("missed",)])
def test_any_part_of_a_calibration_may_be_absent(a_model_file, kept):
    part = {key: value for key, value in calibration().items() if key in kept}
    rewrite(a_model_file, change_header=lambda h: h["metadata"].update(calibration=part))
    assert load_model(a_model_file).metadata["calibration"] == part


def test_the_half_widths_of_earlier_models_are_no_reason_to_refuse_them(a_model_file):
    old = {"coverage": 0.9, "slice_halfwidth": 0.2, "segment_halfwidth": 0.1}
    rewrite(a_model_file, change_header=lambda h: h["metadata"].update(calibration=old))
    assert load_model(a_model_file).metadata["calibration"] == old


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("network.head.2.bias"), "missing"),
        (lambda t: t.update(extra=torch.zeros(1)), "another architecture"),
        (lambda t: t["network.head.2.bias"].fill_(torch.nan), "NaN"),
        (lambda t: t["embeddings.vectors"].fill_(torch.inf), "infinite"),
        (lambda t: t.update({"network.head.2.bias": torch.zeros(2, dtype=torch.float64)}), "type"),
        (lambda t: t.update({"network.head.2.bias": torch.zeros(2, dtype=torch.int64)}), "type"),
        (lambda t: t.update({"embeddings.vectors": torch.zeros((3, 12), dtype=torch.int64)}), "type"),
    ],
)
def test_wrong_tensors_are_refused(a_model_file, change, said):
    rewrite(a_model_file, change_tensors=change)
    assert said in refused(a_model_file)


def test_missing_files_and_folders_are_refused(tmp_path):
    refused(tmp_path / "nowhere.safetensors")
    refused(tmp_path)


def test_a_file_of_before_names_the_architecture_otherwise_and_scores_alike(a_model, a_model_file, tmp_path):
    a_model.architecture = ARCHITECTURE | {"kind": "pyramid"}
    before = load_model(save_model(a_model, tmp_path / "before.safetensors"))
    assert before.architecture == ARCHITECTURE  # so that a training starts from it, too
    images, now = torch.rand(2, COMPACT.channels, COMPACT.size, COMPACT.size), load_model(a_model_file)
    assert np.array_equal(before.score(images, ["liver", None]), now.score(images, ["liver", None]))


def test_a_diverged_model_is_not_written(a_model, tmp_path):
    with torch.no_grad():
        a_model.network.head[-1].bias.fill_(torch.nan)
    with pytest.raises(ModelError, match="NaN"):
        save_model(a_model, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_an_unwritable_place_is_an_input_error(a_model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError):
        save_model(a_model, tmp_path / "file" / "model.safetensors")


def test_the_bundled_model_is_the_one_in_resources(a_model, tmp_path, monkeypatch):
    source, wheel = tmp_path / "source", tmp_path / "wheel"
    monkeypatch.setattr(bundled, "_MODEL_FOLDERS", (source, wheel))
    with pytest.raises(ModelError, match="no model file"):
        load_model("bundled")
    save_model(a_model, wheel / "a.safetensors")
    assert load_model().name == "test"
    save_model(a_model, wheel / "b.safetensors")
    with pytest.raises(ModelError, match="2 model files"):
        load_model()
