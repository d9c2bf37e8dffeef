"""A small phantom under review: the command in a process of its own, its page in headless Chromium."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

CHROMIUM_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
HOSTILE_NAME = "<img src=x onerror=document.title='hacked'>{{ 7 * 7 }}"
"""What a segmentation from somewhere may call a segment."""
STARTING_SECONDS = 300


@dataclass(frozen=True)
class ReviewFiles:
    """A case with planted errors: CT, label map and names, and the folder of its review."""

    ct: Path
    seg: Path
    names: Path
    out: Path

    @property
    def arguments(self) -> list[str]:
        """Of ``quality-sentinel review``."""
        return ["--ct", str(self.ct), "--seg", str(self.seg), "--names", str(self.names), "--out", str(self.out)]


@dataclass
class Served:
    """The command while it runs."""

    process: subprocess.Popen
    lines: list[str] = field(default_factory=list)
    address: str = ""

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(re.search(r":(\d+)/", self.address)[1])

    def end(self) -> int:
        """Press Ctrl+C; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


@pytest.fixture(scope="module")
def review_files(tmp_path_factory) -> ReviewFiles:
    """Some organs of a generated torso, three of them spoiled, and one segment with a hostile name."""
    import nibabel

    from QualitySentinelTrainingLib.demo import plant_errors
    from QualitySentinelTrainingLib.phantom import FIRST_UNSEEN_SEED, make_phantom

    spacing = (8.0, 4.0, 4.0)
    phantom = make_phantom(FIRST_UNSEEN_SEED + 1, spacing=spacing, region=(70.0, 230.0))
    value_of = {name: value for value, name in phantom.names.items()}
    kept = {value_of[name]: name for name in ("liver", "spleen", "kidney right", "stomach", "aorta")}
    labels = np.where(np.isin(phantom.labels, list(kept)), phantom.labels, 0).astype(np.uint8)
    spoiled = labels.copy()
    errors = {"liver": ("missing part", 0.25), "spleen": ("leak", 0.35), "kidney right": ("shift", 0.5)}
    plan = {value_of[name]: error for name, error in errors.items()}
    plant_errors(spoiled, plan, labels, phantom.hu, spacing, np.random.default_rng(0))
    folder = tmp_path_factory.mktemp("review")
    files = ReviewFiles(folder / "ct.nii.gz", folder / "seg.nii.gz", folder / "names.json", folder / "kept")
    for path, voxels in ((files.ct, phantom.hu), (files.seg, spoiled)):
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(voxels.T), phantom.ijk_to_ras), path)
    names = kept | {value_of["aorta"]: HOSTILE_NAME}
    files.names.write_text(json.dumps({str(value): name for value, name in names.items()}), encoding="utf-8")
    return files


@pytest.fixture(scope="module")
def served(review_files, repository):
    """The command, listening."""
    pytest.importorskip("trame_slicer", reason="needs the extra 'review'")
    libraries = [str(repository / "QualitySentinel"), str(repository / "QualitySentinelTraining")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(libraries),
        "TRAME_ARGS": "--host 0.0.0.0",  # whatever trame is told, the review listens on the loopback address
        "TRAME_DEFAULT_HOST": "0.0.0.0",
    }
    environment.pop("DISPLAY", None)
    command = [sys.executable, "-m", "QualitySentinelLib", "review", *review_files.arguments, "--no-browser"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        cwd=review_files.ct.parent,
    )
    served, ready = Served(process), threading.Event()

    def read() -> None:
        for line in process.stdout:
            served.lines.append(line.rstrip())
            if found := re.search(r"http://\S+token=\S+", line):
                served.address = found[0]
                ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    ready.wait(STARTING_SECONDS)
    if not served.address:
        process.kill()
        pytest.fail("the review did not start:\n" + "\n".join(served.lines))
    yield served
    served.end()


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright to look at pages")
    chromium = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    if chromium is None:
        pytest.skip("needs Chromium to look at pages, and there is none on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()
