"""What model files are called, and where the one is that comes with the program.

Standard library only: Slicer imports it when it starts.
"""

from __future__ import annotations

from pathlib import Path

BUNDLED = "bundled"
CHECKPOINT_SUFFIXES = (".pth", ".pt", ".ckpt")
EMBEDDINGS_NAME = "label_embedding.pkl"
_LIBRARY = Path(__file__).resolve().parent
_MODEL_FOLDERS = (  # the source tree and Slicer's module folder; a wheel
    _LIBRARY.parent / "Resources" / "Models",
    _LIBRARY / "Resources" / "Models",
)


def bundled_models() -> list[Path]:
    """The model files that come with the program: one, unless the installation is damaged."""
    found = (sorted(folder.glob("*.safetensors")) for folder in _MODEL_FOLDERS)
    return next((files for files in found if files), [])
