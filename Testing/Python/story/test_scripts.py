"""Scripts that the docs give to ``Slicer --python-script`` work with the paths that people type: relative ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[3] / "docs" / "COMMAND_LINE.md"


@pytest.fixture
def case(slicer, a_ct, a_segmentation, tmp_path, monkeypatch):
    """A folder ``case1`` with a CT and a segmentation, in the working folder; Slicer's scene lies elsewhere."""
    folder = tmp_path / "case1"
    folder.mkdir()
    slicer.util.saveNode(a_ct, str(folder / "ct.nii.gz"))
    slicer.util.saveNode(a_segmentation, str(folder / "segmentation.seg.nrrd"))
    slicer.mrmlScene.Clear(0)
    slicer.mrmlScene.SetRootDirectory(str(Path.home()))
    monkeypatch.chdir(tmp_path)
    return folder


def test_the_script_for_many_cases(slicer, open_panel, case, a_small_model, monkeypatch, capsys):
    import QualitySentinelLib.checkpoint

    monkeypatch.setattr(QualitySentinelLib.checkpoint, "load_model", lambda *_: a_small_model)
    script = next(s for s in re.findall(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.S) if "case1" in s)
    exec(compile(script, "COMMAND_LINE.md", "exec"), {})
    assert re.findall(r"^case\d|case\d(?=: )", capsys.readouterr().err) == ["case2"], "there is no second case"
    assert (case / "quality" / "segments.csv").is_file()


def test_opening_a_case_of_an_audit(slicer, open_panel, case):
    from QualitySentinelTrainingLib.audit.open_in_slicer import main

    open_panel()
    main(["--ct", "case1/ct.nii.gz", "--seg", "case1/segmentation.seg.nrrd"], "audit")
    panel = slicer.util.getModuleWidget("QualitySentinel")
    assert panel.ui.applyButton.enabled
    assert panel.ui.inputSegmentationSelector.currentNode().GetSegmentation().GetNumberOfSegments() == 2
