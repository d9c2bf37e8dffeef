"""Reads the published ``label_embedding.pkl`` without unpickling it: a small interpreter of the few opcodes it needs.

The file is a pickled ``{int: tensor}``; each tensor's storage is a ``torch.save`` blob of the old, sequential format,
a pickle again. Both are parsed here (opcodes by ``pickletools``, which executes nothing) and interpreted with plain
Python values; the few names a file may mention stand for functions of this module, any other name is refused. Nothing
here walks a container recursively, and the work one file can cause is bounded by :class:`_Budget`.
"""

from __future__ import annotations

import io
import os
import pickletools
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import ModelError, reason_of

_FILE_BYTES = 64 << 20
_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_MARK = object()


class _Refused(ValueError):
    """The pickle does something that an embedding table has no need of."""


class _Name(str):
    """A global's dotted name: stands for it on the stack, never imported."""


@dataclass
class _Budget:
    """What one file may still ask for; the published one needs 14 000 instructions and 74 240 numbers."""

    instructions: int = 2_000_000
    numbers: int = 16_000_000

    def spend(self, instructions: int = 0, numbers: int = 0) -> None:
        self.instructions -= instructions
        self.numbers -= numbers
        if self.instructions < 0 or self.numbers < 0:
            raise _Refused("it asks for far more than an embedding table needs")


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
        return _embeddings(_Interpreter(_Budget(), _call).run(io.BytesIO(path.read_bytes())))
    except OSError as error:
        reason = error.strerror or error
        raise ModelError(f"{path}: the embeddings cannot be read ({reason}); check the path") from error
    except _Refused as error:
        raise ModelError(f"{path}: refused: {error}; get the published file again") from error
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, MemoryError) as error:
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


class _Interpreter:
    """The stack machine of pickle for containers, numbers and texts.

    Args:
        budget: shared by all interpreters of one file.
        call: ``call(name, arguments, budget)`` does what REDUCE asks for, or refuses.
        persistent: the same for persistent ids; without it they are refused.
    """

    def __init__(self, budget: _Budget, call, persistent=None) -> None:
        self._budget, self._call, self._persistent = budget, call, persistent

    def run(self, stream: io.BytesIO) -> object:
        """The value of the pickle that starts at the stream's position; leaves the stream after it."""
        stack: list = []
        memo: dict[int, object] = {}
        for opcode, argument, _ in pickletools.genops(stream):
            self._budget.spend(instructions=1)
            name = opcode.name
            if name in ("PROTO", "FRAME"):
                continue
            if name == "STOP":
                return stack.pop()
            if name in _CONSTANTS:
                stack.append(_CONSTANTS[name])
            elif name in _ARGUMENTS:
                stack.append(argument)
            elif name == "MARK":
                stack.append(_MARK)
            elif name in _EMPTY:
                stack.append(_EMPTY[name]())
            elif name in _TUPLES:
                stack.append(tuple([stack.pop() for _ in range(_TUPLES[name])][::-1]))
            elif name == "TUPLE":
                stack.append(tuple(_to_mark(stack)))
            elif name in ("APPEND", "APPENDS"):
                items = _to_mark(stack) if name == "APPENDS" else [stack.pop()]
                _expect(stack[-1], list).extend(items)
            elif name in ("SETITEM", "SETITEMS"):
                items = _to_mark(stack) if name == "SETITEMS" else [stack.pop(), stack.pop()][::-1]
                _fill(_expect(stack[-1], dict), items)
            elif name == "MEMOIZE":
                memo[len(memo)] = stack[-1]
            elif name in ("BINPUT", "LONG_BINPUT"):
                memo[argument] = stack[-1]
            elif name in ("BINGET", "LONG_BINGET"):
                stack.append(memo[argument])
            elif name == "GLOBAL":
                stack.append(_name(*argument.split(" ", 1)))
            elif name == "STACK_GLOBAL":
                attribute, module = _expect(stack.pop(), str), _expect(stack.pop(), str)
                stack.append(_name(module, attribute))
            elif name == "REDUCE":
                arguments, function = _expect(stack.pop(), tuple), _expect(stack.pop(), _Name)
                stack.append(self._call(str(function), arguments, self._budget))
            elif name == "BINPERSID" and self._persistent is not None:
                stack.append(self._persistent(_expect(stack.pop(), tuple)))
            else:
                raise _Refused(f"the pickle instruction {name} has no place in an embedding table")
        raise _Refused("the pickle has no end")


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_ARGUMENTS = {
    "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "SHORT_BINUNICODE", "BINUNICODE", "SHORT_BINBYTES", "BINBYTES"
}  # fmt: skip
_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_STORAGES = {"torch.FloatStorage": np.dtype("<f4"), "torch.HalfStorage": np.dtype("<f2")}
_NAMES = {
    "torch._utils._rebuild_tensor_v2",
    "torch.storage._load_from_bytes",
    "collections.OrderedDict",
    *_STORAGES,
}


def _name(module: str, attribute: str) -> _Name:
    name = f"{module}.{attribute}"
    if name not in _NAMES:
        shown = "".join(c if c.isprintable() else "?" for c in name[:100])
        raise _Refused(f"it asks for {shown}, which an embedding table does not need; the file may be an attack")
    return _Name(name)


def _expect(value: object, kind: type):
    if not isinstance(value, kind):
        raise _Refused(f"a damaged pickle: {type(value).__name__} where {kind.__name__.strip('_')} belongs")
    return value


def _to_mark(stack: list) -> list:
    items = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    return items[::-1]


def _fill(target: dict, items: list) -> None:
    for key, item in zip(items[::2], items[1::2], strict=True):
        if type(key) not in (int, str):  # hashing a deep tuple recurses without a guard
            raise _Refused("a dictionary key that is neither number nor text")
        target[key] = item


def _call(name: str, arguments: tuple, budget: _Budget) -> object:
    """The calls that the outer pickle may make."""
    if name == "collections.OrderedDict" and not arguments:
        return OrderedDict()
    if name == "torch.storage._load_from_bytes" and len(arguments) == 1:
        return _storage_of_blob(_expect(arguments[0], bytes), budget)
    if name == "torch._utils._rebuild_tensor_v2" and len(arguments) in (6, 7):
        return _tensor(*arguments[:4], budget)
    raise _Refused(f"it calls {name} in a way that an embedding table does not need")


def _tensor(storage: object, offset: object, shape: object, strides: object, budget: _Budget) -> np.ndarray:
    """The tensor as a new float32 array, every element checked to lie inside the storage."""
    _expect(storage, np.ndarray)
    numbers = (offset, *_expect(shape, tuple), *_expect(strides, tuple))
    whole = all(type(n) is int and 0 <= n <= storage.size for n in numbers)
    if len(numbers) > 9 or len(shape) != len(strides) or not whole:
        raise _Refused("a tensor whose shape does not fit its storage")
    elements = 1
    for length in shape:
        elements *= length
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    if elements == 0 or elements > storage.size or last >= storage.size:
        raise _Refused("a tensor that reaches outside its storage")
    budget.spend(numbers=elements)
    view = np.lib.stride_tricks.as_strided(
        storage[offset:], shape, [s * storage.itemsize for s in strides], writeable=False
    )
    return np.array(view, dtype=np.float32)


def _storage_of_blob(blob: bytes, budget: _Budget) -> np.ndarray:
    """The one storage in a sequential ``torch.save`` blob: magic, protocol, system, value, keys, then raw numbers."""
    stream = io.BytesIO(blob)
    reader = _Interpreter(budget, _refuse_call, _storage_identity)
    magic, protocol, system = (reader.run(stream) for _ in range(3))
    if magic != _MAGIC or protocol != _PROTOCOL or _expect(system, dict).get("little_endian") is not True:
        raise _Refused("a storage that torch.save of the published environment has not written")
    found, keys = reader.run(stream), reader.run(stream)
    if not isinstance(found, _StorageIdentity) or not isinstance(keys, list) or keys != [found.key]:
        raise _Refused("a blob that holds more or less than one storage")
    start = stream.tell() + 8
    size = int.from_bytes(blob[start - 8 : start], "little")
    if size != found.length or len(blob) - start != size * found.dtype.itemsize:
        raise _Refused("a storage of another size than it says")
    return np.frombuffer(blob, found.dtype, offset=start)


@dataclass
class _StorageIdentity:
    dtype: np.dtype
    key: str
    length: int


def _storage_identity(identity: tuple) -> _StorageIdentity:
    """What the persistent id of a storage says: ``("storage", type, key, location, length, view)``."""
    if len(identity) != 6 or identity[0] != "storage" or identity[5] is not None:
        raise _Refused("an unknown kind of storage")
    dtype = _STORAGES.get(_expect(identity[1], _Name))
    if dtype is None or type(identity[4]) is not int:
        raise _Refused("an unknown kind of storage")
    return _StorageIdentity(dtype, _expect(identity[2], str), identity[4])


def _refuse_call(name: str, arguments: tuple, budget: _Budget) -> object:
    raise _Refused(f"a storage calls {name}")
