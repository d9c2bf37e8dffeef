"""Text embeddings of structure names: what a model knows of anatomy without needing a text encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np

from ..errors import ModelError


@runtime_checkable
class TextEncoder(Protocol):
    """Turns texts into vectors."""

    name: str  # names the encoder and its weights; stored in the model file, so that vectors of two encoders never mix

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of the texts, float32 ``[N, D]``; the same text always gives the same vector."""
        ...


DEFAULT_PROMPT = "A computed tomography image of the {}."
"""Sentence around a structure's name; in the manner of Liu et al., CLIP-Driven Universal Model, ICCV 2023."""


@dataclass(frozen=True, eq=False)
class EmbeddingTable:
    """Embeddings of structure names.

    The vectors are kept as the encoder gives them: this table does not normalize them, because the published network
    was trained on vectors that are not of unit length (norms 8.1 to 12.6) and uses their length.

    Raises:
        ModelError: names and vectors do not belong together, a name occurs twice, or a number is not finite.
    """

    encoder: str  # name of the text encoder that made the vectors
    prompt: str  # sentence around the name, with one ``{}``; empty when it is not known
    names: tuple[str, ...]  # structure names, each once; N of them, at least one
    vectors: np.ndarray  # float32 ``[N, D]``, finite. What is given is converted, and copied only where it must be

    def __post_init__(self) -> None:
        names = tuple(self.names)
        vectors = np.ascontiguousarray(self.vectors, dtype=np.float32)
        if vectors.ndim != 2 or not names or len(vectors) != len(names):
            raise ModelError(f"embedding table: {len(names)} names do not fit vectors of shape {vectors.shape}")
        if len(set(names)) != len(names):
            raise ModelError("embedding table: a structure name occurs twice")
        if not np.isfinite(vectors).all():
            raise ModelError("embedding table: a vector holds NaN or infinite numbers")
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "vectors", vectors)

    @classmethod
    def from_encoder(cls, encoder: TextEncoder, names: Sequence[str], prompt: str = DEFAULT_PROMPT) -> EmbeddingTable:
        """Embed ``names``, each inside ``prompt``.

        Raises:
            ModelError: the encoder cannot be had.
            ValueError: the prompt has no place for the name.
        """
        if "{}" not in prompt:
            raise ValueError(f"the prompt has no {{}} for the structure's name: {prompt!r}")
        vectors = encoder.encode([prompt.replace("{}", name) for name in names])
        return cls(encoder.name, prompt, tuple(names), vectors)

    @cached_property
    def neutral(self) -> np.ndarray:
        """Vector for a segment of unknown structure: the mean of all vectors, float32 ``[D]``."""
        return self.vectors.mean(axis=0, dtype=np.float64).astype(np.float32)

    def without_names(self) -> EmbeddingTable:
        """The same names, each with the neutral vector: for a model that is told nothing of the structure."""
        return replace(self, vectors=np.repeat(self.neutral[None], len(self.names), axis=0))

    def vector(self, name: str | None) -> np.ndarray:
        """Vector of a structure, float32 ``[D]``; the neutral one for ``None``.

        Raises:
            KeyError: the table does not have that name. Ask first (``name in table``): a silent neutral vector would
                hide a misspelled name in training.
        """
        return self.neutral if name is None else self.vectors[self._rows[name]]

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.names)}
