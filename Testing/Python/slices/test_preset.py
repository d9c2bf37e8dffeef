"""Presets survive JSON and refuse nonsense."""

from __future__ import annotations

import json

import pytest

from QualitySentinelLib.slices import COMPACT, PUBLISHED, Preset


@pytest.mark.parametrize("preset", [PUBLISHED, COMPACT])
def test_round_trip_through_json(preset):
    assert Preset.from_json(json.loads(json.dumps(preset.to_json()))) == preset


@pytest.mark.parametrize(
    "change",
    [
        {"size": 10**9}, {"size": "128"}, {"frame": "sagittal"}, {"windows": []}, {"windows": None},
        {"windows": [{"low": 1, "high": 0}]}, {"margin_mm": float("nan")}, {"crop": 3}, {"unheard_of": 1},
        {"mask_range": [1]}, {"name": None}, {"windows": [{"low": 0, "high": 1, "gamma": 2}]},
    ],
)  # fmt: skip
def test_nonsense_is_refused(change):
    with pytest.raises(ValueError, match="."):
        Preset.from_json(COMPACT.to_json() | change)


def test_missing_windows_are_refused():
    data = COMPACT.to_json()
    del data["windows"]
    with pytest.raises(ValueError, match="windows"):
        Preset.from_json(data)
