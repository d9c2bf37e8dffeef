"""``quality-sentinel score`` as a user meets it: files out, exit codes, one-line refusals."""

import csv
import gzip
import json
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk

from QualitySentinelLib.commands.main import main
from QualitySentinelLib.commands.score import _summarize, _warn
from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status

CONTRACT = ["report.html", "report.json", "scored.seg.nrrd", "segments.csv", "slices.csv"]


def write_image(array, path, spacing=(2.0, 2.0, 4.0), origin=(0.0, 0.0, 0.0)):
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture
def a_ct_array():
    rng = np.random.default_rng(0)
    hu = np.full((16, 48, 48), -1000, np.int16)
    hu[:, 6:42, 6:42] = rng.normal(40, 20, (16, 36, 36))
    return hu


@pytest.fixture
def a_ct(tmp_path, a_ct_array):
    return write_image(a_ct_array, tmp_path / "ct.nii.gz")


@pytest.fixture
def a_label_array():
    labels = np.zeros((16, 48, 48), np.uint8)
    labels[2:12, 10:25, 10:30] = 1
    labels[6:14, 28:38, 30:40] = 2
    return labels


@pytest.fixture
def a_seg(tmp_path, a_label_array):
    return write_image(a_label_array, tmp_path / "seg.nii.gz")


@pytest.fixture
def names(tmp_path):
    path = tmp_path / "names.json"
    path.write_text(json.dumps({"1": "liver", "2": "spleen"}))
    return path


@pytest.fixture
def score(tmp_path, a_model_file, capsys):
    """Runs the command; returns (exit code, lines on stderr, output folder)."""

    def run(ct, seg, *more, out=tmp_path / "out", model=a_model_file):
        arguments = ["score", "--ct", ct, "--out", out, "--model", model, "--device", "cpu", "--quiet", "--seg", seg]
        code = main([str(a) for a in (*arguments, *more)])
        return code, capsys.readouterr().err.strip().splitlines(), out

    return run


def assert_refused(result, code, *words):
    actual, lines, out = result
    assert actual == code, lines
    assert len(lines) == 1
    for word in words:
        assert word in lines[0]
    assert not out.exists() or not os.listdir(out)


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_case_gives_every_file_of_the_contract(score, a_ct, a_seg, names):
    code, errors, out = score(a_ct, a_seg, "--names", names)
    assert (code, errors) == (0, [])
    assert sorted(os.listdir(out)) == CONTRACT
    segments = {row["segment"]: row for row in rows(out / "segments.csv")}
    assert segments["liver"]["structure"] == "liver"
    assert segments["liver"]["n_slices"] == segments["liver"]["n_scored"] == "10"
    assert segments["liver"]["status"] == "scored"
    slices = [row for row in rows(out / "slices.csv") if row["missed"] == "0"]
    assert len(slices) == 18
    assert {row["slice_index"] for row in slices if row["segment"] == "spleen"} == {str(k) for k in range(6, 14)}
    report = json.loads((out / "report.json").read_text())
    assert report["model"]["name"] == "small"
    assert len(report["inputs"]["ct"]["sha256"]) == 64


def test_a_second_run_gives_the_same_tables(score, a_ct, a_seg, names, tmp_path):
    _, _, first = score(a_ct, a_seg, "--names", names, out=tmp_path / "a")
    _, _, second = score(a_ct, a_seg, "--names", names, out=tmp_path / "b")
    for table in ("segments.csv", "slices.csv"):
        assert (first / table).read_bytes() == (second / table).read_bytes()


def test_the_summary_says_which_structures_are_unknown(tmp_path, capsys):
    segments = [
        SegmentScore("1", "ROI 3", None, Status.UNKNOWN_STRUCTURE, 1, predicted_dsc=0.1),
        SegmentScore("2", "liver", "liver", Status.SCORED, 1, predicted_dsc=0.9),
    ]
    _summarize(CaseScore(segments, 0.8), tmp_path)
    _warn(CaseScore(segments, 0.8))
    out, err = capsys.readouterr()
    roi, liver = out.splitlines()[1:3]
    assert liver.startswith("liver") and "unknown" not in liver
    assert roi.startswith("ROI 3") and roi.endswith("unknown structure")
    assert "warning: unknown structure: ROI 3" in err and "--names" in err


def test_the_summary_speaks_of_missed_slices_only_where_they_were_looked_for(tmp_path, capsys):
    case = CaseScore([SegmentScore(n, n, n, Status.SCORED, 1, predicted_dsc=0.5) for n in ("liver", "thing")], 0.8)
    _summarize(case, tmp_path)
    assert "missed" not in capsys.readouterr().out
    case.segments[0].empty_slices = [SliceScore("liver", 3, 3, 0.0, 0.1, 0.1, 1.0, "", nearest_k=2, missed=True)]
    _summarize(case, tmp_path)
    header, liver, thing = capsys.readouterr().out.splitlines()[:3]
    assert header.endswith("missed slices") and liver.split()[-1] == "1"
    assert len(liver) == len(header) > len(thing)  # the second was not searched


def test_a_number_of_slices_and_chosen_segments(score, a_ct, a_seg, names):
    code, _, out = score(a_ct, a_seg, "--names", names, "--slices", "3", "--segments", "spleen")
    assert code == 0
    assert [row["slice_index"] for row in rows(out / "slices.csv")] == ["7", "10", "12"]
    by_name = {row["segment"]: row for row in rows(out / "segments.csv")}
    assert by_name["liver"]["status"] == "not scored"


def test_the_threshold_decides_what_is_flagged(score, a_ct, a_seg, names, tmp_path):
    for threshold, flagged in (("0", {"0"}), ("1", {"10", "8"})):
        _, _, out = score(a_ct, a_seg, "--names", names, "--threshold", threshold, out=tmp_path / threshold)
        assert {row["n_flagged"] for row in rows(out / "segments.csv")} == flagged


def test_missing_files_are_named(score, a_ct, a_seg, tmp_path):
    assert_refused(score(tmp_path / "no.nii.gz", a_seg), 3, "no.nii.gz")
    assert_refused(score(a_ct, tmp_path / "no_seg.nii.gz"), 3, "no_seg.nii.gz")
    assert_refused(score(a_ct, a_seg, model=tmp_path / "no.safetensors"), 5, "no.safetensors")


def test_a_truncated_file_is_named(score, a_ct, a_seg):
    a_ct.write_bytes(a_ct.read_bytes()[:-2000])
    assert_refused(score(a_ct, a_seg), 3, "ct.nii.gz")


def test_a_file_that_is_no_image_is_named(score, a_seg, tmp_path):
    bad = tmp_path / "text.nii.gz"
    bad.write_bytes(gzip.compress(b"hello"))
    assert_refused(score(bad, a_seg), 3, "text.nii.gz")


def test_a_segmentation_elsewhere_in_space_is_refused(score, a_ct, a_label_array, tmp_path):
    far = write_image(a_label_array, tmp_path / "far.nii.gz", origin=(5000.0, 0.0, 0.0))
    assert_refused(score(a_ct, far), 4, "far.nii.gz")


def test_usage_errors_exit_with_2(score, a_ct, a_seg, capsys):
    assert_refused(score(a_ct, a_seg, "--slices", "none"), 2, "slices must be")
    assert_refused(score(a_ct, a_seg, "--threshold", "1.5"), 2, "1.5")
    assert_refused(score(a_ct, a_seg, "--own-thresholds"), 2, "no thresholds by structure")
    assert_refused(score(a_ct, a_seg, "--segments", "kidney"), 2, "kidney")
    assert_refused(score(a_ct, a_seg, "--device", "gpu"), 2, "gpu")
    assert main(["score"]) == 2
    assert "--ct" in capsys.readouterr().err


def test_an_empty_segmentation_is_scored_as_empty(score, a_ct, tmp_path):
    empty = write_image(np.zeros((16, 48, 48), np.uint8), tmp_path / "empty.nii.gz")
    code, _, out = score(a_ct, empty, "--names", _json(tmp_path, {"1": "liver"}))
    assert code == 0
    assert rows(out / "slices.csv") == []
    assert all(row["status"] == "empty" and row["predicted_dsc"] == "" for row in rows(out / "segments.csv"))


def test_one_voxel_and_a_mask_touching_every_border_are_scored(score, a_ct, tmp_path):
    labels = np.ones((16, 48, 48), np.uint8)
    labels[5, 20, 20] = 2
    seg = write_image(labels, tmp_path / "seg.nii.gz")
    code, _, out = score(a_ct, seg, "--names", _json(tmp_path, {"1": "liver", "2": "spleen"}))
    assert code == 0
    by_name = {row["segment"]: row for row in rows(out / "segments.csv")}
    assert by_name["liver"]["n_scored"] == "16"
    assert by_name["spleen"]["n_scored"] == "1"


def test_a_single_slice_ct_is_scored(score, a_ct_array, a_label_array, tmp_path):
    ct = write_image(a_ct_array[8:9], tmp_path / "one.nii.gz")
    seg = write_image(a_label_array[8:9], tmp_path / "one_seg.nii.gz")
    code, _, out = score(ct, seg, "--names", _json(tmp_path, {"1": "liver", "2": "spleen"}))
    assert code == 0
    assert len(rows(out / "slices.csv")) == 2


def test_awkward_names_survive_into_every_table(score, a_ct, a_seg, tmp_path):
    awkward = {"1": 'liver, "left"\nlobe / Ärzte', "2": "<script>alert(1)</script>"}
    code, _, out = score(a_ct, a_seg, "--names", _json(tmp_path, awkward))
    assert code == 0
    assert {row["segment"] for row in rows(out / "segments.csv")} == set(awkward.values())
    assert "<script>alert(1)" not in (out / "report.html").read_text()


def test_a_file_name_that_is_not_utf8_is_no_obstacle(a_ct, a_label_array, a_model_file, tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    liver = write_image((a_label_array == 1).astype(np.uint8), folder / "liver.nii.gz")
    try:
        os.rename(os.fsencode(liver), os.fsencode(folder) + b"/liver \xff.nii.gz")
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    arguments = ["--ct", a_ct, "--seg", folder, "--out", tmp_path / "out", "--model", a_model_file, "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-m", "QualitySentinelLib", "score", *map(str, arguments)], capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert b"liver \\udcff" in done.stdout
    assert sorted(os.listdir(tmp_path / "out")) == CONTRACT


def test_equal_names_stay_apart(score, a_ct, a_seg, tmp_path):
    code, _, out = score(a_ct, a_seg, "--names", _json(tmp_path, {"1": "liver", "2": "liver"}))
    assert code == 0
    assert sorted(row["n_scored"] for row in rows(out / "segments.csv")) == ["10", "8"]


def test_an_output_folder_that_cannot_be_made_is_named(score, a_ct, a_seg, tmp_path):
    (tmp_path / "file").write_text("")
    code, lines, _ = score(a_ct, a_seg, out=tmp_path / "file" / "out")
    assert code == 3
    assert len(lines) == 1
    assert "file" in lines[0]
    assert "cannot be written" in lines[0]


def test_a_full_disk_leaves_the_earlier_results_alone(score, a_ct, a_seg, names, tmp_path):
    _, _, out = score(a_ct, a_seg, "--names", names)
    before = {file: (out / file).read_bytes() for file in CONTRACT}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))  # the system refuses to write on, as a full disk does
    try:
        code, lines, _ = score(a_ct, a_seg, "--names", names, "--threshold", "0.1")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert code == 3
    assert f"{out}: cannot be written" in lines[0]  # and not some temporary name inside
    assert {file: (out / file).read_bytes() for file in os.listdir(out)} == before


@pytest.mark.parametrize("content", [b"", b"not a model", b"\xff" * 64, b"\x10\0\0\0\0\0\0\0" + b"{}" * 8])
def test_a_corrupt_model_file_is_refused(score, a_ct, a_seg, tmp_path, content):
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(content)
    assert_refused(score(a_ct, a_seg, model=bad), 5, "bad.safetensors")


def test_a_hostile_pickle_is_refused_and_runs_nothing(score, a_ct, a_seg, tmp_path):
    import pickle

    class Bomb:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    bad = tmp_path / "hostile.pth"
    bad.write_bytes(pickle.dumps(Bomb()))
    code, lines, _ = score(a_ct, a_seg, "--embeddings", bad, model=bad)
    assert code == 5
    assert len(lines) == 1
    assert not (tmp_path / "ran").exists()


def test_interrupting_exits_with_130_and_writes_nothing(tmp_path, a_ct, a_seg, a_model_file, monkeypatch, capsys):
    from QualitySentinelLib.scorer import Scorer

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Scorer, "run", interrupted)
    out = tmp_path / "out"
    arguments = ["score", "--ct", a_ct, "--seg", a_seg, "--out", out, "--model", a_model_file]
    assert main([str(a) for a in arguments]) == 130
    assert not out.exists() or not os.listdir(out)


def test_the_program_runs_as_a_module_and_helps_quickly():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "QualitySentinelLib", "score", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "--ct" in done.stdout
    assert "torch" not in done.stderr.split()  # help must not wait for torch


def _json(folder, content):
    path = folder / "given_names.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_results_never_overwrite_their_input(score, a_ct, a_seg, names):
    _, _, out = score(a_ct, a_seg, "--names", names)
    before = (out / "scored.seg.nrrd").read_bytes()
    code, lines, _ = score(a_ct, out / "scored.seg.nrrd", out=out)
    assert code == 2
    assert "choose another folder" in lines[0]
    assert (out / "scored.seg.nrrd").read_bytes() == before


def test_segments_are_chosen_whatever_the_case_and_with_commas_in_quotes(score, a_ct, a_seg, tmp_path):
    given = _json(tmp_path, {"1": "liver, right", "2": "Spleen"})
    code, _, out = score(a_ct, a_seg, "--names", given, "--segments", '"liver, right", SPLEEN')
    assert code == 0
    assert {row["status"] for row in rows(out / "segments.csv")} <= {"scored", "unknown structure"}
    assert_refused(score(a_ct, a_seg, "--segments", ",", out=tmp_path / "none"), 2, "no segment to score was named")


def test_several_segmentations_are_scored_as_one_and_recorded(score, a_ct, a_label_array, tmp_path):
    liver, spleen = (
        write_image((a_label_array == value).astype(np.uint8), tmp_path / f"{name}.nrrd")
        for value, name in ((1, "liver"), (2, "spleen"))
    )
    (tmp_path / "broken.nrrd").write_bytes(b"nothing")
    code, _, out = score(a_ct, liver, tmp_path / "broken.nrrd", spleen, "--slices", "1")
    assert code == 0
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert list(report["inputs"]) == ["ct", "seg", "seg_2", "seg_3"]
    assert [row["segment"] for row in rows(out / "segments.csv")] == ["liver", "spleen"]
    assert any("broken.nrrd" in warning for warning in report["warnings"])
    assert_refused(score(a_ct, liver, tmp_path / "typo.nrrd", out=tmp_path / "b"), 3, "typo.nrrd", "no such file")


def test_warnings_of_a_quiet_run_are_printed(score, a_ct_array, a_seg, names, tmp_path):
    ct = write_image((a_ct_array + 1024).astype(np.uint16), tmp_path / "shifted.nii.gz")
    code, errors, _ = score(ct, a_seg, "--names", names)
    assert code == 0
    assert [line for line in errors if line.startswith(f"warning: {ct}: its values are not ")]


def test_a_reader_who_leaves_does_not_stop_the_work(a_ct, a_seg, names, a_model_file, tmp_path):
    """As ``| head`` does."""
    words = [sys.executable, "-m", "QualitySentinelLib", "score", "--ct", a_ct, "--seg", a_seg, "--names", names]
    words += ["--out", tmp_path / "out", "--model", a_model_file, "--device", "cpu"]
    reader, writer = os.pipe()
    os.close(reader)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [str(w) for w in words], stdout=writer, stderr=subprocess.PIPE, text=True, env=env, check=False
    )
    os.close(writer)
    assert done.returncode == 0, done.stderr
    assert "BrokenPipe" not in done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == CONTRACT


def test_a_loop_of_links_is_refused(score, a_ct, a_seg, tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    code, errors, _ = score(a_ct, a_seg, out=tmp_path / "a")
    assert (code, errors) == (3, [f"quality-sentinel: {tmp_path / 'a'}: is a loop of links; give another path"])


def test_remarks_of_libraries_are_not_printed(score, a_ct, a_label_array, tmp_path):
    far = write_image(a_label_array, tmp_path / "far.nii.gz", origin=(1e20, 0, 0))
    code, errors, _ = score(a_ct, far)
    assert code in (3, 4) and len(errors) == 1


def test_error_maps_name_what_to_remove_and_add(score, a_ct, a_seg, names, a_small_model, tmp_path):
    """A model that finds every mask wrong and nothing missing."""
    import copy

    import torch

    from QualitySentinelLib.checkpoint import save_model

    model = copy.copy(a_small_model)
    model.network = copy.deepcopy(model.network)
    with torch.no_grad():
        model.network.pyramid.logits.weight.zero_()
        model.network.pyramid.logits.bias.fill_(-4.0)
    save_model(model, tmp_path / "critic.safetensors")
    code, lines, out = score(a_ct, a_seg, "--names", names, "--error-maps", model=tmp_path / "critic.safetensors")
    assert code == 0, lines
    assert sorted(p.name for p in out.iterdir()) == sorted([*CONTRACT, "errors.seg.nrrd"])
    header = (out / "errors.seg.nrrd").read_bytes().split(b"\n\n")[0].decode()
    assert "Segment0_Name:=liver: remove" in header and "Segment1_Name:=spleen: remove" in header
    assert ": add" not in header
    errors = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "errors.seg.nrrd")))
    np.testing.assert_array_equal(errors > 0, sitk.GetArrayFromImage(sitk.ReadImage(str(a_seg))) > 0)


def test_a_file_of_errors_is_not_overwritten_by_its_own_scoring(score, a_ct, a_label_array, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    seg = write_image(a_label_array, out / "errors.seg.nrrd")
    code, lines, _ = score(a_ct, seg)
    assert code == 2 and "holds the input" in lines[0] and os.listdir(out) == ["errors.seg.nrrd"]
