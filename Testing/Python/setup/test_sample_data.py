"""What a user finds in the Sample Data module: a CT and its segmentation that exist today, loaded by one click."""

from __future__ import annotations

import importlib.util
import json
import re
import struct
import sys
from pathlib import Path

import pytest

from QualitySentinelLib.setup import register_sample_data

HERE = Path(__file__).resolve().parent


@pytest.fixture
def registered(slicer, monkeypatch):
    """The entries of our category, after Slicer has started."""
    spec = importlib.util.spec_from_file_location("SampleData", HERE / "sample_data_stand_in.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "SampleData", module)
    for name in ("sampleDataSources", "sampleDataSourceCategories"):
        monkeypatch.setattr(slicer.modules, name, {}, raising=False)
    register_sample_data()
    register_sample_data()  # a reload of the module registers again
    return slicer.modules.sampleDataSources["QualitySentinel"]


def test_one_click_brings_the_ct_and_its_segmentation(slicer, registered):
    (sample,) = registered
    assert sample.sampleName == "CTLiverSegmented"
    assert sample.nodeNames == ["CTLiver", "CTLiverSegmentation"]
    assert sample.loadFileTypes == ["VolumeFile", "SegmentationFile"]
    assert slicer.modules.sampleDataSourceCategories["QualitySentinel"]["title"] == "Quality Sentinel"


def test_addresses_and_checksums_are_those_of_slicer_s_source(registered):
    listed = json.loads((HERE / "sample_data_of_slicer.json").read_text(encoding="utf-8"))["files"]
    known = {(f["node"], f["file"], f["uri"], f["checksum"]) for f in listed}
    (sample,) = registered
    assert set(zip(sample.nodeNames, sample.fileNames, sample.uris, sample.checksums, strict=True)) == known


def test_every_file_is_checked_after_its_download(registered):
    (sample,) = registered
    assert all(re.fullmatch("SHA256:[0-9a-f]{64}", checksum) for checksum in sample.checksums)
    assert all(uri.startswith("https://") for uri in sample.uris)


def test_the_picture_on_the_button_is_there_and_small(registered):
    (sample,) = registered
    picture = Path(sample.thumbnailFileName)
    assert struct.unpack(">II", picture.read_bytes()[16:24]) == (260, 280)
    assert picture.stat().st_size < 30_000


def test_the_tutorial_names_the_sample(repository, registered):
    text = (repository / "docs" / "TUTORIAL.md").read_text(encoding="utf-8")
    (sample,) = registered
    assert sample.sampleName in text and all(name in text for name in sample.nodeNames)
