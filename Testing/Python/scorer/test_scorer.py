"""Scoring a case: progress, cancel, resume, memory."""

import numpy as np
import pytest
import torch

from QualitySentinelLib.errors import CancelledError, ModelError, UsageError
from QualitySentinelLib.scorer import Scorer
from QualitySentinelLib.scorer import scorer as scorer_module
from QualitySentinelLib.scores import Status
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
    case = Scorer(a_small_model, "cpu").score(a_ct, a_segmentation)
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
    one = Scorer(a_small_model, "cpu", batch_size=1).score(a_ct, a_segmentation)
    many = Scorer(a_small_model, "cpu", batch_size=64).score(a_ct, a_segmentation)
    for a, b in zip(one.segments, many.segments, strict=True):
        np.testing.assert_allclose([s.raw for s in a.slices], [s.raw for s in b.slices], atol=1e-5)


def test_progress_counts_up_to_the_total_and_segments_finish_on_the_way(a_small_model, a_ct, a_segmentation):
    seen = [
        (p.done, p.total, p.score["liver"].predicted_dsc is not None)
        for p in Scorer(a_small_model, "cpu", batch_size=4).run(a_ct, a_segmentation)
    ]
    assert seen[0] == (0, 23, False)
    assert [done for done, _, _ in seen] == [0, 4, 8, 12, 16, 20, 23]
    assert [finished for _, _, finished in seen] == [False, False, False, True, True, True, True]


def test_cancel_stops_between_batches_and_keeps_what_is_done(a_small_model, a_ct, a_segmentation):
    scorer = Scorer(a_small_model, "cpu", batch_size=4)
    answers = iter([False, False, False, True])
    *_, last = scorer.run(a_ct, a_segmentation, cancelled=lambda: next(answers))
    assert last.cancelled
    assert last.done == 12
    assert last.score["liver"].status == Status.SCORED
    assert last.score["spleen"].status == Status.NOT_SCORED
    with pytest.raises(CancelledError):
        scorer.score(a_ct, a_segmentation, cancelled=lambda: True)


def test_only_changed_slices_are_scored_again(a_small_model, a_ct, a_frame, a_segmentation):
    scorer = Scorer(a_small_model, "cpu")
    before = scorer.score(a_ct, a_segmentation)
    edited = masks()
    edited["liver"][7, 5:12] = False
    edited["liver"][15, 8:12, 8:12] = True  # a new slice, which also makes the segment's box grow
    *_, last = scorer.run(a_ct, segmentation_of(a_frame, edited), previous=before)
    fresh = scorer.score(a_ct, segmentation_of(a_frame, edited))
    assert last.total == 2
    np.testing.assert_allclose(
        [s.raw for s in last.score["liver"].slices], [s.raw for s in fresh["liver"].slices], atol=1e-5
    )
    assert last.score["spleen"].predicted_dsc == before["spleen"].predicted_dsc


def test_nothing_is_scored_again_when_nothing_changed_but_a_new_threshold_holds(a_small_model, a_ct, a_segmentation):
    before = Scorer(a_small_model, "cpu", threshold=0.0).score(a_ct, a_segmentation)
    *_, last = Scorer(a_small_model, "cpu", threshold=1.0).run(a_ct, a_segmentation, previous=before)
    assert last.total == 0
    assert last.score["liver"].n_flagged == sum(s.predicted_dsc < 1.0 for s in before["liver"].slices)
    assert before["liver"].n_flagged == 0


def test_another_model_or_structure_scores_everything_again(a_small_model, a_ct, a_segmentation):
    before = Scorer(a_small_model, "cpu").score(a_ct, a_segmentation)
    a_segmentation["liver"].structure = "spleen"
    *_, last = Scorer(a_small_model, "cpu").run(a_ct, a_segmentation, previous=before)
    assert last.total == 12
    before.model["sha256"] = "1" * 64
    *_, last = Scorer(a_small_model, "cpu").run(a_ct, a_segmentation, previous=before)
    assert last.total == 23


def test_the_user_may_choose_segments_by_name_or_structure(a_small_model, a_ct, a_segmentation):
    case = Scorer(a_small_model, "cpu").score(a_ct, a_segmentation, segments=["spleen"])
    assert case["spleen"].status == Status.SCORED
    assert case["liver"].status == Status.NOT_SCORED
    with pytest.raises(UsageError, match="no segment is called 'kidney'"):
        Scorer(a_small_model, "cpu").score(a_ct, a_segmentation, segments=["kidney"])


def test_out_of_memory_halves_the_batch_and_goes_on(a_small_model, a_ct, a_segmentation, monkeypatch):
    expected = Scorer(a_small_model, "cpu").score(a_ct, a_segmentation)
    real = scorer_module.make_batch
    sizes = []

    def full_beyond_three(ct, items, *rest):
        sizes.append(len(items))
        if len(items) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(ct, items, *rest)

    monkeypatch.setattr(scorer_module, "make_batch", full_beyond_three)
    case = Scorer(a_small_model, "cpu", batch_size=8).score(a_ct, a_segmentation)
    assert sizes[:3] == [8, 4, 2]
    assert any("ran out of memory" in w for w in case.warnings)
    assert case["spleen"].predicted_dsc == pytest.approx(expected["spleen"].predicted_dsc, abs=1e-5)


class FullGpu:
    """Stands for a GPU without memory for even one slice."""

    type = "cuda"

    def __str__(self):
        return "cuda:0"


def test_a_gpu_too_small_for_one_slice_leaves_the_work_to_the_cpu(a_small_model, a_ct, a_segmentation, monkeypatch):
    expected = Scorer(a_small_model, "cpu").score(a_ct, a_segmentation)
    scorer = Scorer(a_small_model, "cpu", batch_size=2)
    scorer.device = FullGpu()
    real, devices = scorer_module.make_batch, []

    def full_on_the_gpu(ct, items, preset, device):
        devices.append(str(device))
        if device.type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(ct, items, preset, device)

    monkeypatch.setattr(scorer_module, "make_batch", full_on_the_gpu)
    monkeypatch.setattr(a_small_model.network, "to", lambda device: None)
    case = scorer.score(a_ct, a_segmentation)
    assert devices[:3] == ["cuda:0", "cuda:0", "cpu"]  # two slices, one slice, then the CPU
    assert case.device == "cpu"
    assert [w for w in case.warnings if "going on with the CPU" in w]
    assert case["liver"].predicted_dsc == pytest.approx(expected["liver"].predicted_dsc, abs=1e-5)


def test_a_machine_without_memory_for_one_slice_says_so(a_small_model, a_ct, a_segmentation, monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(scorer_module, "make_batch", full)
    with pytest.raises(MemoryError, match="single slice"):
        Scorer(a_small_model, "cpu").score(a_ct, a_segmentation)


def test_the_predicted_dsc_is_limited_to_nought_and_one_and_the_raw_output_kept(
    a_small_model, a_ct, a_segmentation, monkeypatch
):
    monkeypatch.setattr(type(a_small_model), "score", lambda _, images, *__: np.linspace(-0.5, 1.5, len(images)))
    case = Scorer(a_small_model, "cpu", batch_size=64).score(a_ct, a_segmentation)
    slices = [s for segment in case.segments for s in segment.slices]
    assert (min(s.raw for s in slices), max(s.raw for s in slices)) == (-0.5, 1.5)
    assert (min(s.predicted_dsc for s in slices), max(s.predicted_dsc for s in slices)) == (0.0, 1.0)


def test_any_other_error_of_the_network_is_not_taken_for_full_memory(a_small_model, a_ct, a_segmentation, monkeypatch):
    def broken(*_):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(scorer_module, "make_batch", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        Scorer(a_small_model, "cpu").score(a_ct, a_segmentation)


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cpu:0", ""])
def test_an_unknown_device_is_refused(a_small_model, device):
    with pytest.raises(UsageError, match="device must be"):
        Scorer(a_small_model, device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_said_and_a_remedy_given(a_small_model):
    with pytest.raises(ModelError, match="use --device cpu"):
        Scorer(a_small_model, "cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_the_gpu_gives_the_scores_of_the_cpu(a_small_model, a_ct, a_segmentation):
    cpu = Scorer(a_small_model, "cpu").score(a_ct, a_segmentation)
    gpu = Scorer(a_small_model, "cuda").score(a_ct, a_segmentation)
    np.testing.assert_allclose([s.raw for s in cpu["liver"].slices], [s.raw for s in gpu["liver"].slices], atol=1e-3)
