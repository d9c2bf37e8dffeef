"""The published checkpoint, as users have it: ``.pth`` beside ``label_embedding.pkl``."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from QualitySentinelLib.checkpoint import load_model, save_model
from QualitySentinelLib.checkpoint.published import load_published, read_state_dict
from QualitySentinelLib.errors import ModelError
from QualitySentinelLib.slices import PUBLISHED

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "network"))
from test_published_network import load_fixture


class Attack:
    """Runs a shell command when unpickled by anyone careless."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.fixture(scope="module")
def fixture(shared):
    """Arrays and state dict (with the unused tensors) of the resnet18 fixture."""
    return load_fixture(shared / "fixtures", "resnet18")


@pytest.fixture(scope="module")
def published_files(fixture, shared, tmp_path_factory):
    """(.pth, .pkl) in a folder."""
    folder = tmp_path_factory.mktemp("published")
    torch.save(fixture[1], folder / "best.pth")
    shutil.copy(shared / "data" / "quality_sentinel" / "label_embedding.pkl", folder)
    return folder / "best.pth", folder / "label_embedding.pkl"


def refused(path, embeddings=None) -> str:
    with pytest.raises(ModelError) as error:
        load_model(path, embeddings)
    message = str(error.value)
    assert "\n" not in message and len(message) < 700
    return message


def test_it_loads_and_gives_the_published_numbers(fixture, published_files):
    arrays, _ = fixture
    model = load_model(published_files[0])
    assert model.preset == PUBLISHED and model.architecture["backbone"] == "resnet18"
    assert not any(key.startswith(("net.conv1", "net.bn1", "net.fc")) for key in model.network.state_dict())
    names = [model.table.names[n] for n in (13, 12, 62, 15)]
    assert names[0] == "liver" and len(model.table.names) == len(set(model.table.names)) == 145
    scores = model.score(torch.from_numpy(arrays["inputs"]), names)
    assert np.abs(scores - arrays["predicted_dsc"][:, 0]).max() < 1e-5


def test_structures_have_the_texts_of_their_own_names(published_files):
    table = load_published(*published_files).table  # upstream's inference gives the bladder the text of the prostate
    assert not np.array_equal(table.vector("bladder"), table.vector("prostate"))
    assert "face" not in table  # upstream: that of the left cheek


def test_it_can_be_kept_as_a_file_of_ours(fixture, published_files, tmp_path):
    model = load_published(*published_files)
    again = load_model(save_model(model, tmp_path / "converted.safetensors"))
    inputs = torch.from_numpy(fixture[0]["inputs"][:1])
    assert np.allclose(again.score(inputs, ["liver"]), model.score(inputs, ["liver"]), atol=1e-6)


def test_the_sequential_format_loads_too(fixture, published_files, tmp_path):
    torch.save(fixture[1], tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert load_model(tmp_path / "old.pth", published_files[1]).architecture["backbone"] == "resnet18"


def test_embeddings_are_needed(fixture, tmp_path):
    torch.save(fixture[1], tmp_path / "alone.pth")
    assert "label_embedding.pkl" in refused(tmp_path / "alone.pth")
    assert "nowhere.pkl" in refused(tmp_path / "alone.pth", tmp_path / "nowhere.pkl")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.filterwarnings("error")
def test_hostile_checkpoints_are_refused_and_never_run(tmp_path, published_files, zipped):
    victim = tmp_path / "victim"
    path = tmp_path / "hostile.pth"
    torch.save({"fc1.weight": Attack(f"touch {victim}")}, path, _use_new_zipfile_serialization=zipped)
    assert "system" in refused(path, published_files[1])
    path.write_bytes(pickle.dumps(Attack(f"touch {victim}")))
    refused(path, published_files[1])
    assert not victim.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.clear(),
        lambda s: s.pop("fc1.weight"),
        lambda s: s.pop("net.layer1.0.conv1.weight"),
        lambda s: s.update(extra=torch.zeros(1)),
        lambda s: s.update({"net.fc.bias": torch.zeros(7)}),
        lambda s: s.update({"conv1.weight": torch.zeros(64, 3, 7, 7)}),
        lambda s: s.update({"fc2.bias": torch.tensor([torch.nan])}),
        lambda s: s.update({"fc2.bias": torch.tensor([1j])}),
        lambda s: s.update({"fc2.bias": torch.tensor([1])}),
        lambda s: s.update({"bn1.num_batches_tracked": torch.tensor(0.5)}),
        lambda s: s.update({"fc2.bias": 1.0}),
        lambda s: s.update({"attention1.weight": torch.zeros(3)}),
    ],
)
def test_other_checkpoints_are_refused(fixture, published_files, tmp_path, change):
    state = dict(fixture[1])
    change(state)
    torch.save(state, tmp_path / "other.pth")
    assert "other.pth" in refused(tmp_path / "other.pth", published_files[1])


def test_damaged_checkpoints_are_refused(published_files, tmp_path):
    good = published_files[0].read_bytes()
    path = tmp_path / "damaged.pth"
    for content in (b"", b"x", good[:1000], good[: len(good) // 2], b"PK\x03\x04" + bytes(100)):
        path.write_bytes(content)
        assert "damaged.pth" in refused(path, published_files[1])


def test_archives_that_unpack_to_huge_sizes_are_refused(tmp_path, monkeypatch):
    from QualitySentinelLib.checkpoint import published

    monkeypatch.setattr(published, "_FILE_BYTES", 1 << 20)
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(4 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ModelError, match="larger"):
        read_state_dict(path)
