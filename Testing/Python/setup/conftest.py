"""A Slicer, a user who answers its questions, and a folder for models that is the test's own."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest


@pytest.fixture
def the_user(slicer, monkeypatch):
    """Somebody at the screen: ``.says`` yes or no to every question, ``.asked`` keeps them, ``.restarts`` counts."""
    import slicer.packaging

    user = SimpleNamespace(says=True, asked=[], restarts=0)

    def answer(text, windowTitle=None, parent=None, **kwargs):
        user.asked.append(text)
        return user.says

    def restart():
        user.restarts += 1

    monkeypatch.setattr(slicer.app, "testing", False)
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", answer)
    monkeypatch.setattr(slicer.util, "confirmYesNoDisplay", answer)
    monkeypatch.setattr(slicer.util, "restart", restart)
    monkeypatch.setattr(slicer.packaging, "installed", [])
    return user


@pytest.fixture
def models(tmp_path, monkeypatch):
    """The folder of imported models: empty, and not yet there. Outside Slicer."""
    if "slicer" in sys.modules:
        monkeypatch.delattr(sys.modules["slicer"], "app", raising=False)
    for variable in ("XDG_DATA_HOME", "LOCALAPPDATA", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "data"))
    from QualitySentinelLib.setup import model_folder

    folder = model_folder()
    assert tmp_path in folder.parents
    return folder


@pytest.fixture
def published_files(shared, tmp_path):
    """A published checkpoint (.pth) and its embeddings (.pkl) in a folder, as users download them."""
    import shutil

    import torch

    from QualitySentinelLib.network import build_network

    embeddings = shared / "data" / "quality_sentinel" / "label_embedding.pkl"
    if not embeddings.is_file():
        pytest.skip("the published embeddings are not here")
    architecture = {"kind": "published", "backbone": "resnet18", "hidden_dim": 50, "embedding_dim": 512}
    folder = tmp_path / "published"
    folder.mkdir()
    torch.save(build_network(architecture).state_dict(), folder / "best_model.pth")
    shutil.copy(embeddings, folder / "label_embedding.pkl")
    return folder / "best_model.pth", folder / "label_embedding.pkl"
