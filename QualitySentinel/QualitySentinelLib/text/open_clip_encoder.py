"""CLIP text encoders (Radford et al. 2021) through the package open_clip_torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ModelError, reason_of


class OpenClipEncoder:
    """Text tower of a CLIP model. Vectors are not normalized, as those of the published model are not.

    The weights load at the first :meth:`encode`; open_clip downloads them to the user's cache if they are not there,
    so an interface asks before it calls that.

    Args:
        architecture: open_clip's model name; ``ViT-B-32`` and ``ViT-B-16`` give 512 numbers.
        pretrained: open_clip's tag of the weights.
        device: where it runs, as torch names it.
        model: a CLIP model that is already loaded, instead of the weights of ``pretrained``.
        tokenizer: texts to token numbers ``[N, context length]``; default: the architecture's.
    """

    _BATCH = 64

    def __init__(
        self,
        architecture: str = "ViT-B-32",
        pretrained: str = "openai",
        device: str = "cpu",
        model: Any = None,
        tokenizer: Callable[[list[str]], Any] | None = None,
    ) -> None:
        self.name = f"open_clip {architecture} {pretrained}"
        self._architecture = architecture
        self._pretrained = pretrained
        self._device = device
        self._tokenizer = tokenizer
        self._model = None if model is None else model.to(device).eval()
        self._dimension: int | None = None

    @property
    def dimension(self) -> int:
        """Numbers in a vector; loads the model when it is not known yet.

        Raises:
            ModelError: the model cannot be had.
        """
        if self._dimension is None:
            self._dimension = self.encode(["liver"]).shape[1]
        return self._dimension

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors as the text tower gives them, float32 ``[N, D]``.

        Raises:
            ModelError: open_clip is missing, does not know the architecture, or the weights cannot be had.
        """
        if not len(texts):
            return np.zeros((0, self.dimension), dtype=np.float32)
        self._load()
        import torch

        texts = list(texts)
        with torch.inference_mode():
            parts = [
                self._model.encode_text(self._tokenizer(texts[at : at + self._BATCH]).to(self._device)).float().cpu()
                for at in range(0, len(texts), self._BATCH)
            ]
        return torch.cat(parts).numpy().astype(np.float32, copy=False)

    def _load(self) -> None:
        if self._model is not None and self._tokenizer is not None:
            return
        try:
            import open_clip
        except ImportError as error:
            raise ModelError(
                f"text encoder {self.name}: {error.name or 'a package'} is missing; install open_clip_torch with pip"
            ) from error
        try:
            if self._tokenizer is None:
                self._tokenizer = open_clip.get_tokenizer(self._architecture)
            if self._model is None:
                model = open_clip.create_model(self._architecture, pretrained=self._pretrained, device=self._device)
                self._model = model.eval()
        except Exception as error:  # download errors come from half a dozen libraries, each with its own classes
            raise ModelError(
                f"text encoder {self.name}: its weights cannot be had ({reason_of(error)}); "
                "connect to the internet once, or use the embeddings inside the model file"
            ) from error
