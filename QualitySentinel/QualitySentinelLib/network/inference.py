"""The same network, faster to run: batch normalization folded into the convolutions, channels last in memory."""

from __future__ import annotations

import copy
import itertools

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


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
