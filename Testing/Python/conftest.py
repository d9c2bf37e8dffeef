"""What all tests share: the libraries on the path, real data where there is some, and a small synthetic case."""

from __future__ import annotations

import gc
import json
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

for folder, package in (
    ("QualitySentinel", "QualitySentinelLib"),
    ("QualitySentinelTraining", "QualitySentinelTrainingLib"),
):
    if find_spec(package) is None:
        sys.path.insert(0, str(REPOSITORY / folder))

LIVER, SPLEEN = 1, 2
AFFINE = np.array([[-6.0, 0, 0, 141], [0, -6.0, 0, 93], [0, 0, 5.0, -100], [0, 0, 0, 1]])
"""(i, j, k, 1) to RAS mm of the synthetic case: 6 x 6 x 5 mm, already in canonical order."""


def pytest_collection_finish() -> None:
    """A million objects of imported libraries stay until the end: full garbage collections need not look at them."""
    gc.freeze()


@dataclass(frozen=True)
class SyntheticCase:
    """A small torso: air, body, lungs, liver (label 1), spleen (label 2), all with noise.

    Attributes:
        hu: int16 ``[k, j, i]``, canonical order, shape (20, 32, 48).
        labels: uint8, same grid: 0 background, 1 liver, 2 spleen.
        ijk_to_ras: 4x4, RAS mm.
        names: label value to structure name.
    """

    hu: np.ndarray
    labels: np.ndarray
    ijk_to_ras: np.ndarray
    names: dict[int, str]

    def write(self, path: Path, voxels: np.ndarray) -> None:
        """Write voxels on this grid as NIfTI; its folder is made."""
        import nibabel

        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(voxels.T), self.ijk_to_ras), path)

    def write_names(self, path: Path) -> None:
        """Write what the labels mean, as nnU-Net does."""
        labels = {"background": 0} | {name: value for value, name in self.names.items()}
        path.write_text(json.dumps({"labels": labels}), encoding="utf-8")


@dataclass(frozen=True)
class CaseFiles:
    """The synthetic case as files: ``ct.nii.gz``, ``seg.nii.gz`` (a label map) and ``names.json``."""

    ct: Path
    seg: Path
    names: Path


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and parity fixtures beside the repository; the test is skipped where there is none."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs the real data in ../shared, which is not on this machine")
    return folder


@pytest.fixture(scope="session")
def a_torso() -> SyntheticCase:
    """The synthetic case as arrays. Do not write into it: it is shared by all tests."""
    shape = (20, 32, 48)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    hu = np.full(shape, -1000.0)
    hu[(x / 0.9) ** 2 + (y / 0.85) ** 2 < 1] = 40.0
    lungs = (((np.abs(x) - 0.42) / 0.3) ** 2 + (y / 0.6) ** 2 < 1) & (z > 0.3)
    liver = ((x + 0.4) / 0.4) ** 2 + (y / 0.55) ** 2 + ((z + 0.2) / 0.5) ** 2 < 1
    spleen = ((x - 0.55) / 0.2) ** 2 + ((y - 0.3) / 0.3) ** 2 + ((z + 0.1) / 0.35) ** 2 < 1
    hu[lungs], hu[liver], hu[spleen] = -800.0, 60.0, 50.0
    hu += np.random.default_rng(7).normal(0.0, 8.0, shape)
    hu = np.clip(np.rint(hu), -1024, None).astype(np.int16)
    labels = np.zeros(shape, np.uint8)
    labels[liver], labels[spleen] = LIVER, SPLEEN
    hu.setflags(write=False)
    labels.setflags(write=False)
    return SyntheticCase(hu, labels, AFFINE, {LIVER: "liver", SPLEEN: "spleen"})


@pytest.fixture
def a_ct_with_a_liver(a_torso):
    """``(CtVolume, Segmentation)`` of the synthetic case: segments ``1`` (liver) and ``2`` (spleen)."""
    from QualitySentinelLib.volume import AxialFrame, CtVolume, Segment, Segmentation
    from QualitySentinelLib.volume.segmentation import boxes_of_labels

    frame = AxialFrame.from_affine(a_torso.ijk_to_ras, a_torso.hu.shape)
    boxes = boxes_of_labels(a_torso.labels, a_torso.names)
    segments = [
        Segment(str(value), name, boxes[value], a_torso.labels[boxes[value]], value, structure=name)
        for value, name in a_torso.names.items()
    ]
    return CtVolume(a_torso.hu, frame, "ct"), Segmentation(segments, frame, "seg")


@pytest.fixture
def a_case_on_disk(a_torso, tmp_path) -> CaseFiles:
    """The synthetic case as NIfTI files and a names file, in a folder of the test's own."""
    files = CaseFiles(tmp_path / "ct.nii.gz", tmp_path / "seg.nii.gz", tmp_path / "names.json")
    a_torso.write(files.ct, a_torso.hu)
    a_torso.write(files.seg, a_torso.labels)
    files.names.write_text(json.dumps({str(k): v for k, v in a_torso.names.items()}), encoding="utf-8")
    return files


@pytest.fixture(scope="session")
def a_small_model():
    """A small network with random weights that knows liver and spleen. Scores mean nothing, but differ by input."""
    import torch

    from QualitySentinelLib.checkpoint import QualityModel
    from QualitySentinelLib.network import build_network
    from QualitySentinelLib.slices import COMPACT
    from QualitySentinelLib.text import EmbeddingTable

    architecture = {
        "kind": "compact", "embedding_dim": 8, "in_channels": COMPACT.channels, "mask_channel": COMPACT.mask_channel,
        "widths": [8, 8, 16, 16], "map_width": 8,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(architecture).eval()
        torch.nn.init.normal_(network.head[-1].weight, std=0.1)
    table = EmbeddingTable("random", "{}", ("liver", "spleen"), np.eye(2, 8, dtype=np.float32))
    return QualityModel("small", network, architecture, COMPACT, table, sha256="0" * 64)


@pytest.fixture(scope="session")
def a_model_file(a_small_model, tmp_path_factory) -> Path:
    """The small model as a file."""
    from QualitySentinelLib.checkpoint import save_model

    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_model(a_small_model, path)
    return path


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium, one for all rooms."""
    pytest.importorskip("playwright.sync_api", reason="needs Playwright to look at pages")
    from Testing.chromium import chromium

    try:
        with chromium() as browser:
            yield browser
    except RuntimeError as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def _headless_slicer():
    pytest.importorskip("trame_slicer")
    pytest.importorskip("PySide6")
    from Testing.Host.headless_slicer import start

    start()


@pytest.fixture
def slicer(_headless_slicer):
    """The ``slicer`` package of a running Slicer with an empty scene."""
    import slicer

    slicer.mrmlScene.Clear(0)
    yield slicer
    slicer.mrmlScene.Clear(0)


@pytest.fixture
def a_ct_node(slicer, a_torso):
    """The torso's CT as a scalar volume node."""
    return slicer.util.addVolumeFromArray(a_torso.hu, a_torso.ijk_to_ras, "CT")


@pytest.fixture
def segmentation_node_of(slicer):
    """A function ``(labels, names, ct_node, name)``: the segmentation node of a label map on a CT node's grid.

    There is one segment for each name, its id is the name; all share one layer.
    """

    def make(labels: np.ndarray, names: dict[int, str], ct_node, name: str = "Segmentation"):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(ct_node)
        for value, segment in names.items():
            segment_id = node.GetSegmentation().AddEmptySegment(segment, segment)
            mask = (labels == value).astype(np.uint8)
            slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment_id, ct_node)
        node.GetSegmentation().CollapseBinaryLabelmaps(False)
        return node

    return make


@pytest.fixture
def a_segmentation_node(a_torso, a_ct_node, segmentation_node_of):
    """The torso's segmentation: liver and spleen, ids ``liver`` and ``spleen``, in one shared layer."""
    return segmentation_node_of(a_torso.labels, a_torso.names, a_ct_node)


@pytest.fixture
def open_offline(browser):
    """A function that opens a file; any request but for files and embedded data, and any console message, fails."""
    contexts, complaints = [], []

    def opened(path: Path, width: int, **options):
        context = browser.new_context(viewport={"width": width, "height": 800}, offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda r: r.url.startswith(("file:", "data:")) or complaints.append(f"asked for {r.url}"))
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
