"""Layer 4: the regressors. ``forward(images, embeddings, pixel_mm=None)`` gives one raw DSC per slice, ``[N, 1]``."""

from __future__ import annotations

import importlib

from torch import nn

from ..errors import ModelError
from .backends import optimize_for_inference

_KINDS = {"published": "PublishedNetwork", "compact": "CompactNetwork"}
"""The class of each kind, in the file of the kind's name."""


def build_network(architecture: dict) -> nn.Module:
    """The network that ``architecture`` describes, in training mode, randomly initialized.

    Args:
        architecture: ``{"kind": "published" | "compact", ...}``; the other keys are the keyword arguments of
            :class:`~.published.PublishedNetwork` or :class:`~.compact.CompactNetwork`.

    Raises:
        ModelError: unknown kind, unknown key, or a value that makes no sensible network.
    """
    if not isinstance(architecture, dict):
        raise ModelError("the model's architecture is not a JSON object: use a model file written by Quality Sentinel")
    options = dict(architecture)
    kind = options.pop("kind", None)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ModelError(f"unknown network kind {kind!r}: this version knows {', '.join(_KINDS)}")
    # torchvision, which only the published network needs, is not loaded for ours.
    network_class = getattr(importlib.import_module(f".{kind}", __name__), _KINDS[kind])
    try:
        return network_class(**options)
    except (TypeError, ValueError) as error:
        raise ModelError(f"the architecture of the {kind} network is not valid: {error}") from error
