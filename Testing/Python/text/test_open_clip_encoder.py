"""CLIP text encoders through open_clip, here with a small model of random weights: nothing is downloaded."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from QualitySentinelLib.errors import ModelError
from QualitySentinelLib.text import EmbeddingTable, OpenClipEncoder, TextEncoder
from QualitySentinelLib.text.encoders import _BATCH

open_clip = pytest.importorskip("open_clip")
torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def a_small_clip():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return open_clip.model.CLIP(
            embed_dim=16,
            vision_cfg=open_clip.model.CLIPVisionCfg(layers=1, width=32, head_width=16, patch_size=16, image_size=16),
            text_cfg=open_clip.model.CLIPTextCfg(layers=2, width=32, heads=2),
        )


@pytest.fixture
def encoder(a_small_clip, monkeypatch):
    monkeypatch.setattr(open_clip, "create_model", lambda *_architecture, **_weights: a_small_clip)
    return OpenClipEncoder("ViT-B-32", "openai")


def test_vectors_are_those_of_the_text_tower(encoder, a_small_clip):
    texts = ["kidney left", "kidney right"]
    with torch.inference_mode():
        expected = a_small_clip.eval().encode_text(open_clip.get_tokenizer("ViT-B-32")(texts)).numpy()
    vectors = encoder.encode(texts)
    assert vectors.dtype == np.float32 and vectors.shape == (2, 16)
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


def test_many_texts_are_encoded_in_batches_without_changing_them(encoder):
    texts = [f"structure {n}" for n in range(_BATCH + 3)]
    vectors = encoder.encode(texts)
    assert vectors.shape == (len(texts), 16)
    np.testing.assert_allclose(vectors[-1:], encoder.encode(texts[-1:]), atol=1e-5)


def test_the_table_says_which_encoder_made_it(encoder):
    table = EmbeddingTable.from_encoder(encoder, ["liver", "spleen"])
    assert table.encoder == "open_clip ViT-B-32 openai"
    assert isinstance(encoder, TextEncoder)


def test_weights_that_cannot_be_had_are_one_clear_line(monkeypatch):
    def offline(*_arguments, **_options):
        raise OSError("Connection refused\nwhile asking the hub")

    monkeypatch.setattr(open_clip, "create_model", offline)
    with pytest.raises(ModelError, match="Connection refused while asking the hub") as caught:
        OpenClipEncoder().encode(["liver"])
    assert "\n" not in str(caught.value) and "open_clip ViT-B-32 openai" in str(caught.value)


def test_an_architecture_that_does_not_exist_is_one_clear_line():
    with pytest.raises(ModelError, match="no-such-model"):
        OpenClipEncoder("no-such-model").encode(["liver"])


def test_a_missing_package_is_one_clear_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(ModelError, match="install open_clip_torch"):
        OpenClipEncoder().encode(["liver"])
