"""Segmentation networks trained out-of-fold: their class probabilities, and their masks with real errors.

What it exports is loaded when it is first asked for: the command line shows its options without PyTorch.
"""

from typing import Any

_EXPORTS = {
    "Probabilities": "probabilities",
    "SegmentationNetwork": "network",
    "SegmentationOptions": "options",
    "StageDice": "folds",
    "out_of_fold": "folds",
    "read_probabilities": "probabilities",
    "train": "training",
    "train_segmenters": "folds",
    "write_probabilities": "probabilities",
}
"""Name and the module that holds it."""


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_EXPORTS[name]}", __name__), name)
