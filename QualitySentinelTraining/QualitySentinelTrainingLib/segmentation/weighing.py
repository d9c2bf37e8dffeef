"""Pick and learn (Zhu et al. 2019, MICCAI): how far each label of a batch counts is learned along with the network."""

from __future__ import annotations

import torch
from monai.networks.nets import Regressor
from torch import Tensor, nn
from torch.nn import functional

_STEEPEST = 2.0
"""Scores lie between minus and plus this, so that no label of a batch takes all the weight."""


class QualityBranch(nn.Module):
    """Rates labels by the picture that they are of. It is needed in training only.

    Args:
        shape: of an item, channels of the picture first, ``(C, [D,] S, S)``.
        classes: K.
    """

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.rate = Regressor((shape[0] + classes, *shape[1:]), (1,), (16, 32, 64), (2, 2, 2), 3, 1, norm="batch")

    def forward(self, shown: Tensor, labels: Tensor, doubted: Tensor) -> Tensor:
        """The weight of each item of a batch, float32 ``[N]``, 1 on average.

        Args:
            shown: the picture, float32 ``[N, C, ...]``.
            labels: int64 ``[N, ...]``, 0 to K - 1.
            doubted: bool ``[N]``: these share their weight by a softmax of their scores; the others weigh 1.
        """
        if not doubted.any():
            return torch.ones(len(doubted), device=doubted.device)
        drawn = functional.one_hot(labels, self.classes).movedim(-1, 1).to(shown)
        scores = self.rate(torch.cat([shown, drawn], dim=1))[:, 0]
        scores = _STEEPEST * torch.tanh(scores - scores[doubted].mean())  # else all drift to where tanh is flat
        shares = torch.softmax(scores.masked_fill(~doubted, -torch.inf), dim=0)
        return torch.where(doubted, shares * doubted.sum(), 1.0)
