"""PyTorch's import, which takes seconds, in a thread: the application stays alive meanwhile.

Slicer's main thread holds Python's lock while it waits for events, so that another thread runs only when Python code of
the main thread lets it: each step here waits for the thread, and no longer than a user may not notice. The thread does
nothing but import: no Qt, no MRML.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Sequence
from types import ModuleType

from ..steps import Steps
from ..threads import wait_passively

WAIT_SECONDS = 0.02
"""How long a step waits for the thread. It is longer where the thread does not let go of Python's lock."""

_LIBRARIES = {"linux": "lib{}.so", "darwin": "lib{}.dylib"}
"""Names of shared libraries by platform. On Windows, PyTorch itself loads its own without holding Python's lock."""


def import_steps(names: Sequence[str]) -> Steps[list[ModuleType]]:
    """Import modules that bring PyTorch with them; returns them.

    Nothing waits when they are there already. Who stops between two steps leaves the import to come to its end alone.

    Args:
        names: absolute ones.

    Raises:
        ImportError: as the import has raised it; other exceptions likewise.
    """
    if not all(map(_is_imported, names)):
        errors: list[BaseException] = []
        # No daemon: a thread that dies while libraries are loaded takes a closing application with it.
        thread = threading.Thread(target=_import, args=(tuple(names), errors), name="Quality Sentinel imports PyTorch")
        thread.start()
        while thread.is_alive():
            thread.join(WAIT_SECONDS)
            yield
        if errors:
            raise errors[0]
    return [importlib.import_module(name) for name in names]


def _is_imported(name: str) -> bool:
    module = sys.modules.get(name)
    return module is not None and not getattr(module.__spec__, "_initializing", False)  # by another thread


def _import(names: Sequence[str], errors: list[BaseException]) -> None:
    try:
        wait_passively()
        _load_torch_libraries()
        for name in names:
            importlib.import_module(name)
        # What PyTorch brings stays for good. Out of the collector's sight it does not make every later full collection
        # a stall of its own; other modules' objects that are there now are still freed, but for rings among them.
        gc.freeze()
    except BaseException as error:  # whoever waits for the thread raises it
        errors.append(error)


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
