"""Make the pictures of README.md and of the tutorial: ``make screenshots``.

    python Testing/screenshots.py [--model bundled|PATH] [--out FOLDER] [--phantom | --ct FILE --seg FILE]

A reader's day in the headless Slicer of ``Testing/Host``: the panel is the module's ``.ui`` file drawn by Qt, the slice
and 3D views beside it are Slicer's; the report is the file the module writes, in Chromium. The case is
TotalSegmentator's example CT (Apache-2.0) from ``../shared`` with errors planted in its segmentation; where that is
absent, a generated phantom. The bundled model was trained on that patient: the pictures show the program, not how good
the model is. In ``panel_correct.png`` the reader puts back what TotalSegmentator had found in that slice.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

EXAMPLE = ROOT.parent / "shared" / "data" / "totalsegmentator"
WINDOW = (1380, 900)
PANEL_WIDTH = 380
GAP = 4
REPORT_WIDTH = 1280
COLORS = 256
"""Colors of a picture: the files stay small, and nobody sees the difference."""
EXACT_COLORS = 24
"""So many of them, the most frequent ones, are not changed at all."""
SECTIONS = ("inputs", "results", "review", "queue", "display", "export", "advanced")
STACKED = (("Red", "1"), ("Green", "1"))
BESIDE = (("Red", "Green"),)
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
SHOWN = (*range(1, 35), *range(51, 69), 88)
"""Labels of the example that are shown: organs, vessels and lower vertebrae. Ribs and muscles would hide them."""


@dataclass
class Scored:
    """A case of the scene, which the panel scores, in Slicer's window."""

    window: object
    panel: object
    volume: object
    segmentation: object


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
            case, reference = (options.ct, options.seg, options.names), None
        elif options.phantom or not EXAMPLE.is_dir():
            case, reference = make_phantom_files(work), None
        else:
            case = EXAMPLE / "example_ct.nii.gz", corrupted_example(work), None
            reference = EXAMPLE / "example_seg_fast_force_split.nii.gz"
        scored = begin(*case, options.model)
        save(panel_scoring(scored), options.out / "panel_scoring.png")
        finish(scored)
        for draw in (panel_results, hero, panel_review, panel_errors, panel_quality_map):
            name = "QualitySentinel" if draw is hero else draw.__name__
            save(draw(scored), options.out / f"{name}.png")
        scored.panel.ui.exportFolderEdit.currentPath = str(work / "results")
        scored.panel.ui.exportButton.click()
        save(panel_correct(scored, reference), options.out / "panel_correct.png")
        for name, picture in report_pictures(work / "results" / "report.html").items():
            save(picture, options.out / name)
        save(panel_queue(scored, *make_queue(work, *case)), options.out / "panel_queue.png")
    total = 0
    for path in sorted(options.out.glob("*.png")):
        total += path.stat().st_size
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
    print(f"{total / 1e6:.2f} MB in all")
    return 0


def corrupted_example(folder: Path) -> Path:
    """TotalSegmentator's segmentation of its example CT with the errors of :data:`PLANTED`, as a label map."""
    import nibabel

    from QualitySentinelTrainingLib.demo import plant_errors

    image = nibabel.load(EXAMPLE / "example_seg_fast_force_split.nii.gz")
    labels = np.ascontiguousarray(np.asarray(image.dataobj).T).astype(np.uint8)
    hu = np.asarray(nibabel.load(EXAMPLE / "example_ct.nii.gz").dataobj).T
    spacing = tuple(float(s) for s in image.header.get_zooms()[::-1])
    labels[~np.isin(labels, SHOWN)] = 0
    corrupted = labels.copy()
    plant_errors(corrupted, PLANTED, labels, hu, spacing, np.random.default_rng(0))
    path = folder / "segmentation.nii.gz"
    nibabel.save(nibabel.Nifti1Image(corrupted.T, image.affine, image.header), path)  # the header names the labels
    return path


def make_queue(folder: Path, ct: str | Path, seg: str | Path, names: str | Path | None = None) -> tuple[Path, Path]:
    """A list of slices of three cases, which are copies of one, and their pool."""
    from QualitySentinelLib.datasets.pool import LIST_COLUMNS
    from QualitySentinelLib.reading import read_ct, read_segmentation
    from QualitySentinelLib.scores.tables import write_table

    pool, image = folder / "pool", read_ct(ct)
    liver = next(s for s in read_segmentation(seg, image, names) if s.structure == "liver")
    k = image.frame.file_slice(int(liver.box[0].start + liver.areas.argmax()))
    rows = []
    for n, name in enumerate(("clinic_012", "clinic_044", "clinic_003"), start=1):
        (pool / name).mkdir(parents=True)
        for source, called in ((ct, "ct.nii.gz"), (seg, "seg.nii.gz"), (names, "labels.json")):
            if source is not None:
                shutil.copyfile(source, pool / name / called)
        rows += [(2 * n, name, "liver", k, 0.22, 1.0, "predicted DSC 0.78"), (2 * n, name, "spleen", k, 0.06, 1.0, "")]
    return write_table(folder / "next" / "selection.csv", LIST_COLUMNS, rows), pool


def panel_queue(scored: Scored, listed: Path, pool: Path) -> Image.Image:
    """A list that is worked through: the case that is open, and the reason."""
    ui = scored.panel.ui
    ui.queueListEdit.currentPath, ui.queuePoolEdit.currentPath = str(listed), str(pool)
    ui.nextCaseButton.click()
    ui.inputSegmentationSelector.currentNode().CreateClosedSurfaceRepresentation()
    picture = window_picture(scored, STACKED, ("queue", "inputs"), front=True)
    scored.panel.panel.remove()
    return picture


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


def begin(ct: Path, seg: Path, names: Path | None, model: str) -> Scored:
    """Load the case as Slicer does, open the module, and press Apply."""
    from Testing.Host.headless_slicer import load_module, start
    from Testing.Host.main_window import open_main_window

    core = start()
    load_module(ROOT / "QualitySentinel" / "QualitySentinel.py")
    import slicer

    from QualitySentinelLib.anatomy.windows import SOFT_TISSUE

    slicer.app.qt.setStyle("Fusion")
    window = open_main_window(core, draw=True)
    window.set_panel_width(PANEL_WIDTH)
    window.resize(*WINDOW)
    set_rendering(False)
    volume = slicer.util.loadVolume(str(ct))
    segmentation = slicer.util.loadSegmentation(str(seg))
    volume.CreateDefaultDisplayNodes()
    volume.GetDisplayNode().AutoWindowLevelOff()
    volume.GetDisplayNode().SetWindowLevel(SOFT_TISSUE.width, SOFT_TISSUE.level)
    if ct.parent == EXAMPLE:
        volume.SetName("TotalSegmentator example CT")
        segmentation.SetName("TotalSegmentator, errors planted")
    name_segments(segmentation, ct, seg, names)
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segmentation.CreateClosedSurfaceRepresentation()
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    slicer.util.selectModule("QualitySentinel")
    panel = slicer.util.getModuleWidget("QualitySentinel")
    panel.logic._model, panel.logic._modelSource = panel.logic.model(model), ("bundled", None)
    panel.ui.applyButton.click()
    return Scored(window, panel, volume, segmentation)


def panel_scoring(scored: Scored) -> Image.Image:
    """While scoring: how far it is and how long it will take; the segments that are finished have their colors."""
    from Testing.Host.user import wait_until

    ui = scored.panel.ui
    wait_until(lambda: ui.progressBar.value > ui.progressBar.maximum / 2 or is_scored(scored), "half of scoring", 600)
    look_at_most(scored)
    return window_picture(scored, STACKED, ("inputs", "results"), front=True)


def finish(scored: Scored) -> None:
    """Wait until the case is scored."""
    from Testing.Host.user import wait_until

    wait_until(lambda: is_scored(scored), "scoring", 600)
    if scored.panel.panel.review_panel.session is None:
        raise SystemExit("the case could not be scored")


def is_scored(scored: Scored) -> bool:
    """Whether the panel has come to an end."""
    return scored.panel.ui.applyButton.enabled and not scored.panel.ui.cancelButton.enabled


def set_rendering(enabled: bool) -> None:
    """Whether views are drawn when the scene changes; while scoring it would take most of the time."""
    import slicer

    manager = slicer.app.layoutManager()
    for widget in map(manager.sliceWidget, manager.sliceViewNames()):
        widget.sliceView().setRenderEnabled(enabled)
    manager.threeDWidget(0).threeDView().setRenderEnabled(enabled)


def name_segments(segmentation, ct: Path, seg: Path, names: Path | None) -> None:
    """Give the segments the names that the command line reads."""
    from QualitySentinelLib.reading import read_ct, read_segmentation

    found = {segment.value: segment.name for segment in read_segmentation(seg, read_ct(ct), names)}
    segments = segmentation.GetSegmentation()
    for segment_id in segments.GetSegmentIDs():
        segment = segments.GetSegment(segment_id)
        segment.SetName(found.get(segment.GetLabelValue(), segment.GetName()))


def hero(scored: Scored) -> Image.Image:
    """Everything at once: table and slice profile, a flagged slice, all segments in their DSC's color."""
    ui = scored.panel.ui
    show_display(ui, showOnlySelected=False, showLegend=True)
    select(scored, telling_segment(scored))
    return window_picture(scored, STACKED, ("results", "review"), front=True)


def panel_results(scored: Scored) -> Image.Image:
    """After Apply: segments from red to green, the table worst first."""
    show_display(scored.panel.ui, showOnlySelected=False, showLegend=True)
    look_at_most(scored)
    return window_picture(scored, STACKED, ("inputs", "results"), front=True)


def panel_review(scored: Scored) -> Image.Image:
    """One segment alone, at a flagged slice that the slice profile and the slice view mark."""
    show_display(scored.panel.ui, showOnlySelected=True, showLegend=False)
    select(scored, telling_segment(scored))
    scored.panel.ui.nextFlaggedButton.click()
    picture = window_picture(scored, STACKED, ("results", "review"), front=True)
    show_display(scored.panel.ui, showOnlySelected=False)
    return picture


def panel_errors(scored: Scored) -> Image.Image:
    """The largest error of the liver: what is missing, and the expected contour."""
    ui, session = scored.panel.ui, scored.panel.panel.review_panel.session
    show_display(ui, showOnlySelected=True, showLegend=False)
    liver = [s.segment_id for s in session.segments if s.structure == "liver"]
    select(scored, liver[0] if liver else telling_segment(scored))
    ui.nextIslandButton.click()
    picture = window_picture(scored, STACKED, ("review",), front=True)
    ui.toggleErrorsButton.click()
    show_display(ui, showOnlySelected=False)
    return picture


def panel_quality_map(scored: Scored) -> Image.Image:
    """Voxels and surfaces in the color of their slice's predicted DSC, and the legend."""
    ui = scored.panel.ui
    show_display(ui, showOnlySelected=False, showLegend=True, showQualityMap=True, showQualitySurface=True)
    look_at_most(scored)
    picture = window_picture(scored, STACKED, ("results", "display"), front=True)
    show_display(ui, showQualityMap=False, showQualitySurface=False)
    return picture


def panel_correct(scored: Scored, reference: Path | None) -> Image.Image:
    """A flagged slice before and after the reader has corrected it, and the panel, which has scored it again."""
    from Testing.Host.user import wait_until

    panel, session = scored.panel, scored.panel.panel.review_panel.session
    show_display(panel.ui, showOnlySelected=True, showLegend=False)
    segment_id, k = slice_to_correct(scored, reference)
    select(scored, segment_id, k)
    sections = "results", "review"
    before = window_picture(scored, BESIDE, sections)
    old = session.slice_score(segment_id, k)
    correct(scored, segment_id, old.slice_index, reference)
    wait_until(lambda: getattr(session.slice_score(segment_id, k), "digest", "") != old.digest, "scoring again", 300)
    picture = window_picture(scored, BESIDE, sections)
    new = session.slice_score(segment_id, k)
    view = scored.window.layout_manager.sliceWidget("Red")
    corner = view.mapTo(scored.window, view.rect.topLeft())
    box = (corner.x(), corner.y(), corner.x() + view.rect.width(), corner.y() + view.rect.height())
    after = picture.crop(box)
    picture.paste(caption(before.crop(box), f"before: DSC {old.predicted_dsc:.2f}"), box[:2])
    text = "after: no mask" if new is None else f"after: DSC {new.predicted_dsc:.2f}"
    picture.paste(caption(after, text), (WINDOW[0] - after.width, box[1]))
    return picture


def caption(picture: Image.Image, text: str) -> Image.Image:
    """A picture with a line of text in it, at the bottom."""
    draw = ImageDraw.Draw(picture)
    middle = picture.width / 2, picture.height - 30
    draw.text(
        middle, text, fill="white", font=ImageFont.load_default(20), anchor="mm", stroke_width=3, stroke_fill="black"
    )
    return picture


def show_display(ui, **wanted: bool) -> None:
    """Check and uncheck boxes of the panel."""
    for name, checked in wanted.items():
        box = getattr(ui, f"{name}CheckBox")
        if box.checked != checked:
            box.click()


def select(scored: Scored, segment_id: str, k: int | None = None) -> None:
    """Click a row of the table, and a bar of the slice profile."""
    panel = scored.panel
    panel.panel.review_panel.session.select(segment_id)
    if k is not None:
        panel.panel.review_panel.session.go_to(segment_id, k)


def telling_segment(scored: Scored) -> str:
    """The worst segment with many slices and none missed, some of them flagged, but no more than others."""
    segments = [s for s in scored.panel.panel.review_panel.session.segments if s.n_scored]
    telling = [s for s in segments if s.n_scored > 9 and not s.n_missed and 2 < s.n_flagged <= s.n_scored / 2]
    return (telling or segments)[0].segment_id


def slice_to_correct(scored: Scored, reference: Path | None) -> tuple[str, int]:
    """(segment, k): the largest slice among the flagged ones that differ most from the reference."""
    session = scored.panel.panel.review_panel.session
    found = []
    for segment in session.segments:
        for s in segment.slices:
            if s.flagged:
                wrong = (
                    1.0
                    if reference is None
                    else 1 - dice_of_slice(scored, segment.segment_id, s.slice_index, reference)
                )
                found.append((min(wrong, 0.5) * s.area_mm2, segment.segment_id, s.k))
    if not found:
        raise SystemExit("no slice is flagged: there is nothing to correct")
    return max(found)[1:]


def masks_of_slice(scored: Scored, segment_id: str, slice_index: int, reference: Path | None):
    """Mask of the segment and its reference in a slice of the file, bool ``[j, i]`` each."""
    import nibabel
    import slicer

    volume = slicer.util.arrayFromSegmentBinaryLabelmap(scored.segmentation, segment_id, scored.volume)
    mask = volume[slice_index] > 0
    if reference is None:
        return mask, volume[max(slice_index - 1, 0)] > 0
    label = scored.segmentation.GetSegmentation().GetSegment(segment_id).GetLabelValue()
    labels = np.asarray(nibabel.load(reference).dataobj[:, :, slice_index]).T  # Slicer keeps the file's order of voxels
    return mask, labels == label


def dice_of_slice(scored: Scored, segment_id: str, slice_index: int, reference: Path) -> float:
    """DSC of a slice's mask with the reference."""
    mask, true = masks_of_slice(scored, segment_id, slice_index, reference)
    return 2 * (mask & true).sum() / max(mask.sum() + true.sum(), 1)


def correct(scored: Scored, segment_id: str, slice_index: int, reference: Path | None) -> None:
    """Replace the segment's mask in one slice by the reference."""
    import slicer

    _mask, true = masks_of_slice(scored, segment_id, slice_index, reference)
    volume = slicer.util.arrayFromSegmentBinaryLabelmap(scored.segmentation, segment_id, scored.volume)
    volume[slice_index] = true
    slicer.util.updateSegmentBinaryLabelmapFromArray(volume, scored.segmentation, segment_id, scored.volume)


def look_at_most(scored: Scored) -> None:
    """Cut where most segments are, flagged slices counting three times."""
    import slicer

    weight: dict[float, float] = {}
    session = scored.panel.panel.review_panel.session
    for segment in [] if session is None else session.segments:
        for s in segment.slices:
            weight[s.position_mm] = weight.get(s.position_mm, 0) + (3 if s.flagged else 1)
    bounds = [0.0] * 6
    scored.segmentation.GetRASBounds(bounds)
    middle = [(low + high) / 2 for low, high in zip(bounds[::2], bounds[1::2], strict=True)]
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        node.JumpSliceByOffsetting(middle[0], middle[1], max(weight, key=weight.get, default=middle[2]))


def window_picture(scored: Scored, views, sections, front: bool = False) -> Image.Image:
    """Slicer's window with these views and with these sections of the panel open."""
    import slicer
    from Testing.Host.user import pause

    manager = slicer.app.layoutManager()
    manager.arrange(*views)
    for name in SECTIONS:
        getattr(scored.panel.ui, f"{name}CollapsibleButton").collapsed = name not in sections
    scored.window.panel.verticalScrollBar().setValue(0)
    pause(0.1)
    place = {n: scored_origin(n) for n in slicer.util.getNodesByClass("vtkMRMLSliceNode")}
    manager.resetSliceViews()
    for node, ras in place.items():
        node.JumpSliceByOffsetting(*ras)
    set_rendering(True)
    solid = manager.threeDWidget(0).threeDView()
    if front and solid.isVisible():
        solid.drawn.fit_view_to_content()
        solid.drawn.zoom(0.08)
    for widget in map(manager.sliceWidget, manager.sliceViewNames()):
        widget.sliceView().forceRender()
    solid.forceRender()
    pause(0.2)
    set_rendering(False)
    return image_of(scored.window)


def scored_origin(slice_node) -> tuple[float, float, float]:
    """The middle of a slice view, RAS mm."""
    matrix = slice_node.GetSliceToRAS()
    return tuple(matrix.GetElement(row, 3) for row in range(3))


def image_of(widget) -> Image.Image:
    """What Qt draws of a widget."""
    from PySide6.QtGui import QImage

    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return Image.fromarray(rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy())


def report_pictures(report: Path) -> dict[str, Image.Image]:
    """The report's top, and one structure opened, as headless Chromium shows them."""
    from Testing.chromium import chromium

    with chromium() as browser:
        page = opened(browser, report)
        overview = page.locator(".overview").bounding_box()
        pictures = {"report.png": top_of(page, overview["y"] + overview["height"] + 16)}
        page.evaluate("document.querySelectorAll('tbody').forEach(body => body.classList.toggle('open', false))")
        segment = page.locator(f"#{page.evaluate(SEGMENT_TO_SHOW)}")
        segment.locator(".opener").click()
        page.mouse.move(0, 0)
        pictures["report_segment.png"] = picture_of(segment.screenshot())
    return pictures


def opened(browser, report: Path):
    """The page of a report, as wide as all pictures of reports are."""
    page = browser.new_page(viewport={"width": REPORT_WIDTH, "height": 1200}, color_scheme="light")
    page.goto(report.resolve().as_uri())
    return page


def top_of(page, height: float) -> Image.Image:
    """A page from its top, ``height`` pixels of it."""
    clip = {"x": 0, "y": 0, "width": REPORT_WIDTH, "height": height}
    return picture_of(page.screenshot(clip=clip, full_page=True))


def picture_of(png: bytes) -> Image.Image:
    """What Chromium gives, without transparency."""
    return Image.open(io.BytesIO(png)).convert("RGB")


def save(picture: Image.Image, path: Path) -> None:
    """Write a PNG with a palette: grounds and inks exactly, and rare colors beside the many greys of a CT."""
    from scipy.spatial import cKDTree

    pixels = np.asarray(picture)
    colors, places, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True)
    sample = np.repeat(colors, np.ceil(np.sqrt(counts)).astype(int), axis=0)[None]
    exact = colors[np.argsort(-counts)[:EXACT_COLORS]]
    others = Image.fromarray(sample).quantize(COLORS - len(exact), Image.Quantize.MEDIANCUT, kmeans=2)
    palette = np.concatenate([exact, np.reshape(others.getpalette(), (-1, 3))]).astype(np.uint8)
    nearest = cKDTree(palette).query(colors)[1].astype(np.uint8)  # Pillow's own search is too rough for large grounds
    indexed = Image.fromarray(nearest[places].reshape(pixels.shape[:2]))
    indexed.putpalette(palette.ravel().tolist())
    indexed.save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
