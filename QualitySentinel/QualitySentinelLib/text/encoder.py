"""What a text encoder is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class TextEncoder(Protocol):
    """Turns texts into vectors.

    Attributes:
        name: names the encoder and its weights; stored in the model file, so that vectors of two encoders never mix.
        dimension: numbers in a vector, D.
    """

    @property
    def name(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of the texts, float32 ``[N, D]``; the same text always gives the same vector.

        Raises:
            ModelError: the encoder or its weights cannot be had.
        """
        ...
