"""Each structure is shown in the CT window it is judged in."""

from __future__ import annotations

import pytest

from QualitySentinelLib.anatomy.windows import BONE, BRAIN, LUNG, SOFT_TISSUE, window_of


@pytest.mark.parametrize(
    ("name", "preset"),
    [
        ("lung_upper_lobe_left", LUNG),
        ("trachea", LUNG),
        ("vertebra T12", BONE),
        ("vertebrae_L1", BONE),
        ("Left Hip", BONE),
        ("costa 7 right", BONE),
        ("brainstem", BRAIN),
        ("liver", SOFT_TISSUE),
        ("spinal cord", SOFT_TISSUE),
        ("pulmonary artery", SOFT_TISSUE),
        ("gluteus maximus", SOFT_TISSUE),
        ("", SOFT_TISSUE),
        (None, SOFT_TISSUE),
    ],
)
def test_structures_are_shown_in_their_own_window(name, preset):
    assert window_of(name) is preset
