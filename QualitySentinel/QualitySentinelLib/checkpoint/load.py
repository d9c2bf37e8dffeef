"""Finding and reading a model: the bundled one, a file of ours, or the published checkpoint."""

from __future__ import annotations

import os
from pathlib import Path

from ..bundled import BUNDLED, CHECKPOINT_SUFFIXES, bundled_models
from ..errors import ModelError
from .model import QualityModel
from .model_file import load_model_file


def load_model(
    source: str | os.PathLike | QualityModel = BUNDLED, embeddings: str | os.PathLike | None = None
) -> QualityModel:
    """Load a model.

    Args:
        source: ``"bundled"``, a ``.safetensors`` file of ours, or a published ``.pth`` checkpoint. A model that was
            loaded already is returned as it is.
        embeddings: ``label_embedding.pkl`` that belongs to a published checkpoint; without it, a file of that name
            beside the checkpoint is taken.

    Raises:
        ModelError: one line that names the file and what is wrong with it.
    """
    if isinstance(source, QualityModel):
        return source
    if os.fspath(source) == BUNDLED:
        return load_model_file(bundled_model_path())
    path = Path(source)
    if not path.is_file():
        raise ModelError(f"{path}: there is no such model file; give a .safetensors or .pth file, or 'bundled'")
    if path.suffix.lower() in CHECKPOINT_SUFFIXES:
        from .published import load_published  # needs torchvision; not for our own models

        return load_published(path, embeddings)
    return load_model_file(path)


def bundled_model_path() -> Path:
    """The model file that comes with the program.

    Raises:
        ModelError: it is missing, or there is more than one.
    """
    found = bundled_models()
    if len(found) != 1:
        state = f"holds {len(found)} model files instead of one" if found else "holds no model file"
        raise ModelError(f"the folder of bundled models {state}; install Quality Sentinel again, or give --model PATH")
    return found[0]
