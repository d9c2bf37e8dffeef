"""The published embeddings are read exactly, and a pickle that wants anything else is refused without being run."""

from __future__ import annotations

import builtins
import collections
import contextlib
import io
import os
import pickle
import struct

import numpy as np
import pytest
import torch

from QualitySentinelLib.checkpoint.restricted_pickle import read_label_embeddings
from QualitySentinelLib.errors import ModelError


class Calls:
    """Pickles as a call of ``function(*arguments)``."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


class Storage:
    """Pickles as torch's call that reads a storage from ``blob``."""

    def __init__(self, blob):
        self.blob = blob

    def __reduce__(self):
        return torch.storage._load_from_bytes, (self.blob,)


def tensor(blob=None, offset=0, shape=(1, 4), strides=(4, 1), numbers=(1, 2, 3, 4)):
    """Pickles as the published file's tensors do."""
    blob = storage_blob(numbers) if blob is None else blob
    return Calls(
        torch._utils._rebuild_tensor_v2, Storage(blob), offset, shape, strides, False, collections.OrderedDict()
    )


def storage_blob(numbers):
    """What torch.save writes for one storage, in the old sequential format."""
    stream = io.BytesIO()
    storage = torch.tensor(numbers, dtype=torch.float32).storage()
    torch.save(storage, stream, _use_new_zipfile_serialization=False)
    return stream.getvalue()


@pytest.fixture
def file_of(tmp_path):
    """Writes bytes, or the pickle of an object, to a file."""

    def write(content, protocol=4):
        path = tmp_path / "label_embedding.pkl"
        path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
        return path

    return write


def refused(path) -> str:
    with pytest.raises(ModelError) as error:
        read_label_embeddings(path)
    message = str(error.value)
    assert "\n" not in message and path.name in message and len(message) < 500
    return message


def test_the_published_file_is_read_exactly(shared):
    table = read_label_embeddings(shared / "data" / "quality_sentinel" / "label_embedding.pkl")
    assert list(table) == list(range(145))
    expected = np.load(shared / "fixtures" / "label_embedding_145x512_f32.npy")
    assert np.array_equal(np.stack(list(table.values())), expected)


@pytest.mark.parametrize("protocol", [3, 4, 5])  # 2 has no bytes and would need a text codec
def test_a_table_like_the_published_one_is_read(file_of, protocol):
    table = read_label_embeddings(file_of({0: tensor(), 7: tensor(numbers=(5, 6, 7, 8))}, protocol))
    assert list(table) == [0, 7] and np.array_equal(table[7], [5, 6, 7, 8]) and table[7].dtype == np.float32


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "function", [os.system, eval, exec, os.remove, builtins.getattr, pickle.loads, torch.load, io.open]
)
def test_other_names_are_refused_and_never_run(file_of, function, protocol, tmp_path):
    victim = tmp_path / "victim"
    for value in ({0: Calls(function, f"touch {victim}")}, Calls(function, str(victim)), [Calls(function, "1")]):
        refused(file_of(value, protocol))
    assert not victim.exists()


def test_the_refusal_says_what_the_file_asks_for(file_of):
    assert "system" in refused(file_of({0: Calls(os.system, "true")}))


def test_names_nested_in_a_storage_are_refused(file_of, tmp_path):
    victim = tmp_path / "victim"
    attack = pickle.dumps(Calls(os.system, f"touch {victim}"), 2)
    good = storage_blob((1, 2, 3, 4))
    for blob in (attack, pickle.dumps(0x1950A86A20F9469CFC6C, 2) + attack, good[:15] + attack, good[:137] + attack):
        refused(file_of({0: tensor(blob)}))
    assert not victim.exists()
    inner = pickle.dumps({0: Storage(good)}, 2)  # a storage may not load a storage
    refused(file_of({0: tensor(good[:137] + inner)}))


def test_storages_in_an_archive_that_may_be_packed_are_refused(file_of):
    stream = io.BytesIO()
    torch.save(torch.tensor([1.0, 2.0, 3.0, 4.0]).storage(), stream)
    assert "old, sequential format" in refused(file_of({0: tensor(stream.getvalue())}))


def test_allowed_names_may_not_be_called_otherwise(file_of):
    for value in (
        Calls(collections.OrderedDict, [(1, 2)]),
        Calls(torch._utils._rebuild_tensor_v2, 1, 2),
        Calls(torch.storage._load_from_bytes, "text"),
        Calls(torch.storage._load_from_bytes),
    ):
        refused(file_of({0: value}))


@pytest.mark.parametrize(
    "shape",
    [
        {"offset": 1}, {"offset": -1}, {"shape": (2, 4)}, {"strides": (4, 2)}, {"shape": (-1, 4)},
        {"shape": (1 << 62, 4)}, {"shape": (4, 4), "strides": (0, 0)}, {"shape": (0, 4)}, {"shape": (1,)},
        {"shape": (1.0, 4)}, {"shape": (), "strides": (1,)}, {"shape": (1,) * 50, "strides": (1,) * 50},
    ],
)  # fmt: skip
def test_tensors_outside_their_storage_are_refused(file_of, shape):
    refused(file_of({0: tensor(**shape)}))


@pytest.mark.parametrize(
    "value",
    [
        {}, [], None, 3, {0: None}, {"liver": tensor()}, {0: [1.0, 2.0]}, {True: tensor()}, {(0,): tensor()},
        {0: tensor(), 1: tensor(numbers=(1, 2), shape=(1, 2), strides=(2, 1))},
        {0: tensor(numbers=(1, 2, 3, float("nan")))},
    ],
)  # fmt: skip
def test_other_contents_are_refused(file_of, value):
    refused(file_of(value))


def test_damaged_files_are_refused(file_of, tmp_path):
    good = pickle.dumps({0: tensor()}, 4)
    for content in (b"", b".", b"\x80\x04.", b"(" * 1000, good[:-1], good[: len(good) // 2], b"PK\x03\x04", b"N" * 100):
        refused(file_of(content))
    rng = np.random.default_rng(0)
    for _ in range(200):  # whatever happens to a byte, it is read or refused
        damaged = bytearray(good)
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        path = file_of(bytes(damaged))
        with contextlib.suppress(ModelError):
            read_label_embeddings(path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_label_embeddings(tmp_path / "nowhere.pkl")


def test_bombs_are_refused_quickly(file_of):
    huge = struct.pack("<Q", 1 << 60)
    for content in (
        b"\x80\x04\x8e" + huge + b"abc.",  # BINBYTES8 of an exabyte
        b"\x80\x04\x96" + huge + b"abc.",  # BYTEARRAY8
        b"\x80\x04\x8d" + huge + b"abc.",  # BINUNICODE8
        b"\x80\x04N" + b"r\xff\xff\xff\xff" + b".",  # LONG_BINPUT far away
        b"\x80\x04" + b"]" * 100_000 + b".",
        b"\x80\x04)" + b"\x85" * 500_000 + b".",  # a tuple 500 000 deep
        b"\x80\x04})" + b"\x85" * 500_000 + b"Ns.",  # and as a key
        b"\x80\x04" + b"N0" * 1_500_000 + b".",
        b"\x80\x04" + b"NN" * 1_500_000 + b".",
        b"I" + b"9" * 1_000_000 + b"\n.",
    ):
        refused(file_of(content))


def test_one_storage_copied_many_times_is_refused(file_of):
    blob = storage_blob(np.ones(100_000))
    storage = Storage(blob)
    rebuild = torch._utils._rebuild_tensor_v2
    value = {
        n: Calls(rebuild, storage, 0, (1, 100_000), (100_000, 1), False, collections.OrderedDict()) for n in range(500)
    }
    assert "far more" in refused(file_of(value))


def test_a_list_that_holds_itself_is_refused(file_of):
    loop = []
    loop.append(loop)
    refused(file_of({0: loop}))
