"""``make bench``: how fast scoring is, on this machine, in one run. Prints ratios; asserts nothing.

Cases: the TotalSegmentator example where ``../shared`` has it, else a generated torso.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

sys.path.insert(0, str(Path(__file__).parent))
import published_loop

from QualitySentinelLib.checkpoint import QualityModel, load_model
from QualitySentinelLib.files import atomic_write
from QualitySentinelLib.network import build_network, optimize_for_inference
from QualitySentinelLib.network.backends import OpenVinoBackend, TorchBackend, openvino_is_installed
from QualitySentinelLib.reading import read_ct, read_segmentation
from QualitySentinelLib.scorer import Scorer
from QualitySentinelLib.slices import PUBLISHED, make_batch
from QualitySentinelLib.suggestions import Drawings
from QualitySentinelLib.suggestions import error_maps as maps_of
from QualitySentinelLib.text import EmbeddingTable
from QualitySentinelLib.volume import Segmentation

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "totalsegmentator"


def main() -> None:
    """Run the sections asked for and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/bench"))
    parser.add_argument("--only", nargs="*", choices=SECTIONS, default=list(SECTIONS))
    options = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, "
          f"{torch.get_num_threads()} threads, GPU: {torch.cuda.is_available()}")  # fmt: skip
    figures = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.only:
            print(f"\n== {name}")
            figures[name] = SECTIONS[name](Path(scratch))
    atomic_write(options.out / "bench.json", json.dumps(figures, indent=2))
    print(f"\nfigures: {options.out / 'bench.json'}")


# -- cases ------------------------------------------------------------------------------------------------------------


def a_case(scratch: Path) -> tuple[Path, Path]:
    """CT file and label-map file of a real case, or of a generated one where the real one is absent."""
    ct, seg = SHARED / "example_ct.nii.gz", SHARED / "example_seg_fast_force_split.nii.gz"
    if ct.exists():
        return ct, seg
    from QualitySentinelTrainingLib.phantom import make_phantom

    phantom = make_phantom(1_000_001)
    ct, seg = scratch / "ct.nii.gz", scratch / "seg.nii.gz"
    _write_nifti(phantom.hu, ct), _write_nifti(phantom.labels, seg)
    return ct, seg


def a_folder_of_masks(scratch: Path, seg: Path) -> dict[str, Path]:
    """The label map as one binary mask file per value, as TotalSegmentator writes them."""
    image = sitk.ReadImage(str(seg))
    folder = scratch / "masks"
    folder.mkdir(exist_ok=True)
    paths = {}
    for value in np.unique(sitk.GetArrayViewFromImage(image)):
        if value > 0:
            paths[f"label_{value}"] = folder / f"label_{value}.nii.gz"
            sitk.WriteImage(sitk.Cast(image == float(value), sitk.sitkUInt8), str(paths[f"label_{value}"]))
    return paths


def a_published_model(names: list[str]) -> QualityModel:
    """The published ResNet-50 with random weights: speed does not depend on them."""
    torch.manual_seed(0)
    architecture = {"kind": "published", "backbone": "resnet50", "hidden_dim": 50, "embedding_dim": 512}
    vectors = np.random.default_rng(0).normal(size=(len(names), 512)).astype(np.float32)
    table = EmbeddingTable("random", "{}", tuple(names), vectors)
    network = build_network(architecture).eval()
    with torch.no_grad():  # outputs like a trained network's, so that a difference of scores means something
        usual = network(torch.rand(4, 2, 256, 256), torch.from_numpy(vectors[:1])).mean()
        network.fc2.weight.mul_(0.8 / usual)
        network.fc2.bias.zero_()
    return QualityModel("published, random weights", network, architecture, PUBLISHED, table)


def a_large_case(scratch: Path, shape=(300, 512, 512), structures: int = 60) -> tuple[Path, Path]:
    """A 512 x 512 x 300 CT of blobs with 60 structures, as files."""
    rng = np.random.default_rng(0)
    labels = np.zeros(shape, np.uint8)
    for value in range(1, structures + 1):
        size = rng.integers([30, 30, 30], [140, 130, 130])
        corner = [int(rng.integers(0, n - s)) for n, s in zip(shape, size, strict=True)]
        grid = np.ogrid[tuple(slice(-1, 1, complex(0, s)) for s in size)]
        blob = sum(g**2 for g in grid) <= 1
        labels[tuple(slice(c, c + s) for c, s in zip(corner, size, strict=True))][blob] = value
    hu = rng.integers(-20, 20, shape, dtype=np.int16)
    hu += (labels.astype(np.int16) % 7) * 15
    ct, seg = scratch / "large_ct.nii.gz", scratch / "large_seg.nii.gz"
    _write_nifti(hu, ct, (0.8, 0.8, 1.5)), _write_nifti(labels, seg, (0.8, 0.8, 1.5))
    return ct, seg


def _write_nifti(array: np.ndarray, path: Path, spacing=(1.5, 1.5, 3.0)) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path))


# -- sections ---------------------------------------------------------------------------------------------------------


def ways(device: str) -> list[tuple[str, str]]:
    """Backends and precisions to compare."""
    if device == "cuda":
        return [("torch", "float32"), ("torch", "bfloat16")]
    return [("torch", "float32")] + [("openvino", p) for p in ("float32", "bfloat16")] * openvino_is_installed()


def against_published_loop(scratch: Path, device: str = "cpu") -> dict:
    """Seconds from files to scores: the published loop, and ours by what runs the network; same weights and slices."""
    ct_path, seg_path = a_case(scratch)
    masks = a_folder_of_masks(scratch, seg_path)
    model = a_published_model(list(masks))
    vectors = {name: torch.from_numpy(model.table.vector(name)) for name in masks}
    flops, peak = forward_flops(model), matmul_peak()
    model.network.to(device)
    if device == "cuda":  # its libraries are loaded by the first pass
        model.score(torch.zeros(1, 2, 256, 256), [None])
    with Clock() as loop:
        theirs = published_loop.score_case(ct_path, masks, model.network, vectors)
    slices = sum(len(s) for s in theirs.values())
    print(f"{len(theirs)} structures, {slices} slices: published loop {loop.seconds:.1f} s")
    figures = {"slices": slices, "published": vars(loop)}
    for model.backend, model.precision in ways(device):
        model.score(torch.zeros(1, 2, 256, 256), [None])  # prepares the network once, as loading a model file does
        with Clock() as ours, timed_forward(model) as forward:
            ct = read_ct(ct_path)
            segmentation = read_segmentation(next(iter(masks.values())).parent, ct)
            for segment in segmentation:
                segment.structure = segment.id  # the embedding table of this benchmark knows file stems
            case = Scorer(model, device=device, slices="published").score(ct, segmentation)
        scores = {s.segment_id: [x.raw for x in sorted(s.slices, key=lambda x: x.slice_index)] for s in case.segments}
        difference = max(abs(a - b) for name in theirs for a, b in zip(scores[name], theirs[name], strict=True))
        row = {
            "seconds": ours.seconds, "ratio": loop.seconds / ours.seconds, "processor_ratio": loop.cpu / ours.cpu,
            "largest_difference": difference, "forward_share_of_all": forward.seconds / ours.seconds,
            "forward_share_of_scoring": forward.seconds / case.seconds,
            "share_of_peak": slices * flops / forward.cpu / peak,
        }  # fmt: skip
        name = "{backend} {precision}".format(**model.summary())
        figures[name] = row
        shares = (
            f"; forward pass {row['forward_share_of_all']:.2f} of it, at {row['share_of_peak']:.2f} of the rate of a "
            "float32 matrix product"
        ) * (device == "cpu")  # on a GPU the next slices are prepared meanwhile
        print(f"{name}: {ours.seconds:.1f} s, {row['ratio']:.2f} times as fast, {row['processor_ratio']:.2f} times in "
              f"processor time, scores differ by {difference:.0e}{shares}")  # fmt: skip
    return figures


def compact_against_resnet50(scratch: Path) -> dict:
    """Time a slice of the bundled network and of the published ResNet-50, each on its own input, scoring alone.

    Also the processor's: what one core would take, whatever else the machine does.
    """
    ct_path, seg_path = a_case(scratch)
    ct = read_ct(ct_path)
    segmentation = read_segmentation(seg_path, ct)
    result = {}
    for name, model in (("compact", load_model("bundled")), ("resnet50", a_published_model(["liver"]))):
        Scorer(model, device="cpu", slices=1).score(ct, segmentation)
        ct.body = None
        with Clock() as all_of_it, timed_forward(model) as forward:
            case = Scorer(model, device="cpu", slices="all" if name == "compact" else 4).score(ct, segmentation)
        slices = sum(len(s.slices) + len(s.empty_slices) for s in case.segments)
        row = {
            "slices": slices, "ms_per_slice": 1e3 * case.seconds / slices, "core_ms": 1e3 * all_of_it.cpu / slices,
            "forward_share": forward.seconds / case.seconds, "forward_core_share": forward.cpu / all_of_it.cpu,
            "gmacs": forward_flops(model) / 2e9,
        }  # fmt: skip
        result[name] = row
        print(f"{name:9} {row['core_ms']:6.2f} ms of one core a slice ({slices} slices), forward pass "
              f"{row['forward_core_share']:.2f} of it; {row['ms_per_slice']:.2f} ms on the clock, "
              f"{row['forward_share']:.2f} of it; {row['gmacs']:.2f} GMAC a slice")  # fmt: skip
    result["ratio"] = result["resnet50"]["core_ms"] / result["compact"]["core_ms"]
    result["gmac_ratio"] = result["resnet50"]["gmacs"] / result["compact"]["gmacs"]
    print(f"compact is {result['ratio']:.1f} times cheaper in time, {result['gmac_ratio']:.1f} times in arithmetic")
    return result


def backends(scratch: Path, device: str = "cpu") -> dict:
    """Milliseconds a slice of one forward pass by what runs it, in turn, and how much the scores differ from PyTorch's.

    ONNX Runtime takes part where ``onnx`` and ``onnxruntime`` are installed, torch.compile where there is a compiler.
    """
    most = {"bundled": 256, "published": 256} if device == "cuda" else {"bundled": 32, "published": 8}
    ct_path, seg_path = a_case(scratch)
    ct = read_ct(ct_path)
    segmentation = read_segmentation(seg_path, ct)
    figures = {}
    for name, model in (("bundled", load_model("bundled")), ("published", a_published_model(["liver"]))):
        items = [(s, int(k)) for s in segmentation for k in s.occupied_slices()[::9]][: most[name]]
        batch = make_batch(ct, items, model.preset, device)
        structures = [segment.structure for segment, _ in items]
        inputs = model.inputs(batch.images, structures, batch.pixel_mm, batch.place, batch.locator)
        runners = {"torch": TorchBackend(model.network.to(device))}
        on_cpu = (
            ("openvino float32", OpenVinoBackend, inputs, "float32"),
            ("openvino bfloat16", OpenVinoBackend, inputs, "bfloat16"),
            ("onnxruntime float32", _onnx_runtime, inputs, scratch / f"{name}.onnx"),
            ("torch.compile float32", _compiled),
        )
        on_gpu = (
            ("torch bfloat16", TorchBackend, "bfloat16"),
            ("torch.compile float32", _compiled),
            ("CUDA graphs float32", _compiled, "reduce-overhead"),
        )
        for label, make, *arguments in on_gpu if device == "cuda" else on_cpu:
            try:
                runners[label] = make(model.network, *arguments)
                runners[label](inputs)
            except Exception as error:  # not installed, or cannot run this network: that is the result
                runners.pop(label, None)
                print(f"{name}: {label}: {type(error).__name__}: {' '.join(str(error).split())[:90]}")
        expected, best = runners["torch"](inputs), dict.fromkeys(runners, float("inf"))
        for _ in range(5):  # in turn, so that a busy moment does not strike one alone
            for label, run in runners.items():
                started = time.perf_counter()
                run(inputs)
                best[label] = min(best[label], time.perf_counter() - started)
        figures[name] = {}
        for label, run in runners.items():
            row = {
                "ms_per_slice": 1e3 * best[label] / len(items), "ratio": best["torch"] / best[label],
                "largest_difference": float(np.abs(run(inputs) - expected).max()),
            }  # fmt: skip
            figures[name][label] = row
            print(f"{name}: {label:22} {row['ms_per_slice']:6.2f} ms a slice, {row['ratio']:.2f} times as fast, "
                  f"scores differ by {row['largest_difference']:.0e}")  # fmt: skip
    return figures


def _onnx_runtime(network: torch.nn.Module, inputs, path: Path):
    import onnxruntime

    fused = optimize_for_inference(network).to(memory_format=torch.contiguous_format)
    names = [f"input{n}" for n in range(len(inputs))]
    torch.onnx.export(fused, tuple(x[:2] for x in inputs), path, dynamo=False, input_names=names,
                      dynamic_axes={n: {0: "slices"} for n in names})  # fmt: skip
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    taken = {i.name for i in session.get_inputs()}  # those that the network looks at
    return lambda given: session.run(None, {n: x.numpy() for n, x in zip(names, given, strict=True) if n in taken})[0][
        :, 0
    ]


def _compiled(network: torch.nn.Module, mode: str | None = None):
    run, device = torch.compile(optimize_for_inference(network), mode=mode), next(network.parameters()).device

    def score(inputs):
        with torch.inference_mode():
            images, *others = [x.to(device) for x in inputs]
            return run(images.contiguous(memory_format=torch.channels_last), *others)[:, 0].cpu().numpy()

    return score


def gpu(scratch: Path) -> dict:
    """On an NVIDIA GPU: ours against the published loop there, what runs the network, how fast scoring is (large case).

    The share busy is that of the time between the begin and the end of a forward pass in the GPU's own order.
    """
    if not torch.cuda.is_available():
        print("there is no NVIDIA GPU")
        return {}
    figures = {"loop": against_published_loop(scratch, "cuda"), "backends": backends(scratch, "cuda")}
    ct_path, seg_path = a_large_case(scratch)
    ct = read_ct(ct_path)
    segmentation = read_segmentation(seg_path, ct)
    for name, model in (("bundled", load_model("bundled")), ("published", a_published_model(["liver"]))):
        for _, precision in ways("cuda"):
            scorer = Scorer(model, device="cuda", precision=precision)
            scorer.score(ct, segmentation)
            with events_of_forward() as events:
                case = scorer.score(ct, segmentation)
            slices = sum(len(s.slices) + len(s.empty_slices) for s in case.segments)
            busy = sum(begin.elapsed_time(end) for begin, end in events) / 1e3 / case.seconds
            figures[f"{name} {precision}"] = {"slices_per_second": slices / case.seconds, "share_busy": busy}
            print(f"{name} {precision}: {slices / case.seconds:.0f} slices a second, GPU busy {busy:.2f} of the time")
    return figures


def busy_cores(scratch: Path) -> dict:
    """Seconds to score the liver alone, and beside a busy process on each core, as threads wait."""
    ct, seg = a_case(scratch)
    code = (
        "import sys; from QualitySentinelLib.threads import use_threads; use_threads();"
        "from QualitySentinelLib.checkpoint import load_model; from QualitySentinelLib.scorer import Scorer;"
        "from QualitySentinelLib.reading import read_ct, read_segmentation;"
        "ct = read_ct(sys.argv[1]); seg = read_segmentation(sys.argv[2], ct);"
        "how = dict(device='cpu', backend='torch', segments=['liver']); model = load_model();"
        "Scorer(model, slices=1, **how).score(ct, seg); print(Scorer(model, **how).score(ct, seg).seconds)"
    )
    ways = {
        "as we set it": {}, "one thread": {"OMP_NUM_THREADS": "1"},
        "a thread per core": {"OMP_NUM_THREADS": str(os.cpu_count())},
        "spinning (PyTorch's default)": {"OMP_WAIT_POLICY": "active", "KMP_BLOCKTIME": "200",
                                         "OMP_NUM_THREADS": str(os.cpu_count())},
    }  # fmt: skip
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "KMP_", "MKL_"))}
    figures = {}
    for beside in (0, os.cpu_count() or 1):
        others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(beside)]
        try:
            for way, variables in ways.items():
                command = [sys.executable, "-c", code, str(ct), str(seg)]
                done = subprocess.run(command, env=inherited | variables, stdout=subprocess.PIPE, text=True, check=True)
                figures[f"{way}, {beside} busy processes"] = float(done.stdout.split()[-1])
                print(f"{way}, beside {beside} busy processes: {float(done.stdout.split()[-1]):.2f} s")
        finally:
            for other in others:
                other.kill()
    return figures


def growth(scratch: Path) -> dict:
    """Seconds against the number of slices and of segments: straight lines are wanted (R2 of a linear fit)."""
    ct_path, seg_path = a_case(scratch)
    ct = read_ct(ct_path)
    segmentation = read_segmentation(seg_path, ct)
    model = load_model("bundled")
    Scorer(model, device="cpu", slices=2).score(ct, segmentation)
    by_slices, by_segments = [], []
    for number in (2, 4, 8, 16, 32):
        case = Scorer(model, device="cpu", slices=number).score(ct, segmentation)
        by_slices.append((sum(s.n_scored for s in case.segments), case.seconds))
    for number in (5, 15, 30, 45, len(segmentation)):
        part = Segmentation(segmentation.segments[:number], segmentation.frame, segmentation.source)
        case = Scorer(model, device="cpu", slices=10).score(ct, part)
        by_segments.append((len(part), case.seconds))
    result = {}
    for name, rows in (("slices", by_slices), ("segments", by_segments)):
        x, y = np.array(rows).T
        r2 = float(np.corrcoef(x, y)[0, 1] ** 2)
        print(f"{name}: " + ", ".join(f"{int(a)}: {b:.2f} s" for a, b in rows) + f"; R2 {r2:.3f}")
        result[name] = {"rows": rows, "r2": r2}
    return result


def error_maps(scratch: Path) -> dict:
    """Scoring with error maps over scoring without, from volumes to scores and maps: at most 1.2 is wanted."""
    ct_path, seg_path = a_case(scratch)
    ct = read_ct(ct_path)
    segmentation = read_segmentation(seg_path, ct)
    figures = {}
    for backend in ("torch", "auto"):
        scorer = Scorer(load_model("bundled"), device="cpu", backend=backend, slices=10)
        scorer.score(ct, segmentation)
        plain, drawn = [], []
        for _ in range(3):  # in turn, so that a busy moment does not strike one alone
            plain.append(scorer.score(ct, segmentation).seconds)
            started, drawings = time.perf_counter(), Drawings()
            case = scorer.score(ct, segmentation, drawings=drawings)
            for score in case.segments:
                maps_of(score, segmentation[score.segment_id], drawings, ct.frame.shape[1:])
            drawn.append(time.perf_counter() - started)
        name = scorer.model.summary()["backend"]
        figures[name] = {"seconds": min(plain), "with_maps": min(drawn), "ratio": min(drawn) / min(plain)}
        print(f"{name}: {len(drawings)} slices in {min(plain):.2f} s, with error maps {min(drawn):.2f} s: "
              f"{figures[name]['ratio']:.2f} times")  # fmt: skip
    return figures


def one_slice_edit(scratch: Path) -> dict:
    """Scoring again after an edit of one slice, against scoring everything (large case)."""
    ct_path, seg_path = a_large_case(scratch)
    ct = read_ct(ct_path)
    segmentation = read_segmentation(seg_path, ct)
    scorer = Scorer(load_model("bundled"), device="cpu")
    before = scorer.score(ct, segmentation)
    segment = segmentation.segments[5]
    labels = np.where(np.arange(len(segment.labels))[:, None, None] == 9, 0, segment.labels)
    segmentation.segments[5] = replace(segment, labels=labels)
    after = scorer.score(ct, segmentation, previous=before)
    print(
        f"all {before.seconds:.1f} s, one slice {after.seconds:.2f} s: {before.seconds / after.seconds:.0f} times less"
    )
    return {"all_seconds": before.seconds, "edit_seconds": after.seconds}


def peak_memory(scratch: Path) -> dict:
    """Peak resident memory of ``quality-sentinel score`` on a 512 x 512 x 300 CT with 60 structures, every slice."""
    ct, seg = a_large_case(scratch)
    code = (
        "import resource, sys; from QualitySentinelLib.commands.main import main; code = main(sys.argv[1:]); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(code)"
    )
    command = [sys.executable, "-c", code, "score", "--ct", ct, "--seg", seg, "--out", scratch / "large", "--quiet"]
    started = time.perf_counter()
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.perf_counter() - started
    peak = int(done.stdout.split()[-1]) / 1024**2
    print(f"peak {peak:.2f} GiB, {seconds:.0f} s from files to report")
    return {"peak_gib": peak, "seconds": seconds}


def panel(scratch: Path) -> dict:
    """The panel in the headless Slicer by what runs the network: first color, stalls, an edit scored again."""
    figures = {}
    for name, case in (("example", a_case(scratch)), ("large", a_large_case(scratch))):
        for backend, precision in ways("cpu"):
            print(f"{name} case, {backend} {precision}")
            bench = Path(__file__).parent / "panel_bench.py"
            command = [sys.executable, bench, "--ct", case[0], "--seg", case[1], "--backend", backend]
            command += ["--precision", precision]
            done = subprocess.run(
                [str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
            )
            *lines, last = done.stdout.strip().splitlines()
            print("\n".join(line for line in lines if line.startswith("panel: ")))
            figures[f"{name}, {backend} {precision}"] = json.loads(last)
    return figures


SECTIONS = {
    "against-published-loop": against_published_loop,
    "compact-against-resnet50": compact_against_resnet50,
    "backends": backends,
    "gpu": gpu,
    "busy-cores": busy_cores,
    "growth": growth,
    "error-maps": error_maps,
    "one-slice-edit": one_slice_edit,
    "peak-memory": peak_memory,
    "panel": panel,
}


# -- measuring --------------------------------------------------------------------------------------------------------


class Clock:
    """Seconds that the blocks take, on the clock and of all processors."""

    seconds = cpu = 0.0

    def __enter__(self) -> Clock:
        self.seconds -= time.perf_counter()
        self.cpu -= time.process_time()
        return self

    def __exit__(self, *_) -> None:
        self.seconds += time.perf_counter()
        self.cpu += time.process_time()


@contextmanager
def timed_forward(model: QualityModel):
    """Adds up the time of the model's forward passes."""
    clock, real = Clock(), model.score

    def score(*arguments, **how):
        with clock:
            return real(*arguments, **how)

    model.score = score
    yield clock
    del model.score


@contextmanager
def events_of_forward():
    """Events of the GPU at the begin and the end of each forward pass."""
    events, real = [], TorchBackend._run

    def run(*arguments):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        result = real(*arguments)
        end.record()
        events.append((begin, end))
        return result

    TorchBackend._run = run
    yield events
    TorchBackend._run = real


def forward_flops(model: QualityModel) -> int:
    """Floating-point operations (two per multiply-add) of one slice."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.network.eval()(*model.example(1))
    return counter.get_total_flops()


def matmul_peak(size: int = 2048, repeats: int = 8) -> float:
    """Best float32 matrix-multiply rate of a core of this machine, FLOP/s."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    torch.mm(a, b)
    best = 0.0
    for _ in range(repeats):
        with Clock() as clock:
            torch.mm(a, b)
        best = max(best, 2 * size**3 / clock.cpu)
    return best


if __name__ == "__main__":
    main()
