"""How lively the panel is while it scores: called by ``bench.py`` for each case, in a process of its own.

    python Testing/Benchmarks/panel_bench.py --ct FILE --seg FILE

In the headless Slicer of ``Testing/Host``, with the bundled model on the CPU and no view drawn: what the module's
import and first opening take; time from Apply to the first colored segment, the longest time for which the event loop
stood still while scoring (a 1 ms timer misses its turn), first with PyTorch and the model still to be loaded, then with
both in memory; the same for the quality map of all segments; and how long after an edit of one slice its new score is
there.
Prints one line of JSON at the end.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import partialmethod
from pathlib import Path

MARK = "panel: "
"""Begins the lines that ``bench.py`` passes on; VTK writes to the same place."""

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, ROOT / "QualitySentinel"):
    sys.path.insert(0, str(folder))


def main(arguments: list[str] | None = None) -> int:
    """Measure one case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ct", required=True)
    parser.add_argument("--seg", required=True)
    parser.add_argument("--backend", choices=("torch", "openvino"), default="openvino")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    options = parser.parse_args(arguments)
    if options.backend == "torch":
        sys.modules["openvino"] = None  # as if it were not installed
    if options.precision != "float32":  # the panel does not offer it
        from QualitySentinelLib.options import ScoringOptions

        ScoringOptions.__init__ = partialmethod(ScoringOptions.__init__, precision=options.precision)
    panel, volume, segmentation = open_case(options.ct, options.seg)
    figures = {"first": apply(panel, segmentation)}
    print_run("PyTorch and model still to load", figures["first"])
    forget(panel, segmentation)
    figures["loaded"] = apply(panel, segmentation)
    print_run("PyTorch and model in memory", figures["loaded"])
    figures["map"] = show_map(panel, segmentation)
    print(
        f"{MARK}quality map: shown after {figures['map']['seconds']:.2f} s, longest stall "
        f"{figures['map']['stall_ms']:.0f} ms ({figures['map']['stall_cpu_ms']:.0f} ms of computing)"
    )
    figures["edit"] = edit_one_slice(panel, volume, segmentation)
    ratio = figures["loaded"]["seconds"] / figures["edit"]["seconds"]
    figures["edit"]["share_of_full"] = 1 / ratio
    edit = figures["edit"]
    print(
        f"{MARK}one-slice edit: new score after {edit['seconds']:.2f} s, {edit['waiting']:.2f} s of it waiting for "
        f"further edits; {edit['slices']} slices scored; longest stall {edit['stall_ms']:.0f} ms "
        f"({edit['stall_cpu_ms']:.0f} ms of computing); all slices took {ratio:.0f} times longer"
    )
    print(json.dumps(figures))
    return 0


def forget(panel, segmentation) -> None:
    """As if the segmentation had never been scored."""

    panel.reviews.close(segmentation.GetID())
    segmentation.RemoveNodeReferenceIDs("QualitySentinelReview")
    panel.panel.show_review(None)
    panel.logic.restoreColors(segmentation)


def open_case(ct: str, seg: str):
    """(panel, volume node, segmentation node) in a Slicer with a main window, whose views are not drawn."""
    from Testing.Host.headless_slicer import load_module, start
    from Testing.Host.main_window import open_main_window

    core = start()
    open_main_window(core, draw=False)
    import slicer

    before = time.process_time()
    load_module(ROOT / "QualitySentinel" / "QualitySentinel.py")
    print(f"{MARK}import at Slicer's start: {1000 * (time.process_time() - before):.0f} ms of computing")
    volume, segmentation = slicer.util.loadVolume(ct), slicer.util.loadSegmentation(seg)
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    before = time.process_time()
    slicer.util.selectModule("QualitySentinel")
    print(f"{MARK}first opening: {1000 * (time.process_time() - before):.0f} ms of computing")
    panel = slicer.util.getModuleWidget("QualitySentinel")
    panel.ui.forceCpuCheckBox.checked = True
    return panel, volume, segmentation


class Stalls:
    """The longest time between two turns of the event loop, while inside the block.

    Attributes:
        longest: seconds on the clock.
        longest_cpu: seconds that this thread computed meanwhile: on a busy machine it says more than the clock.
    """

    def __enter__(self):
        from PySide6.QtCore import Qt, QTimer

        self.longest = self.longest_cpu = 0.0
        self._last, self._last_cpu = time.perf_counter(), time.thread_time()
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(1)
        return self

    def __exit__(self, *_):
        self._tick()
        self._timer.stop()

    def _tick(self):
        now, cpu = time.perf_counter(), time.thread_time()
        self.longest = max(self.longest, now - self._last)
        self.longest_cpu = max(self.longest_cpu, cpu - self._last_cpu)
        self._last, self._last_cpu = now, cpu


def run_until(condition, seconds: float = 1800.0) -> None:
    """Let the event loop run."""
    from PySide6.QtCore import QEventLoop
    from PySide6.QtWidgets import QApplication

    end = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > end:
            raise SystemExit("it takes too long")
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)


def apply(panel, segmentation) -> dict:
    """Press Apply and wait; seconds to the first colored segment and to the end, the longest stall."""
    display, ids = segmentation.GetDisplayNode(), segmentation.GetSegmentation().GetSegmentIDs()
    first = None

    def done() -> bool:
        nonlocal first
        if first is None and any(min(display.GetSegmentOverrideColor(i)) >= 0 for i in ids):
            first = time.perf_counter()
        return panel.ui.applyButton.enabled and not panel.ui.cancelButton.enabled

    started = time.perf_counter()
    with Stalls() as stalls:
        panel.ui.applyButton.click()
        run_until(done)
    session = panel.panel.review_panel.session
    return {
        "seconds": time.perf_counter() - started,
        "first_color": None if first is None else first - started,
        "stall_ms": 1e3 * stalls.longest,
        "stall_cpu_ms": 1e3 * stalls.longest_cpu,
        "slices": sum(s.n_scored for s in session.segments),
        "segments": len(session.segments),
    }


def print_run(what: str, run: dict) -> None:
    """One line on an Apply."""
    print(
        f"{MARK}{what}: {run['segments']} segments, {run['slices']} slices, {run['seconds']:.1f} s in all, "
        f"{run['first_color']:.2f} s to the first colored segment, longest stall {run['stall_ms']:.0f} ms "
        f"({run['stall_cpu_ms']:.0f} ms of computing)"
    )


def show_map(panel, segmentation) -> dict:
    """Switch the quality map on, and off again when it is there; seconds until it was, the longest stall."""
    from QualitySentinelLib.scene import quality_map_shown

    box = panel.ui.showQualityMapCheckBox
    started = time.perf_counter()
    with Stalls() as stalls:
        box.click()
        run_until(lambda: quality_map_shown(segmentation))
    seconds = time.perf_counter() - started
    box.click()
    return {"seconds": seconds, "stall_ms": 1e3 * stalls.longest, "stall_cpu_ms": 1e3 * stalls.longest_cpu}


def edit_one_slice(panel, volume, segmentation) -> dict:
    """Erase a disc in one slice with the Segment Editor's own logic; seconds until the panel has its new score."""
    import numpy as np
    import slicer

    from QualitySentinelLib.panel.scoring_run import DELAY_MS

    session = panel.panel.review_panel.session
    segment = max(session.segments, key=lambda s: s.n_scored)
    k = segment.slices[len(segment.slices) // 2].k
    session.select(segment.segment_id)
    session.go_to(segment.segment_id, k)
    panel.ui.correctButton.click()
    editor = slicer.util.getModuleWidget("SegmentEditor").editor
    editor.setActiveEffectByName("Erase")
    slice_node = slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    from QualitySentinelLib.scene.views import segment_center

    middle = segment_center(segmentation, segment.segment_id, volume, k)
    before = session.slice_score(segment.segment_id, k).digest
    totals, real = [], panel.logic.rescoreSteps

    def watched(*arguments, **options):
        for progress in real(*arguments, **options):
            totals.append(progress.total)
            yield progress

    panel.logic.rescoreSteps = watched
    editor.activeEffect().apply([np.array(middle)], slice_node)
    started = time.perf_counter()
    with Stalls() as stalls:
        run_until(lambda: session.slice_score(segment.segment_id, k).digest != before, 300)
    del panel.logic.rescoreSteps
    return {
        "seconds": time.perf_counter() - started,
        "waiting": DELAY_MS / 1e3,
        "slices": totals[-1],
        "stall_ms": 1e3 * stalls.longest,
        "stall_cpu_ms": 1e3 * stalls.longest_cpu,
    }


if __name__ == "__main__":
    sys.exit(main())
