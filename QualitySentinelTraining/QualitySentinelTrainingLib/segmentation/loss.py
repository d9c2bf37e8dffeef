"""The loss where not every structure was contoured in every subject."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def partial_label_loss(
    logits: Tensor, labels: Tensor, contoured: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Cross-entropy plus soft Dice, for subjects in which only some structures were contoured.

    A voxel without a label may belong to a structure that nobody contoured in its subject. So the probabilities of
    those structures are added to that of the background before the comparison (the marginal loss of Shi et al.,
    Medical Image Analysis 2021), and their Dice leaves these subjects out.

    Args:
        logits: float32 ``[N, classes, ...]``, two or three axes of space; class 0 is the background.
        labels: int64 ``[N, ...]``.
        contoured: bool ``[N, classes]``: which classes the item's subject has; class 0 is always true.
        weights: how far each item counts, float32 ``[N]``, 1 on average; by default all alike.

    Returns:
        The loss, a scalar.
    """
    space = (1,) * (logits.ndim - 2)
    weights = logits.new_ones(len(logits)) if weights is None else weights
    inside = tuple(range(2, logits.ndim))
    log_p = functional.log_softmax(logits, dim=1)
    unlabelled = ~contoured
    unlabelled[:, 0] = True
    hidden = log_p.masked_fill(~unlabelled.reshape(*unlabelled.shape, *space), float("-inf"))
    background = torch.logsumexp(hidden, dim=1, keepdim=True)
    log_p = torch.cat([background, log_p[:, 1:]], dim=1)
    entropy = (functional.nll_loss(log_p, labels, reduction="none").flatten(1).mean(dim=1) * weights).mean()
    counted = contoured[:, 1:].reshape(len(contoured), -1, *space).to(log_p.dtype)
    p = log_p[:, 1:].exp() * counted
    truth = functional.one_hot(labels, logits.shape[1])[..., 1:].movedim(-1, 1).to(p.dtype)
    shared, total = (weights @ part.sum(inside) for part in (p * truth, p + truth))
    shown = truth.sum((0, *inside)) > 0
    if not shown.any():
        return entropy
    return entropy + 1 - (2 * shared[shown] / total[shown]).mean()
