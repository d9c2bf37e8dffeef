"""The strategy for MONAI Label, against its own data store; skipped where MONAI Label is not (docs/SELECTION.md)."""

import json

import nibabel
import numpy as np
import pytest

pytest.importorskip("monailabel", reason="MONAI Label has an environment of its own, see docs/SELECTION.md")

from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.tasks.strategy import Strategy

from QualitySentinelTrainingLib.selection.monai_label import QualitySentinelStrategy


@pytest.fixture
def studies(a_torso, tmp_path):
    """Four images; three have labels that the app predicted: good, poor, and of nothing."""
    names = {"labels": {"background": 0, **{name: value for value, name in a_torso.names.items()}}}
    (tmp_path / "names.json").write_text(json.dumps(names))

    def save(path, voxels):
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(voxels.transpose()), a_torso.ijk_to_ras), path)

    poor = np.where(np.indices(a_torso.labels.shape)[2] > 22, a_torso.labels, 0).astype(np.uint8)
    for name, labels in (("good", a_torso.labels), ("poor", poor), ("empty", 0 * poor), ("unseen", None)):
        save(tmp_path / "studies" / f"{name}.nii.gz", a_torso.hu)
        if labels is not None:
            save(tmp_path / "studies" / "labels" / "original" / f"{name}.nii.gz", labels)
    return tmp_path / "studies"


def test_the_worst_prediction_comes_first_and_is_scored_once(studies, monkeypatch):
    strategy = QualitySentinelStrategy(names=str(studies.parent / "names.json"), device="cpu")
    assert isinstance(strategy, Strategy) and "Quality Sentinel" in strategy.info()["description"]
    store = LocalDatastore(str(studies))
    first = strategy({"strategy": "quality-sentinel"}, store)
    assert first["id"] == "poor" and 0 < first["weight"] < 1
    monkeypatch.setattr(strategy, "_measured", lambda *paths: pytest.fail("scored again"))
    assert strategy({"strategy": "quality-sentinel"}, store) == first
    label = studies / "labels" / "original" / "poor.nii.gz"
    store.save_label("poor", str(label), "final", {})
    assert strategy({}, store)["id"] != "poor"


def test_a_list_of_select_keeps_its_order(studies):
    table = studies.parent / "selection.csv"
    table.write_text(
        "rank,case,structure,slice_index,score,cost,reason\n1,set/good,,,0.5,1,\n2,unseen,,,0.4,1,\n", encoding="utf-8"
    )
    store, strategy = LocalDatastore(str(studies)), QualitySentinelStrategy(table)
    assert strategy({}, store)["id"] == "good"
    for name in ("good", "poor", "empty", "unseen"):
        store.save_label(name, str(studies / "labels" / "original" / "good.nii.gz"), "final", {})
    assert strategy({}, store) is None
