"""The file that a training run goes on from."""

from __future__ import annotations

import os
from pickle import UnpicklingError
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from QualitySentinelLib.errors import InputError, reason_of
from QualitySentinelLib.files import atomic_write


class CheckpointFile(TorchCheckpointIO):
    """Writes Lightning's checkpoints whole, and reads them without running code from them.

    Lightning itself writes to the system's folder for temporary files and moves the result: where that is another
    file system, a kill while it is copied leaves half a checkpoint in place of the good one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | os.PathLike, storage_options: Any = None) -> None:
        """Replace ``path``. Raises ``InputError``: it cannot be written."""
        atomic_write(path, lambda temporary: torch.save(checkpoint, temporary))

    def load_checkpoint(self, path: str | os.PathLike, *_: object, **__: object) -> dict[str, Any]:
        """Tensors, numbers, text and containers of them; on the CPU, Lightning moves them where they belong.

        Raises:
            InputError: damaged, or no checkpoint.
        """
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, ValueError, EOFError, KeyError, UnpicklingError) as error:
            raise InputError(
                f"{path}: the training state is damaged ({reason_of(error, 80)}); delete it to start again"
            ) from error
