"""The pictures of the README can be made again, and show something."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest

MOST_BYTES, MOST_BYTES_EACH = 3_000_000, 500_000
WINDOWS = (
    "QualitySentinel", "panel_results", "panel_review", "panel_correct", "panel_quality_map", "panel_errors",
    "panel_queue",
)  # fmt: skip

_DRAW = """
import vtk
window = vtk.vtkRenderWindow()
window.SetOffScreenRendering(1)
window.AddRenderer(vtk.vtkRenderer())
window.Render()
"""


@pytest.fixture
def able_to_draw():
    """Skips where VTK cannot draw (it may end the process, so it tries in one of its own) or there is no Chromium."""
    for package in ("trame_slicer", "PySide6", "playwright"):
        pytest.importorskip(package)
    if subprocess.run([sys.executable, "-c", _DRAW], capture_output=True, timeout=300).returncode:
        pytest.skip("needs OpenGL (libgl1-mesa-dri is enough) to draw Slicer's views, and there is none here")
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        pytest.skip("needs Chromium to look at the report, and there is none on this machine")


@pytest.mark.chromium
@pytest.mark.slow
def test_pictures_are_made_and_not_blank(able_to_draw, repository, a_case_on_disk, a_model_file, tmp_path):
    from PIL import Image

    done = subprocess.run(
        [sys.executable, "Testing/screenshots.py", "--model", str(a_model_file), "--out", str(tmp_path / "pictures"),
         "--ct", str(a_case_on_disk.ct), "--seg", str(a_case_on_disk.seg), "--names", str(a_case_on_disk.names)],
        cwd=repository, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    paths = {path.name: path for path in (tmp_path / "pictures").iterdir()}
    assert set(paths) == {f"{name}.png" for name in (*WINDOWS, "panel_scoring", "report", "report_segment")}
    pictures = {name: np.asarray(Image.open(path).convert("RGB"), float) for name, path in paths.items()}
    assert min(picture.std() for picture in pictures.values()) > 5
    for name in WINDOWS:
        panel, views = pictures[f"{name}.png"][:, :390], pictures[f"{name}.png"][30:, 405:]
        assert panel.std() > 5, name
        colored = np.ptp(views, axis=2) > 15  # a CT is gray: what has a color is a segment
        assert colored.mean() > 0.01, name
    before, after = pictures["panel_review.png"], pictures["QualitySentinel.png"]
    assert (abs(before - after).max(axis=2) > 30).mean() > 0.001, "two pictures of the same"


def test_the_readme_shows_pictures_that_are_there_and_small(repository):
    import re

    if not (repository / "Resources" / "Screenshots").is_dir():
        pytest.skip("the pictures are not made yet: make screenshots, once there is a model")
    text = (repository / "README.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"Resources/Screenshots/[\w.]+", text))
    assert shown
    assert not [name for name in shown if not (repository / name).is_file()]
    sizes = {path.name: path.stat().st_size for path in (repository / "Resources" / "Screenshots").glob("*.png")}
    assert sum(sizes.values()) < MOST_BYTES
    assert not {name: size for name, size in sizes.items() if size > MOST_BYTES_EACH}
