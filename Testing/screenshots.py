"""Make the pictures of README.md: ``make screenshots``.

    python Testing/screenshots.py [--model bundled|PATH] [--out FOLDER] [--phantom | --ct FILE --seg FILE]

A case is scored by the module's own panel, in the headless Slicer of ``Testing/Host``. The slice and 3D views are
Slicer's; the panel is the module's ``.ui`` file drawn by Qt; the report is the file the module writes, in Chromium.
The case is TotalSegmentator's example CT (Apache-2.0) from ``../shared`` with errors planted in its segmentation;
where that is absent, a generated phantom. The bundled model was trained on that person: the pictures show the program,
not how good the model is.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

EXAMPLE = ROOT.parent / "shared" / "data" / "totalsegmentator"
CHROMIUM_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
HEIGHT = 900
PANEL_WIDTH = 470
SLICE_WIDTH, SOLID_WIDTH = 560, 560
BAR = 22
"""Height of the colored bar above a view, as in Slicer."""
SOFT_TISSUE = (400, 40)
"""Window and level, HU."""
GAP = 4
REPORT_WIDTH = 1280
SOLID_ZOOM = 0.15
VIEW_COLORS = {"R": (243, 74, 51), "G": (110, 176, 75), "1": (116, 121, 190)}
SEGMENT_TO_SHOW = """() => {
  const bodies = [...document.querySelectorAll("tbody[id]")];
  const count = (body, what) => body.querySelectorAll(what).length;
  const telling = bodies.filter(b => count(b, "figure") > 1 && count(b, "path.flagged") > 3
    && count(b, "path.flagged") <= count(b, ".point"));
  return (telling[0] || bodies.find(b => b.querySelector("figure")) || bodies[0]).id;
}"""
"""The worst structure that has several pictures, and some flagged slices but no more than others."""
PLANTED = {  # label of TotalSegmentator's "total" task: error and about the DSC lost
    1: ("leak", 0.35), 2: ("truncated ends", 0.4), 3: ("shift", 0.5), 5: ("missing part", 0.25), 6: ("elastic", 0.3),
    7: ("erosion", 0.45), 18: ("dilation", 0.4), 20: ("dropped slices", 0.3), 52: ("truncated ends", 0.35),
    88: ("one sided", 0.3), 31: ("misplaced", 0.9),
}  # fmt: skip
"""Errors planted in the example: in spleen, kidneys, liver, stomach, pancreas, aorta, iliopsoas and others."""
_INK, _PAPER = (40, 40, 40), (239, 239, 239)


@dataclass
class Scored:
    """A case of the scene, scored by the panel."""

    panel: object
    volume: object
    segmentation: object
    slice_views: dict[str, object]


def main(arguments: list[str] | None = None) -> int:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="bundled", help="'bundled' or a model file")
    parser.add_argument("--out", type=Path, default=ROOT / "Resources" / "Screenshots")
    parser.add_argument("--phantom", action="store_true", help="a generated phantom instead of the example CT")
    parser.add_argument("--ct", type=Path, help="another CT, with --seg")
    parser.add_argument("--seg", type=Path, help="its segmentation")
    parser.add_argument("--names", type=Path, help="JSON file of label values and structure names")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        if options.ct and options.seg:
            case = options.ct, options.seg, options.names
        elif options.phantom or not EXAMPLE.is_dir():
            case = make_phantom_files(work)
        else:
            case = EXAMPLE / "example_ct.nii.gz", spoiled_example(work), None
        scored = score(*case, options.model)
        save(hero(scored), options.out / "QualitySentinel.png")
        scored.panel.logic.exportResults(scored.volume, scored.segmentation, scored.panel._caseScore, work / "results")
        for name, picture in report_pictures(work / "results" / "report.html").items():
            save(picture, options.out / name)
    total = 0
    for path in sorted(options.out.glob("*.png")):
        total += path.stat().st_size
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
    print(f"{total / 1e6:.2f} MB in all")
    return 0


def spoiled_example(folder: Path) -> Path:
    """TotalSegmentator's segmentation of its example CT with the errors of :data:`PLANTED`, as a label map."""
    import nibabel

    from QualitySentinelTrainingLib.demo import plant_errors

    image = nibabel.load(EXAMPLE / "example_seg_fast_force_split.nii.gz")
    labels = np.ascontiguousarray(np.asarray(image.dataobj).T).astype(np.uint8)
    hu = np.asarray(nibabel.load(EXAMPLE / "example_ct.nii.gz").dataobj).T
    spacing = tuple(float(s) for s in image.header.get_zooms()[::-1])
    spoiled = labels.copy()
    plant_errors(spoiled, PLANTED, labels, hu, spacing, np.random.default_rng(0))
    path = folder / "segmentation.nii.gz"
    nibabel.save(nibabel.Nifti1Image(spoiled.T, image.affine, image.header), path)  # the header names the labels
    return path


def make_phantom_files(folder: Path) -> tuple[Path, Path, Path]:
    """A generated phantom as NIfTI files, CT and label map, and the names of its labels."""
    import nibabel

    from QualitySentinelTrainingLib.phantom import FIRST_UNSEEN_SEED, make_phantom

    phantom = make_phantom(FIRST_UNSEEN_SEED, spacing=(5.0, 3.0, 3.0), region=(20.0, 310.0))
    ct, seg, names = folder / "ct.nii.gz", folder / "segmentation.nii.gz", folder / "names.json"
    for path, voxels in ((ct, phantom.hu), (seg, phantom.labels)):
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(voxels.T), phantom.ijk_to_ras), path)
    names.write_text(json.dumps({str(value): name for value, name in phantom.names.items()}), encoding="utf-8")
    return ct, seg, names


def score(ct: Path, seg: Path, names: Path | None, model: str) -> Scored:
    """Load the case as Slicer does and press Apply."""
    from Testing.Host.headless_slicer import load_module, start

    core = start()
    module = load_module(ROOT / "QualitySentinel" / "QualitySentinel.py")
    import slicer

    slicer.app.qt.setStyle("Fusion")
    volume = core.io_manager.load_volumes([str(ct)])[0]
    slice_views = open_slice_views(core, volume)
    segmentation = core.io_manager.load_segmentation(str(seg))
    if ct.parent == EXAMPLE:
        volume.SetName("TotalSegmentator example CT")
        segmentation.SetName("TotalSegmentator, errors planted")
    name_segments(segmentation, ct, seg, names)
    panel = module.QualitySentinelWidget()
    panel.logic._model, panel.logic._modelSource = panel.logic.model(model), "bundled"
    panel.ui.inputVolumeSelector.setCurrentNode(volume)
    panel.ui.inputSegmentationSelector.setCurrentNode(segmentation)
    panel.ui.applyButton.click()
    while not panel.ui.applyButton.enabled:
        slicer.app.processEvents()
        time.sleep(0.001)
    if panel._caseScore is None:
        raise SystemExit("the case could not be scored")
    return Scored(panel, volume, segmentation, slice_views)


def name_segments(segmentation, ct: Path, seg: Path, names: Path | None) -> None:
    """Give the segments the names that the command line reads."""
    from QualitySentinelLib.reading import read_ct, read_segmentation

    found = {segment.value: segment.name for segment in read_segmentation(seg, read_ct(ct), names)}
    segments = segmentation.GetSegmentation()
    for segment_id in segments.GetSegmentIDs():
        segment = segments.GetSegment(segment_id)
        segment.SetName(found.get(segment.GetLabelValue(), segment.GetName()))


def hero(scored: Scored) -> Image.Image:
    """The panel, an axial and a coronal slice, and the 3D view: all segments in the color of their predicted DSC."""
    picture = Image.new("RGB", (PANEL_WIDTH + SLICE_WIDTH + SOLID_WIDTH + 2 * GAP, HEIGHT), _PAPER)
    picture.paste(panel_picture(scored.panel), (0, 0))
    slice_height = (HEIGHT - GAP) // 2 - BAR
    left = PANEL_WIDTH + GAP
    for number, (plane, label) in enumerate((("axial", "R"), ("coronal", "G"))):
        view, position = slice_view_picture(scored, plane, (SLICE_WIDTH, slice_height))
        paste_view(picture, view, (left, number * (slice_height + BAR + GAP)), label, position)
    left += SLICE_WIDTH + GAP
    paste_view(picture, solid_picture(scored, (SOLID_WIDTH, HEIGHT - BAR)), (left, 0), "1", "")
    draw_scale(picture, (left + 110, HEIGHT - 56), SOLID_WIDTH - 220)
    return picture


def paste_view(picture: Image.Image, view: Image.Image, corner: tuple[int, int], label: str, text: str) -> None:
    """A view under its colored bar, as in Slicer."""
    draw, (left, top) = ImageDraw.Draw(picture), corner
    draw.rectangle((left, top, left + view.width - 1, top + BAR - 1), fill=VIEW_COLORS[label])
    draw.text((left + 8, top + BAR / 2), label, fill="white", font=font(14), anchor="lm")
    draw.text((left + view.width - 8, top + BAR / 2), text, fill="white", font=font(14), anchor="rm")
    picture.paste(view, (left, top + BAR))


def panel_picture(panel) -> Image.Image:
    """The module's panel as Qt draws it."""
    import slicer

    widget = panel.parent
    widget.resize(PANEL_WIDTH, HEIGHT)
    widget.show()
    for _ in range(5):
        slicer.app.processEvents()
    image = widget.grab().toImage().convertToFormat(_rgb_format())
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return Image.fromarray(rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy())


def _rgb_format():
    from PySide6.QtGui import QImage

    return QImage.Format.Format_RGB888


def open_slice_views(core, volume) -> dict[str, object]:
    """An axial and a coronal view of the CT. Opened before there are segments: what comes first is drawn below."""
    from trame_slicer.views import ViewLayoutDefinition

    display = volume.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(*SOFT_TISSUE)
    views = {
        "axial": _view(core, ViewLayoutDefinition.axial_view()),
        "coronal": _view(core, ViewLayoutDefinition.coronal_view()),
    }
    for view in views.values():
        view.set_background_volume_id(volume.GetID())
        view.update_size(SLICE_WIDTH, SLICE_WIDTH)
        view.fit_view_to_content()
        view.render()
    return views


def slice_view_picture(scored: Scored, plane: str, size: tuple[int, int]) -> tuple[Image.Image, str]:
    """One of Slicer's slice views, filled by the segments, and its position as text."""
    view = scored.slice_views[plane]
    scored.segmentation.GetDisplayNode().SetOpacity2DFill(0.4)
    view.update_size(*size)
    view.render()
    view.fit_view_to_content()
    position, letter = place_to_show(scored)[("axial", "coronal").index(plane)], {"axial": "S", "coronal": "A"}[plane]
    view.set_slice_value(position)
    fill(view, scored, plane, size)
    return _render(view), f"{letter}: {position + 0.0:.1f} mm"


def fill(view, scored: Scored, plane: str, size: tuple[int, int], margin: float = 1.12) -> None:
    """Zoom so that the segments fill the view."""
    bounds = [0.0] * 6
    scored.segmentation.GetRASBounds(bounds)
    middle = [(low + high) / 2 for low, high in zip(bounds[::2], bounds[1::2], strict=True)]
    across = (bounds[1] - bounds[0]) * margin
    upright = (bounds[3] - bounds[2] if plane == "axial" else bounds[5] - bounds[4]) * margin
    width = max(across, upright * size[0] / size[1])
    node = view.get_view_node()
    node.SetFieldOfView(width, width * size[1] / size[0], node.GetFieldOfView()[2])
    node.SetXYZOrigin(0, 0, 0)
    to_ras = node.GetSliceToRAS()
    offset = view.get_slice_value()
    for axis in (0, 1) if plane == "axial" else (0, 2):
        to_ras.SetElement(axis, 3, middle[axis])
    node.UpdateMatrices()
    view.set_slice_value(offset)


def place_to_show(scored: Scored) -> tuple[float, float]:
    """Where to cut: S of the slice with most segments, flagged ones counting three times; A of their middle, mm."""
    weight: dict[float, float] = {}
    for segment in scored.panel._caseScore.segments:
        for s in segment.slices:
            weight[s.position_mm] = weight.get(s.position_mm, 0) + (3 if s.flagged else 1)
    bounds = [0.0] * 6
    scored.segmentation.GetRASBounds(bounds)
    return max(weight, key=weight.get), (bounds[2] + bounds[3]) / 2


def solid_picture(scored: Scored, size: tuple[int, int]) -> Image.Image:
    """Slicer's 3D view of all segments, from the front."""
    from Testing.Host.headless_slicer import start
    from trame_slicer.views import ViewLayoutDefinition

    scored.segmentation.CreateClosedSurfaceRepresentation()
    view = _view(start(), ViewLayoutDefinition.threed_view())
    view.set_background_gradient_color((193, 195, 232), (116, 120, 190))
    view.set_box_visible(False)
    view.update_size(*size)
    view.render()
    view.fit_view_to_content()
    view.zoom(SOLID_ZOOM)
    return _render(view)


def _view(core, layout):
    from trame_slicer.views import DirectViewFactory

    if not core.view_manager._factories:
        core.view_manager.register_factory(DirectViewFactory(do_render_offscreen=True))
    return core.view_manager.create_view(layout)


def _render(view) -> Image.Image:
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    view.render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(view.render_window())
    grab.ReadFrontBufferOff()
    grab.Update()
    image = grab.GetOutput()
    width, height, _ = image.GetDimensions()
    pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3]
    return Image.fromarray(np.ascontiguousarray(pixels))


def draw_scale(picture: Image.Image, corner: tuple[int, int], width: int) -> None:
    """The colors of the predicted DSC from 0 to 1."""
    from QualitySentinelLib.scores import dsc_color

    draw, (left, top) = ImageDraw.Draw(picture), corner
    draw.rounded_rectangle((left - 16, top - 24, left + width + 16, top + 38), 6, fill=(255, 255, 255))
    draw.text((left, top - 12), "Predicted DSC", fill=_INK, font=font(13), anchor="lm")
    for x in range(width):
        color = tuple(round(255 * c) for c in dsc_color(x / (width - 1)))
        draw.line((left + x, top, left + x, top + 14), fill=color)
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        draw.text((left + tick * (width - 1), top + 26), f"{tick:g}", fill=_INK, font=font(12), anchor="mm")


def font(size: int):
    """A font that comes with Pillow."""
    return ImageFont.load_default(size)


def report_pictures(report: Path) -> dict[str, Image.Image]:
    """The report's top, and one structure opened, as headless Chromium shows them."""
    import io

    from playwright.sync_api import sync_playwright

    chromium = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": REPORT_WIDTH, "height": 1200}, color_scheme="light")
        page.goto(report.as_uri())
        top = page.locator(".overview").bounding_box()
        clip = {"x": 0, "y": 0, "width": REPORT_WIDTH, "height": top["y"] + top["height"] + 16}
        pictures = {"report.png": page.screenshot(clip=clip, full_page=True)}
        page.evaluate("document.querySelectorAll('tbody').forEach(body => body.classList.toggle('open', false))")
        segment = page.locator(f"#{page.evaluate(SEGMENT_TO_SHOW)}")
        segment.locator(".opener").click()
        page.mouse.move(0, 0)
        pictures["report_segment.png"] = segment.screenshot()
        browser.close()
    return {name: Image.open(io.BytesIO(data)).convert("RGB") for name, data in pictures.items()}


def save(picture: Image.Image, path: Path) -> None:
    """Write a PNG."""
    picture.save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
