"""A model ready to score: network, preprocessing and embeddings together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..errors import ModelError
from ..network.backends import Backend, Inputs, choose_backend, openvino_is_installed
from ..slices import Preset
from ..slices.place import PLACE, name_numbers, told
from ..text.table import EmbeddingTable


@dataclass
class QualityModel:
    """A predictor of slice DSC."""

    name: str  # for people and reports
    network: nn.Module  # the regressor with its weights, as trained (not fused); any device
    architecture: dict  # what :func:`~..network.build_network` made it from
    preset: Preset  # how slices become its input
    table: EmbeddingTable  # text embeddings of the structures it knows
    metadata: dict = field(default_factory=dict)  # JSON-able: structures, training data, metrics, calibration
    sha256: str = ""  # of the file or files it came from; empty for a model in memory
    path: Path | None = None  # the file it came from; what OpenVINO makes of the network is kept beside it
    # what runs the network: ``"auto"`` (the fastest that is installed), ``"torch"`` or ``"openvino"``
    backend: str = "auto"
    # of the arithmetic: ``"float32"``, or ``"bfloat16"``, which is faster and changes scores a little
    precision: str = "float32"
    # why the backend that was asked for is not used; empty when it is
    backend_warning: str = field(default="", init=False, compare=False)
    _running: Backend | None = field(default=None, init=False, repr=False, compare=False)
    _running_of: tuple | None = field(default=None, init=False, repr=False, compare=False)

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
            **({"backend": self._running.name, "precision": self._running.precision} if self._running else {}),
        }

    @property
    def sees_places(self) -> bool:
        """Whether it is told where in the body a mask lies."""
        return bool(getattr(self.network, "told_dim", 0))

    @property
    def draws(self) -> bool:
        """Whether it draws the reference that it expects, on the CT's own rows and columns: :meth:`draw`."""
        return hasattr(self.network, "with_shares") and self.preset.frame == "canonical"

    @cached_property
    def trained_structures(self) -> frozenset[str]:
        """Structures that some stage of its training held; empty when the file does not say."""
        found, stage = set[str](), self.metadata.get("training")
        while isinstance(stage, dict):
            found.update(stage.get("structures") or ())
            stage = stage.get("started_from")
        return frozenset(found)

    def embeddings(self, names: Sequence[str | None]) -> torch.Tensor:
        """Text embeddings, float32 ``[N, D]`` on the CPU; unknown and ``None`` names get the neutral one."""
        vectors = [self.table.vector(name if name in self.table else None) for name in names]
        return torch.from_numpy(np.asarray(vectors, dtype=np.float32).reshape(len(vectors), -1))

    def score(self, images: torch.Tensor, names: Sequence[str | None], *others, **meanwhile) -> np.ndarray:
        """Raw DSC of slices, float32 ``[N]``: neither limited to 0..1 nor calibrated. Takes what :meth:`inputs` takes.

        With a network on a GPU also ``meanwhile``: a function that is called while the GPU computes.

        Raises:
            ModelError: an output is not a finite number: no DSC, and nothing a threshold would flag.
        """
        if not len(images):
            return np.zeros(0, dtype=np.float32)
        return self._finite(self.chosen_backend()(self.inputs(images, names, *others), **meanwhile))

    def draw(
        self, images: torch.Tensor, names: Sequence[str | None], *others, **meanwhile
    ) -> tuple[np.ndarray, np.ndarray]:
        """What :meth:`score` gives of at least one slice, and, from the same pass, the reference that is expected.

        Returns:
            raw DSC, and shares float32 ``[N, 2, s, s]`` in 0..1, s cells along a side of the crop: the share of the
            mask in each cell that belongs to the reference, and the share of the rest of the cell that does.
        """
        raw, shares = self.chosen_backend().draw(self.inputs(images, names, *others), **meanwhile)
        return self._finite(raw), shares

    def _finite(self, raw: np.ndarray) -> np.ndarray:
        if not np.isfinite(raw).all():
            raise ModelError(f"model {self.name}: gives NaN or infinite scores; its weights are damaged, get it again")
        return raw

    def inputs(
        self,
        images: torch.Tensor,
        names: Sequence[str | None],
        pixel_mm: torch.Tensor | None = None,
        place: torch.Tensor | None = None,
        locator: torch.Tensor | None = None,
    ) -> Inputs:
        """The network's inputs, in the order of its ``forward``.

        Args:
            images: float32 ``[N, C, S, S]`` as ``make_batch`` with this model's preset makes them.
            names: structure of each slice; ``None`` or an unknown name means the neutral embedding.
            pixel_mm: float32 ``[N]``; 1 mm by default.
            place, locator: as ``make_batch`` makes them, for a model whose preset has a locator.
        """
        inputs: tuple = images, self.embeddings(names), torch.ones(len(images)) if pixel_mm is None else pixel_mm
        if self.sees_places:
            inputs += told(place, torch.from_numpy(name_numbers(names)).to(place)), locator
        return inputs

    def chosen_backend(self) -> Backend:
        """What runs the network; made anew when weights were moved or changed, or OpenVINO installed."""
        # not parameters(): its search for names takes longer than preparing a slice
        tensors = [t for part in self.network.modules() for t in (part._parameters | part._buffers).values()]
        weights = [(id(t), t.data_ptr(), 0 if t.is_inference() else t._version) for t in tensors if t is not None]
        state = (self.backend, self.precision, openvino_is_installed(), *weights)
        if self._running is None or self._running_of != state:
            self._running = None  # frees the old copy before the new one is made
            kept_as = self.path.parent / "converted" / self.sha256[:16] if self.path and self.sha256 else None
            self._running, warning = choose_backend(self.network, self.example(), self.backend, self.precision, kept_as)
            self.backend_warning, self._running_of = warning or "", state
        return self._running

    def example(self, slices: int = 16) -> Inputs:
        """Inputs that look like slices, always the same: smooth pictures with a disc for a mask."""
        generator, size = torch.Generator().manual_seed(0), self.preset.size

        def smooth(channels: int, side: int) -> torch.Tensor:
            coarse = torch.rand((slices, channels, side // 16, side // 16), generator=generator)
            return nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")

        images = 2.0 * smooth(self.preset.channels, size) - 1.0
        distance, radii = torch.linspace(-1, 1, size).square(), torch.linspace(0.02, 0.5, slices)
        disc = distance[:, None] + distance < radii[:, None, None]
        images[:, self.preset.mask_channel] = disc * 2.0 - 1.0
        names = [self.table.names[n % len(self.table.names)] if self.table.names else None for n in range(slices)]
        place, locator = torch.zeros((slices, len(PLACE))), smooth(2, self.preset.locator or 16)
        return self.inputs(images, names, None, place, locator)


def filled(network: nn.Module, weights: dict[str, torch.Tensor]) -> nn.Module:
    """The network with these weights as float32, in eval mode; ``ModelError`` where one is not finite."""
    for key, value in weights.items():
        if not torch.isfinite(value).all():
            raise ModelError(f"{key} holds NaN or infinite values")
    floats = {key: value.float() if value.is_floating_point() else value for key, value in weights.items()}
    network.load_state_dict(floats, assign=True)
    return network.eval()
