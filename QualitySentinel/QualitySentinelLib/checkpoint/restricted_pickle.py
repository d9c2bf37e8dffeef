"""Reads the published ``label_embedding.pkl`` by a restricted unpickler.

The file is a pickled ``{int: tensor}``; each tensor's storage is a ``torch.save`` blob of the old, sequential format,
which torch's own reader, restricted to weights, takes apart. The few names a file may mention stand for functions of
this module (``find_class``); other names and all instructions that are not needed are refused. It is Python's
unpickler, not that of C: the latter's memory is no match for a hostile file. The work one file can cause has a budget.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import pickletools
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

from ..errors import ModelError, reason_of

_FILE_BYTES = 64 << 20


class _Refused(ValueError):
    """The pickle does something that an embedding table has no need of."""


def read_label_embeddings(path: str | os.PathLike) -> dict[int, np.ndarray]:
    """The embeddings of ``label_embedding.pkl``: label id to float32 ``[D]``, in the file's order.

    Raises:
        ModelError: one line that names the file: it cannot be read, is too large, is damaged, is something else, or
            names anything that an embedding table does not need (such a file may be an attack).
    """
    path = Path(path)
    try:
        size = os.stat(path).st_size
        if size > _FILE_BYTES:
            raise _Refused(f"{size >> 20} MB is larger than any embedding table")
        return _embeddings(_Unpickler(path.read_bytes()).load())
    except OSError as error:
        reason = error.strerror or error
        raise ModelError(f"{path}: the embeddings cannot be read ({reason}); check the path") from error
    except _Refused as error:
        raise ModelError(f"{path}: refused: {error}; get the published file again") from error
    except (
        ValueError, LookupError, TypeError, AttributeError, ArithmeticError, EOFError, RecursionError, MemoryError,
        pickle.PickleError,
    ) as error:  # fmt: skip
        raise ModelError(
            f"{path}: not a readable embedding table ({reason_of(error, 120)}); get the published file again"
        ) from error


def _embeddings(value: object) -> dict[int, np.ndarray]:
    if not isinstance(value, dict) or not value:
        raise _Refused("it holds no table of embeddings")
    table = {}
    for key, tensor in value.items():
        if type(key) is not int or not isinstance(tensor, np.ndarray) or tensor.size == 0:
            raise _Refused("it is not a table of label numbers and tensors")
        table[key] = tensor.reshape(-1)
    if len({vector.size for vector in table.values()}) != 1:
        raise _Refused("its embeddings differ in size")
    if not all(np.isfinite(vector).all() for vector in table.values()):
        raise _Refused("its embeddings hold NaN or infinite values")
    return table


_ALLOWED = frozenset(
    getattr(pickle, name)[0]
    for name in (
        "PROTO", "FRAME", "STOP", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
        "SHORT_BINUNICODE", "BINUNICODE", "SHORT_BINBYTES", "BINBYTES", "MARK", "EMPTY_DICT", "EMPTY_LIST",
        "EMPTY_TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "TUPLE", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "MEMOIZE",
        "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "GLOBAL", "STACK_GLOBAL", "REDUCE",
    )
)  # fmt: skip


class _Unpickler(pickle._Unpickler):  # the one in Python
    """Containers, numbers and texts, and the few names that an embedding table mentions: plain functions of ours."""

    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))
        self.dispatch = self  # type: ignore[misc, assignment]  # asked for each instruction
        self._budget = {"instructions": 500_000, "numbers": 16_000_000}  # the published file needs 14 000 and 74 240
        self._names = {
            "collections.OrderedDict": lambda: OrderedDict(),  # without arguments
            "torch.storage._load_from_bytes": _storage_of_blob,
            "torch._utils._rebuild_tensor_v2": self._tensor,
        }

    stack: list

    def __getitem__(self, opcode: int):
        """What is done for an instruction."""
        self._spend("instructions", 1)
        if opcode not in _ALLOWED:
            name = next((o.name for o in pickletools.opcodes if o.code == chr(opcode)), opcode)
            raise _Refused(f"the pickle instruction {name} has no place in an embedding table")
        if opcode in (pickle.SETITEM[0], pickle.SETITEMS[0]):
            keys = self.stack[-2:-1] if opcode == pickle.SETITEM[0] else self.stack[::2]
            if not all(type(key) in (int, str) for key in keys):  # hashing a deep tuple recurses without a guard
                raise _Refused("a dictionary key that is neither number nor text")
        return super().dispatch[opcode]

    def find_class(self, module: str, attribute: str) -> object:
        """Nothing is imported."""
        name = f"{module}.{attribute}"
        if name not in self._names:
            shown = "".join(c if c.isprintable() else "?" for c in name[:100])
            raise _Refused(f"it asks for {shown}, which an embedding table does not need; the file may be an attack")
        return self._names[name]

    def _spend(self, what: str, count: int) -> None:
        self._budget[what] -= count
        if self._budget[what] < 0:
            raise _Refused("it asks for far more than an embedding table needs")

    def _tensor(self, storage, offset, shape, strides, _requires_grad, _hooks, _metadata=None) -> np.ndarray:
        """The tensor as a new float32 array, every element checked to lie inside the storage."""
        _expect(storage, np.ndarray)
        numbers = (offset, *_expect(shape, tuple), *_expect(strides, tuple))
        whole = all(type(n) is int and 0 <= n <= storage.size for n in numbers)
        if len(numbers) > 9 or len(shape) != len(strides) or not whole:
            raise _Refused("a tensor whose shape does not fit its storage")
        elements = math.prod(shape)
        last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
        if elements == 0 or elements > storage.size or last >= storage.size:
            raise _Refused("a tensor that reaches outside its storage")
        self._spend("numbers", elements)
        view = np.lib.stride_tricks.as_strided(
            storage[offset:], shape, [s * storage.itemsize for s in strides], writeable=False
        )
        return np.array(view, dtype=np.float32)


def _expect(value: object, kind: type):
    if not isinstance(value, kind):
        raise _Refused(f"a damaged pickle: {type(value).__name__} where {kind.__name__.strip('_')} belongs")
    return value


def _storage_of_blob(blob: bytes) -> np.ndarray:
    """The numbers of the one storage in a sequential ``torch.save`` blob."""
    stream = io.BytesIO(_expect(blob, bytes))
    if blob.startswith(b"PK"):  # the other format of torch.save, whose content may be packed a thousandfold
        raise _Refused("a storage that is not in the old, sequential format")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch remarks on storages of before it had untyped ones
            storage = torch.load(stream, map_location="cpu", weights_only=True)
            return torch.tensor([], dtype=storage.dtype).set_(storage).numpy()
    except Exception as error:  # torch's readers raise nearly anything on damaged files
        raise _Refused(f"a storage that torch does not read as weights ({reason_of(error, 120)})") from error
