"""The legend is seen, and leaves the picture to what it explains."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.mark.parametrize("view", ["Red", "1"])
def test_the_legend_is_small_in_slice_and_3d_views(scored, seen, view):
    before = seen(view).astype(int)
    scored.ui.showLegendCheckBox.click()
    changed = np.abs(seen(view).astype(int) - before).max(axis=2) > 20
    rows, columns = np.nonzero(changed)
    height, width = (np.ptp(found) / length for found, length in zip((rows, columns), changed.shape, strict=True))
    assert 0.15 < height < 0.4 and 0.05 < width < 0.35
