"""The training loop (Lightning)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from QualitySentinelLib.checkpoint import QualityModel
from QualitySentinelLib.text import EmbeddingTable

from .loss import our_loss
from .pairs import Pairs, restored


@dataclass(frozen=True)
class TrainingOptions:
    """What shapes a training run.

    Attributes:
        epochs: passes over the pairs.
        batch_size: pairs per step.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: decoupled (AdamW).
        neutral_share: share of pairs whose text is replaced by the neutral embedding, so that an unknown
            structure is scored sensibly and the network cannot lean on the name alone.
        jitter_hu: spread of the random offset, and largest spread of the noise, of the CT, in HU.
        gain_jitter: spread of the random gain of the CT channels.
        seed: of weights, order and augmentation.
    """

    epochs: int = 3
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    neutral_share: float = 0.25
    jitter_hu: float = 15.0
    gain_jitter: float = 0.05
    seed: int = 0


class PairDataset(Dataset):
    """Pairs in memory, handed out a batch at a time."""

    def __init__(self, pairs: Pairs, table: EmbeddingTable) -> None:
        self._images = torch.from_numpy(pairs.images)
        self._pixel_mm = torch.from_numpy(pairs.pixel_mm)
        self._dsc = torch.from_numpy(pairs.dsc)
        known, row = np.unique(pairs.structure, return_inverse=True)
        self._vectors = torch.from_numpy(np.stack([table.vector(str(name)) for name in known]))
        self._row = torch.from_numpy(row.astype(np.int64))

    def __len__(self) -> int:
        return len(self._dsc)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        index = torch.as_tensor(indices)
        images = restored(self._images[index].float())
        return images, self._vectors[self._row[index]], self._pixel_mm[index], self._dsc[index]


class QualityRegression(lightning.LightningModule):
    """One network under our loss."""

    def __init__(self, model: QualityModel, options: TrainingOptions) -> None:
        super().__init__()
        self.network = model.network.to(memory_format=torch.channels_last)
        self.options = options
        units_per_hu = [(w.out_high - w.out_low) / (w.high - w.low) for w in model.preset.windows]
        self.register_buffer("units_per_hu", torch.tensor(units_per_hu).reshape(1, -1, 1, 1))
        self.register_buffer("neutral", torch.from_numpy(model.table.neutral))

    def training_step(self, batch: tuple[Tensor, ...], batch_index: int) -> Tensor:
        """Loss of one augmented batch."""
        images, embeddings, pixel_mm, dsc = batch
        images = self._jittered(images)
        nameless = torch.rand(len(dsc), 1, device=self.device) < self.options.neutral_share
        conditions = torch.where(nameless, self.neutral, embeddings)
        predicted = self.network(images, conditions, pixel_mm).flatten()
        loss = our_loss(predicted, dsc, embeddings)
        self.log("loss", loss, prog_bar=True)
        self.log("mae", (predicted.detach() - dsc).abs().mean(), prog_bar=True)
        return loss

    def _jittered(self, images: Tensor) -> Tensor:
        """Random gain and offset of the CT channels, and some noise; the mask channel (last) stays as it is."""
        ct, mask = images[:, :-1], images[:, -1:]
        shape = (len(images), 1, 1, 1)
        gain = 1 + self.options.gain_jitter * torch.randn(shape, device=self.device)
        offset_hu = self.options.jitter_hu * torch.randn(shape, device=self.device)
        noise_hu = self.options.jitter_hu * torch.rand(shape, device=self.device) * torch.randn_like(ct[:, :1])
        jittered = ct * gain + (offset_hu + noise_hu) * self.units_per_hu
        return torch.cat([jittered, mask], dim=1).contiguous(memory_format=torch.channels_last)

    def configure_optimizers(self) -> dict:
        """AdamW under a one-cycle schedule, stepped per batch."""
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=self.options.learning_rate, weight_decay=self.options.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.options.learning_rate, total_steps=self.trainer.estimated_stepping_batches, pct_start=0.15
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def fit(model: QualityModel, pairs: Pairs, options: TrainingOptions, out: Path) -> None:
    """Train the model's network, in place, on ``pairs``; logs and the last checkpoint lie in ``out``."""
    lightning.seed_everything(options.seed, verbose=False)
    loader = DataLoader(
        PairDataset(pairs, model.table), batch_size=options.batch_size, shuffle=True, drop_last=True, collate_fn=tuple
    )
    logger = CSVLogger(str(out), name="log")
    logger.log_hyperparams(asdict(options))
    trainer = lightning.Trainer(
        max_epochs=options.epochs,
        logger=logger,
        default_root_dir=str(out),
        log_every_n_steps=20,
        gradient_clip_val=1.0,
        enable_model_summary=False,
    )
    trainer.fit(QualityRegression(model, options), loader)
    model.network.eval()
