"""A model ready to score: network, preprocessing and embeddings together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import nn

from ..errors import ModelError
from ..network import optimize_for_inference
from ..slices import Preset
from ..slices.place import told
from ..text.table import EmbeddingTable


@dataclass
class QualityModel:
    """A predictor of slice DSC.

    Attributes:
        name: for people and reports.
        network: the regressor with its weights, as trained (not fused); any device.
        architecture: what :func:`~..network.build_network` made it from.
        preset: how slices become its input.
        table: text embeddings of the structures it knows.
        metadata: JSON-able: structures, training data, metrics, calibration.
        sha256: of the file or files it came from; empty for a model in memory.
    """

    name: str
    network: nn.Module
    architecture: dict
    preset: Preset
    table: EmbeddingTable
    metadata: dict = field(default_factory=dict)
    sha256: str = ""
    _fast: nn.Module | None = field(default=None, init=False, repr=False, compare=False)
    _fast_of: tuple | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def device(self) -> torch.device:
        """Where the network's weights are."""
        return next(self.network.parameters()).device

    def summary(self) -> dict:
        """What a report says of the model, JSON-able."""
        return {
            "name": self.name,
            "kind": self.architecture.get("kind"),
            "architecture": self.architecture,
            "preset": self.preset.name,
            "encoder": self.table.encoder,
            "structures": len(self.table.names),
            "sha256": self.sha256,
        }

    @property
    def sees_places(self) -> bool:
        """Whether it is told where in the body a mask lies."""
        return bool(getattr(self.network, "told_dim", 0))

    @cached_property
    def trained_structures(self) -> frozenset[str]:
        """Structures that some stage of its training held; empty when the file does not say."""
        found, stage = set(), self.metadata.get("training")
        while isinstance(stage, dict):
            found.update(stage.get("structures") or ())
            stage = stage.get("started_from")
        return frozenset(found)

    def embeddings(self, names: Sequence[str | None]) -> torch.Tensor:
        """Text embeddings, float32 ``[N, D]`` on the CPU; unknown and ``None`` names get the neutral one."""
        vectors = [self.table.vector(name if name in self.table else None) for name in names]
        return torch.from_numpy(np.asarray(vectors, dtype=np.float32).reshape(len(vectors), -1))

    def score(
        self,
        images: torch.Tensor,
        names: Sequence[str | None],
        pixel_mm: torch.Tensor | None = None,
        place: torch.Tensor | None = None,
        locator: torch.Tensor | None = None,
    ) -> np.ndarray:
        """Raw DSC of slices, float32 ``[N]``: neither limited to 0..1 nor calibrated.

        Args:
            images: float32 ``[N, C, S, S]`` as ``make_batch`` with this model's preset makes them.
            names: structure of each slice; ``None`` or an unknown name means the neutral embedding.
            pixel_mm: float32 ``[N]``.
            place, locator: as ``make_batch`` makes them, for a model whose preset has a locator.

        Raises:
            ModelError: an output is not a finite number: no DSC, and nothing a threshold would flag.
        """
        if not len(images):
            return np.zeros(0, dtype=np.float32)
        device = self.device
        with torch.inference_mode():
            images = images.to(device, torch.float32).contiguous(memory_format=torch.channels_last)
            embeddings = self.embeddings(names).to(device)
            scale = None if pixel_mm is None else pixel_mm.to(device, torch.float32)
            where = {}
            if self.sees_places:
                where = {"told": told(place.to(device), names), "locator": locator.to(device)}
            raw = self._inference_network()(images, embeddings, scale, **where)[:, 0].float().cpu().numpy()
        if not np.isfinite(raw).all():
            raise ModelError(f"model {self.name}: gives NaN or infinite scores; its weights are damaged, get it again")
        return raw

    def make_ready(self) -> None:
        """Do now what the first :meth:`score` would do before it scores."""
        with torch.inference_mode():
            self._inference_network()

    def _inference_network(self) -> nn.Module:
        """The fused copy, made again when the weights have been moved, replaced or trained further."""
        parameters = [*self.network.parameters(), *self.network.buffers()]
        state = tuple((id(p), p.data_ptr(), 0 if p.is_inference() else p._version) for p in parameters)
        if self._fast is None or self._fast_of != state:
            self._fast = None  # frees the old copy before the new one is made
            self._fast = optimize_for_inference(self.network)
            self._fast_of = state
        return self._fast
