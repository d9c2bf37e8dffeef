"""Where the forward pass runs: PyTorch, on any device and as the reference, or OpenVINO, faster on a CPU.

A backend is made for one network with its present weights, and maps the network's inputs to its raw output.
"""

from __future__ import annotations

import copy
import importlib.util
import itertools
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..errors import InputError, not_installed
from ..files import atomic_folder

EQUAL = 1e-5
"""Scores of another backend in float32 may differ by this much from PyTorch's."""
CLOSE = 0.05
"""And in bfloat16 by this much; where made-up slices already differ more, PyTorch is used. On real CTs single scores of
the bundled model differ by up to 0.04 (``make bench``), so that bfloat16 is never chosen unasked.
"""

Inputs = Sequence[torch.Tensor]
"""What ``network.forward`` takes, in its order."""


class _Drawing(nn.Module):
    """A network that gives the shares it draws beside its output."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        raw, logits, _ = self.network.with_shares(*inputs)
        return raw, logits.sigmoid()


class TorchBackend:
    """The fused network in PyTorch, on the device of its weights; inputs and outputs are float32, whatever the
    ``precision`` of the arithmetic. ``meanwhile`` is called while a GPU computes, before its result is waited for.
    """

    name = "torch"

    def __init__(self, network: nn.Module, precision: str = "float32") -> None:
        self.precision = precision
        self._network = optimize_for_inference(network)
        self._device = next(self._network.parameters()).device

    def __call__(self, inputs: Inputs, meanwhile: Callable[[], object] = lambda: None) -> np.ndarray:
        """Raw output ``[N]``."""
        raw = self._run(self._network, inputs)
        meanwhile()
        return raw[:, 0].float().cpu().numpy()

    def draw(self, inputs: Inputs, meanwhile: Callable[[], object] = lambda: None) -> tuple[np.ndarray, np.ndarray]:
        """Raw output, and the shares of the reference that a network with ``with_shares`` draws ``[N, 2, s, s]`` in
        0..1: of the mask inside each cell, and of the rest of it.
        """
        raw, shares = self._run(_Drawing(self._network), inputs)
        meanwhile()
        return raw[:, 0].float().cpu().numpy(), shares.float().cpu().numpy()

    def _run(self, network: nn.Module, inputs: Inputs):
        with torch.inference_mode():
            images, *others = [x.to(self._device, torch.float32) for x in inputs]
            images = images.contiguous(memory_format=torch.channels_last)
            with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
                return network(images, *others)


class OpenVinoBackend:
    """The fused network in OpenVINO, on the CPU, with as many threads as PyTorch uses.

    ``inputs`` are an example of what it will be given; any number of slices may follow. ``kept_as``: file without
    suffix under which the converted network is kept, or found from an earlier time, because converting takes seconds.
    """

    name = "openvino"

    def __init__(self, network: nn.Module, inputs: Inputs, precision: str, kept_as: Path | None = None) -> None:
        openvino = _import_openvino()
        self.precision = precision
        core = openvino.Core()
        model = _kept(core, kept_as)
        if model is None or len(model.outputs) != 1 + hasattr(network, "with_shares"):  # of before it gave shares
            model = _converted(network, inputs)
            if _keep(openvino, model, kept_as):  # what is read gives the same scores the first time as later
                model = _kept(core, kept_as)
        options = {
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "ENABLE_CPU_PINNING": False,  # every process pins to the same first cores: two workers would share one
            "PERFORMANCE_HINT": "LATENCY",
        }
        self._compiled = core.compile_model(model, "CPU", options)

    def __call__(self, inputs: Inputs) -> np.ndarray:
        return self._compiled([x.numpy() for x in inputs])[0][:, 0].copy()

    def draw(self, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
        outputs = self._compiled([x.numpy() for x in inputs])
        return outputs[0][:, 0].copy(), outputs[1]


Backend = TorchBackend | OpenVinoBackend


def choose_backend(
    network: nn.Module,
    example: Inputs,
    backend: str = "auto",
    precision: str = "float32",
    kept_as: Path | None = None,
) -> tuple[Backend, str | None]:
    """The fastest backend that is equal to PyTorch, and a warning where one that was asked for cannot be had.

    OpenVINO's scores of the ``example`` are compared with PyTorch's: float32 must be :data:`EQUAL`, bfloat16
    :data:`CLOSE`. So what is chosen depends on network, processor and example only.

    Raises:
        UsageError: OpenVINO was asked for and is not installed.
    """
    on_cpu = next(network.parameters()).device.type == "cpu"
    if backend == "openvino" and not openvino_is_installed():
        raise not_installed("--backend openvino", "OpenVINO", "cpu", "; or choose --backend torch")
    if backend == "torch" or not on_cpu or not openvino_is_installed():
        return TorchBackend(network, precision), None
    reference = TorchBackend(network)
    expected = reference(example)
    try:
        candidate = OpenVinoBackend(network, example, precision, kept_as)
        with np.errstate(invalid="ignore"):  # weights that give no numbers: PyTorch's fail the same way, and say so
            differs = float(np.abs(candidate(example) - expected).max())
        if differs <= (CLOSE if precision == "bfloat16" else EQUAL):
            return candidate, None
        reason = f"its {precision} scores differ by {differs:.1e}"
    except Exception as error:  # whatever a library of another maker meets: PyTorch can always score
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return reference, f"OpenVINO is not used, {reason}; scoring continues with PyTorch"


def openvino_is_installed() -> bool:
    """Whether OpenVINO can be imported; it is not imported."""
    return sys.modules.get("openvino") is not None or importlib.util.find_spec("openvino") is not None


def _import_openvino():
    """The library, without the one that would tell its makers that it is used."""
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # importing it then fails, which OpenVINO provides for
    import openvino

    return openvino


def _converted(network: nn.Module, inputs: Inputs):
    """The network as OpenVINO's own model, for any number of slices."""
    openvino = _import_openvino()
    # Not channels last: OpenVINO chooses a layout of its own.
    fused = optimize_for_inference(network).to(memory_format=torch.contiguous_format)
    fused = _Drawing(fused) if hasattr(network, "with_shares") else fused
    example = tuple(x[:2] for x in inputs)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit, which OpenVINO itself relies on
        traced = torch.jit.trace(fused, example, check_trace=False)
    model = openvino.convert_model(traced, example_input=example, share_weights=False)
    model.reshape({i: [-1, *x.shape[1:]] for i, x in enumerate(example)})
    return model


def _kept(core, path: Path | None):
    """The converted network of an earlier time; ``None`` when there is none that can be read."""
    if path is None or not path.with_suffix(".xml").is_file():
        return None
    try:
        return core.read_model(path.with_suffix(".xml"))
    except RuntimeError:  # damaged, or of another version
        return None


def _keep(openvino, model, path: Path | None) -> bool:
    """Write a converted network for the next time; whether that was possible."""
    if path is None or not os.access(path.parent.parent, os.W_OK):
        return False
    try:
        with atomic_folder(path.parent) as folder:
            openvino.save_model(model, folder / path.with_suffix(".xml").name, compress_to_fp16=False)
    except InputError:  # only time is lost
        return False
    return True


def optimize_for_inference(network: nn.Module) -> nn.Module:
    """A copy of ``network`` for inference only, equal in its results to float32 rounding (below 1e-5).

    Every convolution followed by a batch normalization (attributes ``convX`` and ``bnX`` of one module, or neighbours
    in a ``Sequential``) becomes one convolution. Parameters need no gradient; the original stays as it was.
    """
    network = copy.deepcopy(network).eval()
    with torch.no_grad():
        for module in list(network.modules()):
            for convolution, normalization in _pairs(module):
                fused = fuse_conv_bn_eval(module._modules[convolution], module._modules[normalization])
                module._modules[convolution] = fused
                module._modules[normalization] = nn.Identity()
    return network.requires_grad_(False).to(memory_format=torch.channels_last)


def _pairs(module: nn.Module) -> list[tuple[str, str]]:
    """Names of the (convolution, batch normalization) children of ``module`` that follow each other."""
    names = list(module._modules)
    if isinstance(module, nn.Sequential):
        candidates = list(itertools.pairwise(names))
    else:
        candidates = [(name, "bn" + name[4:]) for name in names if name.startswith("conv")]
    return [
        (first, second)
        for first, second in candidates
        if isinstance(module._modules.get(first), nn.Conv2d) and isinstance(module._modules.get(second), nn.BatchNorm2d)
    ]
