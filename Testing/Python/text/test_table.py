"""The table of text embeddings."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from QualitySentinelLib.errors import ModelError
from QualitySentinelLib.text import EmbeddingTable, TextEncoder


class LetterCounter:
    """An encoder simple enough to check by hand: length of the text, and how often it holds an "l"."""

    name = "letters"
    dimension = 2

    def __init__(self):
        self.seen = []

    def encode(self, texts):
        self.seen += texts
        return np.array([[len(text), text.count("l")] for text in texts], dtype=np.float32)


@pytest.fixture
def a_table():
    return EmbeddingTable("by hand", "", ("liver", "spleen"), np.array([[1.0, 2.0, 3.0], [3.0, 2.0, -1.0]]))


def test_a_name_gives_its_own_vector(a_table):
    assert a_table.vector("spleen").tolist() == [3.0, 2.0, -1.0]
    assert a_table.vector("spleen").dtype == np.float32
    assert "spleen" in a_table and "aorta" not in a_table
    assert (len(a_table), a_table.vectors.shape) == (2, (2, 3))


def test_an_unknown_structure_gets_the_mean_of_all_vectors(a_table):
    assert a_table.vector(None).tolist() == a_table.neutral.tolist() == [2.0, 2.0, 1.0]
    assert a_table.neutral.dtype == np.float32


def test_a_misspelt_name_is_an_error_and_not_silently_neutral(a_table):
    with pytest.raises(KeyError):
        a_table.vector("livr")


def test_vectors_are_kept_as_the_encoder_gives_them():
    table = EmbeddingTable.from_encoder(LetterCounter(), ["liver", "gallbladder"], prompt="{}")
    assert table.vectors.tolist() == [[5.0, 1.0], [11.0, 3.0]]
    assert (table.encoder, table.prompt, table.names) == ("letters", "{}", ("liver", "gallbladder"))


def test_the_name_is_put_into_the_prompt():
    encoder = LetterCounter()
    EmbeddingTable.from_encoder(encoder, ["kidney left"])
    assert encoder.seen == ["A computed tomography image of the kidney left."]


def test_a_prompt_without_a_place_for_the_name_is_refused():
    with pytest.raises(ValueError, match="no {}"):
        EmbeddingTable.from_encoder(LetterCounter(), ["liver"], prompt="A computed tomography image.")


@pytest.mark.parametrize(
    ("names", "vectors"),
    [
        (("liver",), np.zeros((2, 3))),
        (("liver", "spleen"), np.zeros(2)),
        (("liver", "liver"), np.zeros((2, 3))),
        ((), np.zeros((0, 3))),
        (("liver",), np.array([[np.nan, 0.0]])),
    ],
    ids=["more vectors than names", "one-dimensional", "name twice", "empty", "not finite"],
)
def test_a_table_that_does_not_fit_is_refused_in_one_line(names, vectors):
    with pytest.raises(ModelError) as caught:
        EmbeddingTable("by hand", "", names, vectors)
    assert "\n" not in str(caught.value)


def test_an_encoder_is_known_by_its_parts():
    assert isinstance(LetterCounter(), TextEncoder)


def test_importing_text_loads_no_heavy_library(repository):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import QualitySentinelLib.text as text; text.SentenceEncoder(); text.OpenClipEncoder()\n"
        "print(sorted({'torch', 'open_clip', 'transformers', 'sentence_transformers'} & set(sys.modules)))"
    )
    folder = str(repository / "QualitySentinel")
    done = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
