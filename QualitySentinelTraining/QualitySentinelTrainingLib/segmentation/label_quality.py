"""Label quality: cleanlab's soft minimum of the out-of-sample probabilities of the given labels.

Lad and Mueller 2023 (arXiv 2307.05080), the best of seven scores of whole images there. It is here of one structure:
in a slice, of the pixels that are labeled so or that the network calls so, against all else. Pixels that the network
doubts weigh most: a few that are surely wrong pull it down far below the share of right ones. It is no DSC.
"""

from __future__ import annotations

import numpy as np


def soft_minimum(own: np.ndarray) -> float:
    """cleanlab's label quality of pixels, 0..1; 1 without any.

    Args:
        own: probability of the given label of each pixel, ``[N]``.
    """
    from cleanlab.segmentation.rank import get_label_quality_scores

    if not len(own):
        return 1.0
    own = own.astype(np.float64)
    both = np.stack([own, 1 - own])[None, :, None]
    return float(get_label_quality_scores(np.zeros((1, 1, len(own)), int), both, verbose=False)[0][0])


def structure_quality(given: np.ndarray, expected: np.ndarray, p: np.ndarray) -> tuple[float, dict[int, float]]:
    """Label quality of one structure, as a whole and by canonical k of its slices: those with a pixel of it.

    Args:
        given, expected: its mask, and what the network calls so, bool ``[k, j, i]``.
        p: its probability, ``[k, j, i]``.
    """
    own = {}
    for k in np.flatnonzero((given | expected).any(axis=(1, 2))):
        shown = given[k] | expected[k]
        likely = p[k][shown].astype(np.float32)
        own[int(k)] = np.where(given[k][shown], likely, 1 - likely)
    return soft_minimum(np.concatenate([*own.values(), np.zeros(0)])), {k: soft_minimum(one) for k, one in own.items()}
