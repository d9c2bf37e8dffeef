"""The training loop (Lightning)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from QualitySentinelLib.text import EmbeddingTable

from .loss import quality_loss
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
        intensity_jitter: spread of the random gain and offset of the CT channels, in units of the network's input.
        seed: of weights, order and augmentation.
    """

    epochs: int = 3
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    neutral_share: float = 0.25
    intensity_jitter: float = 0.08
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
    """One network under the published loss."""

    def __init__(self, network: nn.Module, neutral: np.ndarray, options: TrainingOptions) -> None:
        super().__init__()
        self.network = network
        self.options = options
        self.register_buffer("neutral", torch.from_numpy(neutral))

    def training_step(self, batch: tuple[Tensor, ...], batch_index: int) -> Tensor:
        """Loss of one augmented batch."""
        images, embeddings, pixel_mm, dsc = batch
        images = self._jittered(images)
        nameless = torch.rand(len(dsc), 1, device=self.device) < self.options.neutral_share
        conditions = torch.where(nameless, self.neutral, embeddings)
        predicted = self.network(images, conditions, pixel_mm).flatten()
        loss = quality_loss(predicted, dsc, embeddings)
        self.log("loss", loss, prog_bar=True)
        self.log("mae", (predicted.detach() - dsc).abs().mean(), prog_bar=True)
        return loss

    def _jittered(self, images: Tensor) -> Tensor:
        """Random gain and offset of the CT channels, and some noise; the mask channel (last) stays as it is."""
        spread = self.options.intensity_jitter
        ct, mask = images[:, :-1], images[:, -1:]
        gain, offset = (spread * torch.randn(len(images), ct.shape[1], 1, 1, device=self.device) for _ in range(2))
        noise = spread * torch.rand(len(images), 1, 1, 1, device=self.device) * torch.randn_like(ct)
        return torch.cat([ct * (1 + gain) + offset + noise, mask], dim=1)

    def configure_optimizers(self) -> dict:
        """AdamW under a one-cycle schedule, stepped per batch."""
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=self.options.learning_rate, weight_decay=self.options.weight_decay
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.options.learning_rate, total_steps=self.trainer.estimated_stepping_batches, pct_start=0.15
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def fit(network: nn.Module, pairs: Pairs, table: EmbeddingTable, options: TrainingOptions, out: Path) -> nn.Module:
    """Train ``network`` on ``pairs``; logs and the last checkpoint lie in ``out``. Returns it in evaluation mode."""
    lightning.seed_everything(options.seed, verbose=False)
    loader = DataLoader(
        PairDataset(pairs, table), batch_size=options.batch_size, shuffle=True, drop_last=True, collate_fn=tuple
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
    module = QualityRegression(network, table.neutral, options)
    trainer.fit(module, loader)
    return module.network.eval()
