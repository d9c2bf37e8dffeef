"""Scoring a case: progress, cancel, resume, memory."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from QualitySentinelLib.errors import CancelledError, ModelError, UsageError
from QualitySentinelLib.network import build_network
from QualitySentinelLib.network.backends import TorchBackend
from QualitySentinelLib.scorer import Scorer
from QualitySentinelLib.scorer import scorer as scorer_module
from QualitySentinelLib.scores import Status
from QualitySentinelLib.slices.place import TOLD
from QualitySentinelLib.suggestions import Drawings
from QualitySentinelLib.volume import AxialFrame, CtVolume, Segmentation
from QualitySentinelLib.volume.segmentation import segment_from_mask

SHAPE = (24, 48, 48)


@pytest.fixture
def a_frame():
    return AxialFrame.from_affine(np.diag([-2.0, -2.0, 4.0, 1.0]), SHAPE)


@pytest.fixture
def a_ct(a_frame):
    rng = np.random.default_rng(1)
    return CtVolume(rng.normal(40, 60, SHAPE).astype(np.int16), a_frame, "ct.nii.gz")


def masks():
    liver, spleen, thing = np.zeros((3, *SHAPE), bool)
    liver[3:15, 5:20, 6:30] = True
    spleen[10:20, 30:40, 30:40] = True
    thing[0, 0, 0] = True
    return {"liver": liver, "spleen": spleen, "thing": thing, "nothing": np.zeros(SHAPE, bool)}


def raws(segment_score):
    """What the network said of a segment's slices, those of the mask first."""
    return [s.raw for s in (*segment_score.slices, *segment_score.empty_slices)]


def segmentation_of(frame, masks):
    known = {"liver", "spleen"}
    segments = [
        segment_from_mask(mask, id=name, name=name, structure=name if name in known else None)
        for name, mask in masks.items()
    ]
    return Segmentation(segments, frame, "seg.nii.gz")


@pytest.fixture
def a_segmentation(a_frame):
    return segmentation_of(a_frame, masks())


def test_every_slice_of_every_segment_is_scored_and_reported_in_the_files_numbers(a_small_model, a_ct, a_segmentation):
    case = Scorer(a_small_model, device="cpu").score(a_ct, a_segmentation)
    assert [s.slice_index for s in case["liver"].slices] == list(range(3, 15))
    assert case["liver"].slices[1].position_mm - case["liver"].slices[0].position_mm == pytest.approx(4.0)
    assert case["liver"].slices[0].area_mm2 == 15 * 24 * 4
    assert {s.segment_id: s.status for s in case.segments} == {
        "liver": Status.SCORED,
        "spleen": Status.SCORED,
        "thing": Status.UNKNOWN_STRUCTURE,
        "nothing": Status.EMPTY,
    }
    assert case["nothing"].predicted_dsc is None
    assert 0.0 <= case["thing"].predicted_dsc <= 1.0


def test_scores_do_not_depend_on_the_batch_size(a_small_model, a_ct, a_segmentation):
    one = Scorer(a_small_model, device="cpu", batch_size=1).score(a_ct, a_segmentation)
    many = Scorer(a_small_model, device="cpu", batch_size=64).score(a_ct, a_segmentation)
    for a, b in zip(one.segments, many.segments, strict=True):
        np.testing.assert_allclose(raws(a), raws(b), atol=1e-5)


def test_progress_counts_up_to_the_total_and_segments_finish_on_the_way(a_small_model, a_ct, a_segmentation):
    seen = [
        (p.done, p.total, p.score["liver"].predicted_dsc is not None)
        for p in Scorer(a_small_model, device="cpu", batch_size=4).run(a_ct, a_segmentation)
    ]
    assert seen[0] == (0, 31, False)  # 23 slices of masks, and two beyond each end of liver and spleen
    assert [done for done, _, _ in seen] == [0, 4, 8, 12, 16, 20, 24, 28, 31]
    assert [finished for _, _, finished in seen] == [False] * 4 + [True] * 5


def test_cancel_stops_between_batches_and_keeps_what_is_done(a_small_model, a_ct, a_segmentation):
    scorer = Scorer(a_small_model, device="cpu", batch_size=4)
    answers = iter([False, False, False, False, True])
    *_, last = scorer.run(a_ct, a_segmentation, cancelled=lambda: next(answers))
    assert last.cancelled
    assert last.done == 16
    assert last.score["liver"].status == Status.SCORED
    assert last.score["spleen"].status == Status.NOT_SCORED
    with pytest.raises(CancelledError):
        scorer.score(a_ct, a_segmentation, cancelled=lambda: True)


def test_only_changed_slices_are_scored_again(a_small_model, a_ct, a_frame, a_segmentation):
    scorer = Scorer(a_small_model, device="cpu")
    before = scorer.score(a_ct, a_segmentation)
    edited = masks()
    edited["liver"][7, 5:12] = False
    edited["liver"][15, 8:12, 8:12] = True  # a new slice, which also makes the segment's box grow
    *_, last = scorer.run(a_ct, segmentation_of(a_frame, edited), previous=before)
    fresh = scorer.score(a_ct, segmentation_of(a_frame, edited))
    assert last.total == 4  # two slices of the mask, and what lies beyond the end that has moved
    assert [s.k for s in last.score["liver"].empty_slices] == [1, 2, 16, 17]
    np.testing.assert_allclose(raws(last.score["liver"]), raws(fresh["liver"]), atol=1e-5)
    assert last.score["spleen"].predicted_dsc == before["spleen"].predicted_dsc


def test_empty_slices_are_scored_again_when_the_mask_next_to_them_changes(a_small_model, a_ct, a_frame, a_segmentation):
    scorer = Scorer(a_small_model, device="cpu")
    edited = masks()
    edited["liver"][6:9] = False
    before = scorer.score(a_ct, segmentation_of(a_frame, edited))
    assert [(s.k, s.nearest_k, s.inner) for s in before["liver"].empty_slices] == [
        (1, 3, False), (2, 3, False), (6, 5, True), (7, 5, True), (8, 9, True), (15, 14, False), (16, 14, False),
    ]  # fmt: skip
    edited["liver"][9, 5:12] = False
    *_, last = scorer.run(a_ct, segmentation_of(a_frame, edited), previous=before)
    assert last.total == 2  # slice 9 and the empty slice below it
    edited["liver"][7, 5:20, 6:30] = True
    *_, after = scorer.run(a_ct, segmentation_of(a_frame, edited), previous=last.score)
    assert after.total == 2  # slice 7, and slice 8, to which it is now nearest; 6 keeps its nearest
    fresh = scorer.score(a_ct, segmentation_of(a_frame, edited))
    assert [s.k for s in after.score["liver"].empty_slices] == [1, 2, 6, 8, 15, 16]
    np.testing.assert_allclose(raws(after.score["liver"]), raws(fresh["liver"]), atol=1e-5)


def test_an_empty_slice_that_an_edit_farther_away_enclosed_is_kept_and_lies_inside(
    a_small_model, a_ct, a_frame, a_segmentation
):
    scorer = Scorer(a_small_model, device="cpu")
    before = scorer.score(a_ct, a_segmentation)
    edited = masks()
    edited["liver"][17] = edited["liver"][14]
    case = scorer.score(a_ct, segmentation_of(a_frame, edited), previous=before)
    inner = {s.k: s.inner for s in case["liver"].empty_slices}
    assert inner == {1: False, 2: False, 15: True, 16: True, 18: False, 19: False}


def test_only_a_model_that_sees_neighbours_looks_for_missed_slices(a_small_model, a_ct, a_segmentation):
    assert [len(s.empty_slices) for s in Scorer(a_small_model, device="cpu").score(a_ct, a_segmentation).segments] == [
        4, 4, 0, 0,  # the third is of unknown structure: nothing says what to look for; the last is empty
    ]  # fmt: skip
    some = Scorer(a_small_model, device="cpu", slices=5).score(a_ct, a_segmentation)
    assert not any(s.empty_slices for s in some.segments)
    blind = replace(a_small_model, preset=replace(a_small_model.preset, neighbour=False))
    blind.network = build_network({**a_small_model.architecture, "in_channels": 3}).eval()
    assert not any(s.empty_slices for s in Scorer(blind, device="cpu").score(a_ct, a_segmentation).segments)


def test_bounds_are_only_given_where_they_were_measured(a_small_model, a_ct, a_segmentation):
    ends = {"low": [0.0, 0.0], "high": [1.0, 1.0]}
    calibration = {
        "slice": {"predicted": [0.0, 1.0], **ends},
        "segment": {"aggregated": [0.0, 1.0], "dsc": [0.25, 0.25], **ends, "shown": "calibrated"},
    }
    model = replace(a_small_model, metadata={"calibration": calibration})
    whole, some = (Scorer(model, device="cpu", slices=n).score(a_ct, a_segmentation) for n in ("all", 3))
    assert whole["liver"].predicted_dsc == 0.25 and whole["liver"].dsc_high == 1.0
    assert some["liver"].predicted_dsc == some["liver"].area_weighted_dsc and some["liver"].dsc_high is None
    assert some["liver"].slices[0].dsc_high == 1.0  # a slice is a slice
    unknown = whole["thing"]
    assert unknown.dsc_high is None and unknown.slices[0].dsc_high is None


def test_structures_are_flagged_below_their_own_thresholds_where_that_is_asked_for(a_small_model, a_ct, a_segmentation):
    flags = {"threshold": [0, 1], "share": [0, 1], "patients": 3, "structures": {"liver": 1.0}, "structures_share": 0.1}
    model = replace(a_small_model, metadata={"calibration": {"flags": flags}})
    fixed, own = (
        Scorer(model, device="cpu", threshold=0.0, own_thresholds=own).score(a_ct, a_segmentation)
        for own in (False, True)
    )
    assert sum(s.n_flagged for s in fixed.segments) == 0
    assert {s.structure for s in own.segments if s.n_flagged} == {"liver"} and own["liver"].n_flagged == 12


def test_a_model_without_thresholds_of_structures_is_refused_where_they_are_asked_for(a_small_model):
    with pytest.raises(UsageError, match="no thresholds by structure"):
        Scorer(a_small_model, device="cpu", own_thresholds=True)


def test_the_models_calibration_decides_reach_missed_slices_and_intervals(
    a_small_model, a_ct, a_segmentation, monkeypatch
):
    def seen(_, images, *__):
        own = images[:, 2].amax(dim=(1, 2)) > 0
        return np.where(own, 0.8, 0.3)

    monkeypatch.setattr(type(a_small_model), "score", seen)
    curve = {"dsc": [0.0, 0.5], "low": [0.0, 0.4], "high": [0.2, 0.6], "shown": "calibrated"}
    calibration = {
        "coverage": 0.9,
        "slice": {"predicted": [0.0, 1.0], "low": [0.0, 0.8], "high": [0.5, 1.0]},
        "segment": {"aggregated": [0.0, 1.0], **curve},
        "missed": {"threshold": 0.31, "false_flags": 0.05, "reach_mm": 4.0},
    }
    model = replace(a_small_model, metadata={"calibration": calibration})
    case = Scorer(model, device="cpu").score(a_ct, a_segmentation)
    liver = case["liver"]
    assert [(s.k, s.predicted_dsc, s.missed) for s in liver.empty_slices] == [(2, 0.3, True), (15, 0.3, True)]
    assert (liver.n_missed, case.n_missed) == (2, 4)
    assert liver.area_weighted_dsc == pytest.approx(12 * 0.8 / (12 + 2 * 0.7 / 2))
    assert liver.predicted_dsc == pytest.approx(liver.area_weighted_dsc / 2)
    assert liver.dsc_low < liver.predicted_dsc < liver.dsc_high
    assert (liver.slices[0].dsc_low, liver.slices[0].dsc_high) == pytest.approx((0.64, 0.9))
    assert case.model["calibration"] == {"coverage": 0.9, "missed": calibration["missed"]}


def test_nothing_is_scored_again_when_nothing_changed_but_a_new_threshold_holds(a_small_model, a_ct, a_segmentation):
    before = Scorer(a_small_model, device="cpu", threshold=0.0).score(a_ct, a_segmentation)
    *_, last = Scorer(a_small_model, device="cpu", threshold=1.0).run(a_ct, a_segmentation, previous=before)
    assert last.total == 0
    assert last.score["liver"].n_flagged == sum(s.predicted_dsc < 1.0 for s in before["liver"].slices)
    assert before["liver"].n_flagged == 0


def test_given_scores_that_no_model_made_hold_where_the_mask_is_the_same(a_small_model, a_ct, a_frame, a_segmentation):
    given = Scorer(a_small_model, device="cpu").score(a_ct, a_segmentation)
    given.model = {"name": "label quality", "sha256": "", "given": True}
    for one in given["liver"].slices:
        one.predicted_dsc = one.raw = 0.125
    edited = masks()
    edited["liver"][7, 5:12] = False
    *_, last = Scorer(a_small_model, device="cpu").run(a_ct, segmentation_of(a_frame, edited), previous=given)
    assert last.total == 1
    assert [s.k for s in last.score["liver"].slices if s.predicted_dsc != 0.125] == [7]


def test_another_model_or_structure_scores_everything_again(a_small_model, a_ct, a_segmentation):
    before = Scorer(a_small_model, device="cpu").score(a_ct, a_segmentation)
    a_segmentation["liver"].structure = "spleen"
    *_, last = Scorer(a_small_model, device="cpu").run(a_ct, a_segmentation, previous=before)
    assert last.total == 16
    before.model["sha256"] = "1" * 64
    *_, last = Scorer(a_small_model, device="cpu").run(a_ct, a_segmentation, previous=before)
    assert last.total == 31


def test_the_user_may_choose_segments_by_name_or_structure(a_small_model, a_ct, a_segmentation):
    case = Scorer(a_small_model, device="cpu").score(a_ct, a_segmentation, segments=["spleen"])
    assert case["spleen"].status == Status.SCORED
    assert case["liver"].status == Status.NOT_SCORED
    with pytest.raises(UsageError, match="no segment is called 'kidney'"):
        Scorer(a_small_model, device="cpu").score(a_ct, a_segmentation, segments=["kidney"])


def test_out_of_memory_halves_the_batch_and_goes_on(a_small_model, a_ct, a_segmentation, monkeypatch):
    expected = Scorer(a_small_model, device="cpu").score(a_ct, a_segmentation)
    real = scorer_module.make_batch
    sizes = []

    def full_beyond_three(ct, items, *rest, **options):
        sizes.append(len(items))
        if len(items) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(ct, items, *rest, **options)

    monkeypatch.setattr(scorer_module, "make_batch", full_beyond_three)
    case = Scorer(a_small_model, device="cpu", batch_size=8).score(a_ct, a_segmentation)
    assert sizes[:3] == [8, 4, 2]
    assert any("ran out of memory" in w for w in case.warnings)
    assert case["spleen"].predicted_dsc == pytest.approx(expected["spleen"].predicted_dsc, abs=1e-5)


class FullGpu:
    """Stands for a GPU without memory for even one slice."""

    type = "cuda"

    def __str__(self):
        return "cuda:0"


def test_a_gpu_too_small_for_one_slice_leaves_the_work_to_the_cpu(a_small_model, a_ct, a_segmentation, monkeypatch):
    expected = Scorer(a_small_model, device="cpu").score(a_ct, a_segmentation)
    scorer = Scorer(a_small_model, device="cpu", batch_size=2)
    scorer.device = FullGpu()
    real, devices = scorer_module.make_batch, []

    def full_on_the_gpu(ct, items, preset, device, **options):
        devices.append(str(device))
        if device.type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(ct, items, preset, device, **options)

    monkeypatch.setattr(scorer_module, "make_batch", full_on_the_gpu)
    monkeypatch.setattr(a_small_model.network, "to", lambda device: None)
    case = scorer.score(a_ct, a_segmentation)
    assert devices[:3] == ["cuda:0", "cuda:0", "cpu"]  # two slices, one slice, then the CPU
    assert case.device == "cpu"
    assert [w for w in case.warnings if "continuing on the CPU" in w]
    assert case["liver"].predicted_dsc == pytest.approx(expected["liver"].predicted_dsc, abs=1e-5)


def test_a_machine_without_memory_for_one_slice_says_so(a_small_model, a_ct, a_segmentation, monkeypatch):
    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(scorer_module, "make_batch", full)
    with pytest.raises(MemoryError, match="single slice"):
        Scorer(a_small_model, device="cpu").score(a_ct, a_segmentation)


def test_the_predicted_dsc_is_limited_to_nought_and_one_and_the_raw_output_kept(
    a_small_model, a_ct, a_segmentation, monkeypatch
):
    monkeypatch.setattr(type(a_small_model), "score", lambda _, images, *__: np.linspace(-0.5, 1.5, len(images)))
    case = Scorer(a_small_model, device="cpu", batch_size=64).score(a_ct, a_segmentation)
    slices = [s for segment in case.segments for s in segment.slices]
    assert (min(s.raw for s in slices), max(s.raw for s in slices)) == (-0.5, 1.5)
    assert (min(s.predicted_dsc for s in slices), max(s.predicted_dsc for s in slices)) == (0.0, 1.0)


def test_any_other_error_of_the_network_is_not_taken_for_full_memory(a_small_model, a_ct, a_segmentation, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(scorer_module, "make_batch", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        Scorer(a_small_model, device="cpu").score(a_ct, a_segmentation)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu:0", ""])
def test_an_unknown_device_is_refused(a_small_model, device):
    with pytest.raises(UsageError, match="device must be"):
        Scorer(a_small_model, device=device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_said_and_a_remedy_given(a_small_model):
    with pytest.raises(ModelError, match="use --device cpu"):
        Scorer(a_small_model, device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("batch_size", [None, 2])
def test_the_gpu_gives_the_scores_of_the_cpu(a_small_model, a_ct, a_segmentation, batch_size):
    cpu = Scorer(a_small_model, device="cpu").score(a_ct, a_segmentation)
    gpu = Scorer(a_small_model, device="cuda", batch_size=batch_size).score(a_ct, a_segmentation)
    for one, other in zip(cpu.segments, gpu.segments, strict=True):
        np.testing.assert_allclose(raws(one), raws(other), atol=1e-3)


class FakeStream:
    """Stands for a stream of a GPU, which runs what it is given at once: it shows the order, not that it overlaps."""

    def __init__(self, device, notes):
        self.device, self.notes = device, notes

    def __enter__(self):
        self.notes.append("uploads begin")

    def __exit__(self, *_):
        self.notes.append("uploads end")

    def wait_stream(self, _):
        self.notes.append("wait")


@pytest.fixture
def a_fake_gpu(a_small_model, monkeypatch):
    """A scorer of batches of 4 on a stand-in for a GPU, and notes of what is done in which order."""
    notes, real_make, real_run = [], scorer_module.make_batch, TorchBackend._run

    def make(ct, items, preset, _, **options):
        notes.append(f"make {len(items)}")
        return real_make(ct, items, preset, "cpu", **options)

    def run(backend, network, inputs):
        notes.append(f"compute {len(inputs[0])}")
        return real_run(backend, network, inputs)

    monkeypatch.setattr(scorer_module, "make_batch", make)
    monkeypatch.setattr(TorchBackend, "_run", run)
    monkeypatch.setattr("torch.cuda.Stream", lambda device: FakeStream(device, notes))
    monkeypatch.setattr("torch.cuda.stream", lambda stream: stream)
    monkeypatch.setattr("torch.cuda.current_stream", lambda device: FakeStream(device, notes))
    scorer = Scorer(a_small_model, device="cpu", backend="torch", batch_size=4)
    scorer.device = FullGpu()
    monkeypatch.setattr(scorer, "_bring_network", lambda: None)
    return scorer, notes


def test_a_gpus_next_batch_is_made_while_it_computes_and_waited_for(a_fake_gpu, a_small_model, a_ct, a_segmentation):
    scorer, notes = a_fake_gpu
    for progress in scorer.run(a_ct, a_segmentation, segments=["spleen"]):  # 14 slices
        notes.append(progress.done)
    made_ahead = ["uploads begin", "make 4", "uploads end"]
    last = ["uploads begin", "make 2", "uploads end"]
    assert notes == [
        0, "make 4", "compute 4", *made_ahead, 4, "wait", "compute 4", *made_ahead, 8, "wait", "compute 4", *last, 12,
        "wait", "compute 2", 14,
    ]  # fmt: skip
    expected = Scorer(a_small_model, device="cpu", backend="torch").score(a_ct, a_segmentation)
    np.testing.assert_allclose(raws(progress.score["spleen"]), raws(expected["spleen"]), atol=1e-5)


def test_a_batch_made_ahead_is_dropped_when_memory_allows_fewer(a_fake_gpu, a_ct, a_segmentation, monkeypatch):
    scorer, notes = a_fake_gpu
    expected = scorer.score(a_ct, a_segmentation)
    run = TorchBackend._run
    full = iter([False, True])

    def full_once(backend, network, inputs):
        if next(full, False):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(backend, network, inputs)

    monkeypatch.setattr(TorchBackend, "_run", full_once)
    notes.clear()
    case = scorer.score(a_ct, a_segmentation)
    assert [note for note in notes if "compute" in str(note)][:3] == ["compute 4", "compute 2", "compute 2"]
    for one, other in zip(case.segments, expected.segments, strict=True):
        np.testing.assert_allclose(raws(one), raws(other), atol=1e-5)


def test_structures_never_trained_on_are_named_and_have_no_ranges(a_small_model, a_ct, a_segmentation):
    curve = {"predicted": [0.0, 1.0], "low": [0.0, 0.9], "high": [0.3, 1.0]}
    training = {"structures": ["spleen"], "started_from": {"structures": []}}
    model = replace(a_small_model, metadata={"training": training, "calibration": {"coverage": 0.9, "slice": curve}})
    case = Scorer(model, device="cpu").score(a_ct, a_segmentation)
    (warning,) = (line for line in case.warnings if "never trained on" in line)
    assert "liver:" in warning and "spleen" not in warning
    assert all(s.dsc_low is None for s in case["liver"].slices)
    assert all(s.dsc_low is not None for s in case["spleen"].slices)


def test_structures_learned_from_few_patients_are_named_and_have_wider_ranges(a_small_model, a_ct, a_segmentation):
    curve = {"predicted": [0.0, 1.0], "low": [0.0, 0.9], "high": [0.3, 1.0]}
    few = {"known": ["spleen"], "patients": 4, "slice": curve | {"low": [0.0, 0.0], "high": [1.0, 1.0]}}
    model = replace(a_small_model, metadata={"calibration": {"coverage": 0.9, "slice": curve, "few": few}})
    case = Scorer(model, device="cpu").score(a_ct, a_segmentation)
    (warning,) = (line for line in case.warnings if "fewer than 4 patients" in line)
    assert "liver" in warning and "spleen" not in warning
    assert all((s.dsc_low, s.dsc_high) == (0.0, 1.0) for s in case["liver"].slices)
    assert all(s.dsc_high - s.dsc_low < 0.5 for s in case["spleen"].slices)
    again = Scorer(model, device="cpu").score(a_ct, a_segmentation, segments=["spleen"], previous=case)
    assert again.warnings == case.warnings, "the liver keeps its scores, and what is said of them"


def test_a_model_that_knows_places_sees_them_and_says_when_the_body_is_cut(a_small_model, a_frame, a_segmentation):
    architecture = a_small_model.architecture | {"told_dim": TOLD}
    torch.manual_seed(0)
    network = build_network(architecture).eval()
    for parameter in network.identity.judge.parameters():
        torch.nn.init.normal_(parameter)
    model = replace(a_small_model, network=network, architecture=architecture)
    hu = np.full(SHAPE, -1000, np.int16)
    hu[:, 8:40, 8:40] = 40
    whole, cut = hu.copy(), hu.copy()
    cut[:, 8:40, :] = 40
    scorer = Scorer(model, device="cpu")
    cases = [scorer.score(CtVolume(ct, a_frame, "ct.nii.gz"), a_segmentation) for ct in (whole, cut)]
    assert ["cut off at its sides" in " ".join(case.warnings) for case in cases] == [False, True]
    assert list(Scorer(model, device="cpu").warm_up_steps())


def test_the_package_scores_in_three_calls(a_case_on_disk, a_small_model):
    import QualitySentinelLib as quality_sentinel

    ct = quality_sentinel.read_ct(a_case_on_disk.ct)
    segmentation = quality_sentinel.read_segmentation(a_case_on_disk.seg, ct)
    case = quality_sentinel.score(ct, segmentation, a_small_model, slices=2, device="cpu", threshold=0.5)
    assert case.threshold == 0.5 and case.worst_first()[0].predicted_dsc is not None
    assert all(hasattr(quality_sentinel, name) for name in quality_sentinel.__all__)
    with pytest.raises(AttributeError, match="no attribute 'scores_of_all'"):
        _ = quality_sentinel.scores_of_all


def test_drawings_come_with_every_score_and_change_none(a_small_model, a_ct, a_segmentation):
    scorer, drawings = Scorer(a_small_model, device="cpu"), Drawings()
    plain = scorer.score(a_ct, a_segmentation)
    case = scorer.score(a_ct, a_segmentation, drawings=drawings)
    scored = [s for segment in case.segments for s in (*segment.slices, *segment.empty_slices)]
    assert len(drawings) == len(scored) and all(drawings.of(s) is not None for s in scored)
    for a, b in zip(plain.segments, case.segments, strict=True):
        np.testing.assert_allclose(raws(a), raws(b), atol=1e-5)
    row_start, row_stop, *_ = drawings.of(case["liver"].slices[0]).box
    assert (row_start + row_stop) / 2 == 12.5  # the middle of its mask, rows 5 to 19


def test_slices_without_a_drawing_are_run_for_it_and_no_others(a_small_model, a_ct, a_frame, a_segmentation):
    scorer, drawings = Scorer(a_small_model, device="cpu"), Drawings()
    before = scorer.score(a_ct, a_segmentation, segments=["liver"], drawings=drawings)
    *_, again = scorer.run(a_ct, a_segmentation, segments=["liver"], previous=before, drawings=drawings)
    assert again.total == 0
    edited = masks()
    edited["liver"][7, 5:12] = False
    after = segmentation_of(a_frame, edited)
    *_, last = scorer.run(a_ct, after, segments=["liver"], previous=before, drawings=drawings)
    assert last.total == 1
    assert all(drawings.of(s) is not None for s in last.score["liver"].slices)
    assert drawings.of(before["liver"].slices[4]) is None  # the mask that was edited


def test_a_model_that_draws_nothing_says_so_and_scores(a_small_model, a_ct, a_segmentation):
    model = replace(a_small_model, preset=replace(a_small_model.preset, frame="file", locator=0))
    drawings = Drawings()
    case = Scorer(model, device="cpu").score(a_ct, a_segmentation, drawings=drawings)
    assert len(drawings) == 0 and any("no error maps" in warning for warning in case.warnings)
    assert case["liver"].predicted_dsc is not None
