"""One network under our loss, as Lightning runs it."""

from __future__ import annotations

from functools import partial

import lightning
import numpy as np
import torch
from torch import Tensor

from QualitySentinelLib.checkpoint import QualityModel
from QualitySentinelLib.slices.place import (
    ABOVE,
    AREA,
    BELOW,
    BODY_DEPTH,
    BODY_WIDTH,
    DEPTH,
    FAR_MM,
    FOUND_DEPTH,
    FOUND_LATERAL,
    HALF_DEPTH,
    HALF_WIDTH,
    LATERAL,
    LONG_ENOUGH_MM,
    SHARE_BELOW,
    told,
)  # fmt: skip

from ..loss import identity_loss, pair_ranking, shares_loss, weighted_squared_error
from .data import Batch
from .options import TrainingOptions

DSC_LOSSES = {
    "huber": partial(torch.nn.functional.smooth_l1_loss, beta=0.15),
    "squared": torch.nn.functional.mse_loss,
    "published": weighted_squared_error,
}
"""The term of the predicted DSC by the name of the option ``dsc_loss``."""


class QualityRegression(lightning.LightningModule):
    """Trains ``model.network`` in place.

    The loss is that of the predicted DSC (:data:`DSC_LOSSES`), the optimal pair ranking, and, for a network that draws
    the reference (``with_shares``), the cross-entropy of what it draws and of its gate.
    """

    def __init__(self, model: QualityModel, options: TrainingOptions) -> None:
        super().__init__()
        self.network = model.network.to(memory_format=torch.channels_last)
        self.options, self.mask_channel = options, model.preset.mask_channel
        units_per_hu = [(w.out_high - w.out_low) / (w.high - w.low) for w in model.preset.windows]
        self.register_buffer("units_per_hu", torch.tensor(units_per_hu).reshape(1, -1, 1, 1), persistent=False)
        self.register_buffer("neutral", torch.from_numpy(model.table.neutral), persistent=False)

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        """Draw what this step of the run draws, whether or not the run was killed before it."""
        drawn = np.random.SeedSequence((self.options.seed, self.global_step, self.global_rank)).generate_state(1)
        torch.manual_seed(int(drawn[0]))

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Loss of one augmented batch."""
        dsc, embeddings, claims, identity = batch.dsc, batch.embeddings, batch.claims, batch.identity
        images, reference, pixel_mm = self._moved(batch.images, batch.reference, batch.pixel_mm)
        masks = images[:, self.mask_channel]
        images = self._jittered(images)
        nameless = torch.rand(len(dsc), 1, device=self.device) < self.options.neutral_share
        nameless &= identity[:, None] != 0  # without a name, a mask cannot be another structure's
        conditions = torch.where(nameless | (self.options.text == "none"), self.neutral, embeddings)
        drawn, gate, parts = None, None, {}
        if hasattr(self.network, "with_shares"):
            where = {}
            if self.network.told_dim:
                place, locator = self._reframed(batch.place, batch.locator)
                where = {"told": told(place, claims * ~nameless), "locator": locator}
            predicted, drawn, gate = self.network.with_shares(images, conditions, pixel_mm, **where)
        else:
            predicted = self.network(images, conditions, pixel_mm)
        with torch.autocast(self.device.type, enabled=False):  # the loss is computed in full precision
            predicted = predicted.flatten().float()
            loss = DSC_LOSSES[self.options.dsc_loss](predicted, dsc)
            loss = loss + self.options.ranking_weight * pair_ranking(predicted, dsc, embeddings)
            if drawn is not None:
                # With a gate it need not draw what a wrong name means: that would teach it to see less.
                known = batch.known > (0 if gate is not None else -1)
                drawings = (values[known] for values in (drawn.float(), masks, reference, batch.known))
                parts["shares"] = shares_loss(*drawings) * known.float().mean()
                loss = loss + self.options.shares_weight * parts["shares"]
            if gate is not None:
                parts["identity"] = identity_loss(gate.flatten().float(), identity)
                loss = loss + self.options.identity_weight * parts["identity"]
        parts |= {"loss": loss, "mae": (predicted.detach() - dsc).abs().mean()}
        for name, value in parts.items():
            self.log(name, value, prog_bar=True)
            self.log(f"epoch_{name}", value, on_step=False, on_epoch=True, batch_size=len(dsc), sync_dist=True)
        return loss

    def _moved(self, images: Tensor, reference: Tensor, pixel_mm: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Picture, mask and reference turned, resized and shifted together: whole-slice DSCs stay what they are.

        What comes in from beyond the picture goes on as its edge does.
        """
        o, n = self.options, len(images)
        if not (o.turn_degrees or o.zoom or o.shift):
            return images, reference, pixel_mm
        turn, size, across, down = 2 * torch.rand(4, n, device=self.device) - 1
        turn, size = turn * np.radians(o.turn_degrees), 1 + o.zoom * size
        cos, sin = torch.cos(turn) / size, torch.sin(turn) / size
        rows = [cos, -sin, 2 * o.shift * across, sin, cos, 2 * o.shift * down]
        both = torch.cat([images, reference.unsqueeze(1)], dim=1)
        grid = torch.nn.functional.affine_grid(torch.stack(rows, dim=1).view(n, 2, 3), both.shape, align_corners=False)
        both = torch.nn.functional.grid_sample(both, grid, padding_mode="border", align_corners=False)
        return both[:, :-1], both[:, -1], pixel_mm / size

    def _reframed(self, place: Tensor, locator: Tensor) -> tuple[Tensor, Tensor]:
        """Places and locators as a body found a little otherwise gives them, or a picture that shows a part of it.

        The box of the body is moved and resized, or, for ``crop_share`` of the pairs, cut to a part that still holds
        the mask; half of the scans are made shorter.
        """
        place, n, wide = place.clone(), len(place), slice(LATERAL, DEPTH + 1)
        rand = lambda *shape: torch.rand(shape, device=self.device)  # noqa: E731
        center, half = place[:, wide], place[:, HALF_WIDTH : HALF_DEPTH + 1]
        cut = (rand(n, 1) < self.options.crop_share) & (rand(n, 2) < 0.7) & (half < 0.75) & (center.abs() + half < 1)
        least = torch.clamp(1.2 * half, min=0.25, max=0.9)
        size = torch.where(cut, least + (0.95 - least) * rand(n, 2), 1 + 0.1 * (rand(n, 2) - 0.5))
        low, high = torch.maximum(center + half - size, size - 1), torch.minimum(center - half + size, 1 - size)
        middle = torch.where(cut, low + (high - low).clamp(min=0) * rand(n, 2), 0.06 * (rand(n, 2) - 0.5))
        zero = torch.zeros(n, device=self.device)
        rows = [size[:, 0], zero, middle[:, 0], zero, size[:, 1], middle[:, 1]]
        grid = torch.nn.functional.affine_grid(torch.stack(rows, 1).view(n, 2, 3), locator.shape, align_corners=False)
        locator = torch.nn.functional.grid_sample(locator, grid, align_corners=False)
        gray = locator[:, :1] * (1 + 0.1 * (rand(n, 1, 1, 1) - 0.5)) + 0.06 * (rand(n, 1, 1, 1) - 0.5)
        locator = torch.cat((gray, locator[:, 1:]), dim=1)
        known = place[:, BODY_WIDTH : BODY_WIDTH + 1] > 0  # of files of old nothing is known
        place[:, wide] = (center - middle) / size
        place[:, HALF_WIDTH : HALF_DEPTH + 1] = half / size
        place[:, AREA] /= size.prod(dim=1).sqrt()
        place[:, BODY_WIDTH : BODY_DEPTH + 1] *= size
        place[:, FOUND_LATERAL : FOUND_DEPTH + 1] *= ~cut
        beyond = torch.where(rand(n, 1) < 0.5, rand(n, 2), 1.0).minimum(place[:, BELOW : ABOVE + 1])
        place[:, BELOW : ABOVE + 1] = beyond
        length = beyond.sum(dim=1)
        place[:, SHARE_BELOW] = torch.where(
            length * FAR_MM >= LONG_ENOUGH_MM, beyond[:, 0] / length.clamp(min=1e-3), 0.5
        )
        return place * known, locator

    def _jittered(self, images: Tensor) -> Tensor:
        """Random gain and offset of the CT channels, and some noise; the other channels stay as they are."""
        ct, others = images[:, : self.mask_channel], images[:, self.mask_channel :]
        shape = (len(images), 1, 1, 1)
        gain = 1 + self.options.gain_jitter * torch.randn(shape, device=self.device)
        offset_hu = self.options.jitter_hu * torch.randn(shape, device=self.device)
        noise_hu = self.options.jitter_hu * torch.rand(shape, device=self.device) * torch.randn_like(ct[:, :1])
        jittered = ct * gain + (offset_hu + noise_hu) * self.units_per_hu
        return torch.cat([jittered, others], dim=1).contiguous(memory_format=torch.channels_last)

    def configure_optimizers(self) -> dict:
        """AdamW under a one-cycle schedule, stepped per batch."""
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=self.options.learning_rate, weight_decay=self.options.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.options.learning_rate, total_steps=self.trainer.estimated_stepping_batches, pct_start=0.15
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
