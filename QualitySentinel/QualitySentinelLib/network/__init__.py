"""Layer 4: the regressors. ``forward(images, embeddings, pixel_mm=None)`` gives one raw DSC per slice, ``[N, 1]``."""

from .backends import optimize_for_inference
from .build import build_network
