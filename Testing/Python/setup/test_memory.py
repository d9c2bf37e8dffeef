"""The warning before a scoring that may not fit into memory."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from QualitySentinelLib.setup import available_memory, memory, memory_needed, memory_warning

GIB = 1 << 30


def a_volume(k, j, i):
    """A volume node of 16 bits a voxel."""
    image = SimpleNamespace(GetNumberOfPoints=lambda: k * j * i, GetScalarSize=lambda: 2)
    return SimpleNamespace(GetImageData=lambda: image)


LARGE = a_volume(300, 512, 512)


@pytest.fixture
def free(monkeypatch):
    """A function that says how much memory the machine has free."""
    return lambda size: monkeypatch.setattr(memory, "available_memory", lambda: size)


@pytest.fixture
def card(monkeypatch):
    """A function that puts a graphics card with so much free memory into the machine."""

    def put(size):
        torch = ModuleType("torch")
        torch.cuda = SimpleNamespace(is_available=lambda: True, mem_get_info=lambda i: (size, 8 * GIB))
        monkeypatch.setitem(sys.modules, "torch", torch)

    return put


@pytest.fixture
def no_torch(monkeypatch):
    """PyTorch is not imported yet."""
    monkeypatch.delitem(sys.modules, "torch", raising=False)


def test_this_machine_says_how_much_it_has():
    assert GIB // 4 < available_memory() < 1 << 50


def test_a_machine_with_room_gets_no_warning(free, no_torch):
    free(8 * GIB)
    assert memory_warning(LARGE) is None


def test_a_machine_without_room_gets_both_numbers_and_what_to_do(free, no_torch):
    free(GIB // 2)
    text = memory_warning(LARGE)
    assert f"about {memory_needed(LARGE) / GIB:.1f} GiB" in text and "0.5 GiB are free" in text
    assert "crop the CT" in text and "\n" not in text


def test_a_machine_that_does_not_say_gets_no_warning(free, no_torch):
    free(None)
    assert memory_warning(LARGE) is None


def test_no_ct_is_no_reason_to_warn(free, slicer):
    free(0)
    assert memory_warning(None) is None
    assert memory_warning(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")) is None


def test_the_estimate_grows_with_the_ct_by_its_bytes(no_torch):
    assert memory_needed(a_volume(600, 512, 512)) - memory_needed(LARGE) == 300 * 512 * 512 * (2 + 1 + 1)


def test_pytorch_counts_only_until_it_is_imported(no_torch, monkeypatch):
    before = memory_needed(LARGE)
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    assert memory_needed(LARGE) < before


def test_the_nodes_own_sizes_are_used(slicer, no_torch):
    small = np.zeros((10, 20, 30))
    ct = slicer.util.addVolumeFromArray(small.astype(np.int16), name="CT")
    exact = slicer.util.addVolumeFromArray(small.astype(np.float64), name="CT of doubles")
    assert memory_needed(ct) == memory_needed(a_volume(10, 20, 30))
    assert memory_needed(exact) - memory_needed(ct) == small.size * 2


def test_every_layer_of_the_segmentation_counts_once(slicer, no_torch):
    ct = slicer.util.addVolumeFromArray(np.zeros((10, 20, 30), np.int16), name="CT")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    node.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    without = memory_needed(ct) - 2 * 10 * 20 * 30
    assert memory_needed(ct, node) == memory_needed(ct)
    for name, rows in (("a", slice(0, 10)), ("b", slice(10, 20)), ("c", slice(5, 15))):
        mask = np.zeros((10, 20, 30), np.uint8)
        mask[:, rows] = 1
        segment_id = node.GetSegmentation().AddEmptySegment(name, name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment_id, ct)
    node.GetSegmentation().CollapseBinaryLabelmaps(False)
    assert node.GetSegmentation().GetNumberOfLayers() == 2
    layers = [slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, name).nbytes for name in ("a", "c")]
    assert memory_needed(ct, node) - without == sum(layers) + max(layers)


class TestGraphicsCard:
    def test_a_full_one_is_told(self, card, free):
        card(GIB // 4)
        free(64 * GIB)
        assert "graphics card has 0.2 GiB of free memory" in memory_warning(LARGE, "auto")
        assert "select the device cpu" in memory_warning(LARGE, "cuda:0")

    def test_is_no_matter_when_the_processor_was_chosen(self, card, free):
        card(0)
        free(64 * GIB)
        assert memory_warning(LARGE, "cpu") is None

    def test_takes_the_network_out_of_main_memory(self, card, free):
        card(8 * GIB)
        free(memory_needed(LARGE, on_gpu=True))
        assert memory_warning(LARGE, "cuda") is None
        assert memory_warning(LARGE, "cpu") is not None

    def test_one_that_is_not_there_is_the_scorer_s_affair(self, card, free, monkeypatch):
        card(8 * GIB)
        free(64 * GIB)

        def fails(index):
            raise RuntimeError("invalid device ordinal")

        monkeypatch.setattr(sys.modules["torch"].cuda, "mem_get_info", fails)
        assert memory_warning(LARGE, "cuda:7") is None
