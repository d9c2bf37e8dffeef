"""What PyTorch would hold up: its import takes seconds, and goes into a thread; full garbage collections are put off.

The thread does nothing but import: no Qt, no MRML. A full collection looks at every object there is and lets nothing
else run. PyTorch brings hundreds of thousands, so that the application would stand still for longer than its users do
not notice. New objects are collected all the same.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

from ..steps import Steps, in_thread
from ..threads import wait_passively

_LIBRARIES = {"linux": "lib{}.so", "darwin": "lib{}.dylib"}
"""Names of shared libraries by platform. On Windows, PyTorch itself loads its own without holding Python's lock."""

_NEVER = 1 << 30
_holders = 0
_thresholds = (0, 0, 0)


def import_steps(names: Sequence[str]) -> Steps[list[ModuleType]]:
    """Import modules, by absolute names, that bring PyTorch with them. Nothing waits when they are there already.

    What the import raises is raised here.
    """
    if not all(map(_is_imported, names)):
        yield from in_thread(lambda: _import(names), "imports PyTorch")
    return [importlib.import_module(name) for name in names]


def _is_imported(name: str) -> bool:
    module = sys.modules.get(name)
    return module is not None and not getattr(module.__spec__, "_initializing", False)  # by another thread


def _import(names: Sequence[str]) -> None:
    wait_passively()
    _load_torch_libraries()
    for name in names:
        importlib.import_module(name)
    # What PyTorch brings stays for good. Out of the collector's sight it does not make every later full collection
    # a stall of its own; other modules' objects that are there now are still freed, but for rings among them.
    gc.freeze()


def _load_torch_libraries() -> None:
    """Load PyTorch's large libraries as its import does, but without holding Python's lock: a foreign call has none.

    In its order and scopes, and only libraries that know nothing of Python. Those of CUDA are left to the import, which
    takes care where a system has others; so is what cannot be loaded, because the import says why.
    """
    pattern = _LIBRARIES.get(sys.platform)
    spec = None if pattern is None or "torch" in sys.modules else importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return
    try:
        dlopen = ctypes.CDLL(None).dlopen
    except (OSError, AttributeError):
        return
    dlopen.restype, dlopen.argtypes = ctypes.c_void_p, [ctypes.c_char_p, ctypes.c_int]
    for name, scope in (("torch_global_deps", os.RTLD_GLOBAL), ("torch_cpu", os.RTLD_LOCAL)):
        path = os.path.join(spec.submodule_search_locations[0], "lib", pattern.format(name))
        if os.path.exists(path):
            dlopen(os.fsencode(path), os.RTLD_NOW | scope)


@contextmanager
def full_collections_later() -> Iterator[None]:
    """Put full collections off until the block, and every other one, has ended."""
    global _holders, _thresholds
    if not _holders:
        _thresholds = gc.get_threshold()
        gc.set_threshold(*_thresholds[:2], _NEVER)
    _holders += 1
    try:
        yield
    finally:
        _holders -= 1
        if not _holders:
            gc.set_threshold(*_thresholds)
