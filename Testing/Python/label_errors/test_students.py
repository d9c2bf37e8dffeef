"""What a network learns from labels in which errors were found."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from QualitySentinelLib.commands.main import main
from QualitySentinelLib.datasets import find_cases
from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelTrainingLib.label_errors.find import find_errors
from QualitySentinelTrainingLib.label_errors.options import StudentOptions
from QualitySentinelTrainingLib.label_errors.students import student_sources
from QualitySentinelTrainingLib.segmentation.field import Field
from QualitySentinelTrainingLib.segmentation.loss import partial_label_loss
from QualitySentinelTrainingLib.segmentation.network import windowed
from QualitySentinelTrainingLib.segmentation.options import SegmentationOptions
from QualitySentinelTrainingLib.segmentation.training import train
from QualitySentinelTrainingLib.segmentation.weighing import QualityBranch
from QualitySentinelTrainingLib.subjects import subject_sources


@pytest.fixture
def found(torsos):
    """Sources of a data set with known errors, and the folder of ``find_errors``."""
    case = torsos()
    data = find_cases(case.data)
    find_errors(data, case.out, probabilities=case.probabilities, say=lambda _: None)
    return SimpleNamespace(sources=subject_sources(data), out=case.out, truth=case.truth, given=case.given)


def learned(found, **options):
    """The subject with errors, as a student sees it."""
    return student_sources(found.sources, found.out, StudentOptions(**options))[1].read()


def test_corrected_labels_are_the_suggested_ones(found):
    subject = learned(found, epsilon=0.25)
    corrected, share = subject.corrected
    assert share == 0.25
    np.testing.assert_array_equal(subject.labels, found.given["case_1"])
    np.testing.assert_array_equal(corrected, found.truth)


def test_the_published_loss_adds_nothing_that_is_missing(found):
    corrected, _ = learned(found, published=True).corrected
    wrong, missing = found.given["case_1"] != found.truth, (found.given["case_1"] == 0) & (found.truth > 0)
    assert missing.any() and not corrected[missing].any()
    np.testing.assert_array_equal(corrected[wrong & ~missing], found.truth[wrong & ~missing])
    softly, _ = learned(found, published=True, epsilon=0.25).corrected
    np.testing.assert_array_equal(softly, found.truth)


def test_the_slices_of_the_lowest_quality_are_left_out(found):
    trust = learned(found, labels="picked", dropped=0.15).trust
    wrong = found.given["case_1"] != found.truth
    left_out = {int(k) for value in trust for k in np.flatnonzero(trust[value] == 0)}
    assert left_out and all(wrong[k].any() for k in left_out)
    assert learned(found, labels="given").trust == {}
    with pytest.raises(InputError, match="holds no results of find-errors"):
        student_sources(found.sources, found.out / "nothing", StudentOptions("picked"))


def test_options_that_cannot_be_are_refused():
    with pytest.raises(UsageError, match="epsilon is 1.5"):
        StudentOptions(epsilon=1.5)
    with pytest.raises(UsageError, match="labels is 'better'"):
        StudentOptions("better")


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_network_learns_from_the_corrected_labels_as_often_as_it_should(found, tmp_path, share, monkeypatch):
    options = SegmentationOptions(
        epochs=(1,), size=32, pixel_mm=9.0, slice_mm=5.0, steps=40, batch_size=16, widths=(4, 4)
    )
    source = found.sources[0]
    other = np.where(found.truth == 1, 2, 0).astype(np.uint8)
    subject = replace(source.read(), labels=np.where(found.truth == 1, 1, 0).astype(np.uint8), corrected=(other, share))
    sources = [replace(source, read=lambda: subject)]
    seen = []

    def loss(self, hu, labels, *_):
        seen.extend(labels.flatten(1).max(dim=1).values.tolist())
        return self.module.parameters().__next__().sum() * 0

    monkeypatch.setattr("QualitySentinelTrainingLib.segmentation.network.SegmentationNetwork.loss", loss)
    train(sources, tmp_path, options, "cpu", lambda _: None)
    shown = [value for value in seen if value]
    assert np.mean(np.array(shown) == 2) == pytest.approx(share, abs=0.08)


def test_the_command_trains_on_what_was_found_and_never_mixes_labels_in_one_folder(torsos, found, tmp_path, capsys):
    tiny = "--epochs 1 --steps 1 --batch-size 2 --size 32 --pixel-mm 9 --widths 4 4 --device cpu --threads 1".split()
    command = ["train-segmenters", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "nets"), *tiny]
    assert main([*command, "--errors", str(found.out), "--epsilon", "0.5"]) == 0
    assert len(list((tmp_path / "nets" / "epoch_0001").glob("case_*.nii.gz"))) == 3
    assert main(command) == 2
    assert "was made with labels" in capsys.readouterr().err
    assert main([*command, "--epsilon", "0.5"]) == 2
    assert "--epsilon needs --errors" in capsys.readouterr().err
    assert main([*command[:-1], "1", "--out", str(tmp_path / "weighed"), "--labels", "pick-and-learn"]) == 0


# ------------------------------------------------------------------------------------------------ pick and learn
def test_weights_are_one_on_average_and_bounded_and_what_is_not_doubted_weighs_one():
    torch.manual_seed(0)
    branch, shown, labels = QualityBranch((2, 16, 16), 3), torch.randn(6, 2, 16, 16), torch.randint(0, 3, (6, 16, 16))
    doubted = torch.tensor([True, True, False, True, True, True])
    weights = branch(shown * 1000, labels, doubted)
    assert weights.sum().item() == pytest.approx(6) and weights[2] == 1
    assert weights[doubted].max() / weights[doubted].min() <= np.exp(4) * 1.01
    assert branch(shown, labels, torch.zeros(6, dtype=bool)).tolist() == [1] * 6


def test_a_loss_weighs_items_as_if_they_were_there_more_often():
    torch.manual_seed(0)
    logits, labels = torch.randn(3, 3, 4, 4), torch.randint(0, 3, (3, 4, 4))
    contoured = torch.ones(3, 3, dtype=bool)
    weighed = partial_label_loss(logits, labels, contoured, torch.tensor([1.0, 2.0, 0.0]))
    twice = torch.tensor([0, 1, 1])
    torch.testing.assert_close(weighed, partial_label_loss(logits[twice], labels[twice], contoured))


def test_grossly_wrong_labels_get_the_lower_weight(torsos, tmp_path):
    """Of one of four patients the labels lie somewhere else."""
    case = torsos(4)
    options = SegmentationOptions(
        epochs=(1, 2), size=32, pixel_mm=9.0, slice_mm=5.0, steps=60, batch_size=8, widths=(8, 16), learning_rate=5e-3
    )
    sources = student_sources(subject_sources(find_cases(case.data)), None, StudentOptions("pick-and-learn"))
    right, wrong = (sources[n].read() for n in (0, 3))
    wrong = replace(wrong, labels=np.roll(wrong.labels, wrong.labels.shape[2] // 3, 2))
    sources[3] = replace(sources[3], read=lambda: wrong)
    network = train(sources, tmp_path, options, "cpu", lambda _: None)
    field = Field.on_body(right.ct, options.size, options.pixel_mm)
    slices = field.slices[[right.labels[k].any() for k in field.slices]][::3]
    hu = np.concatenate([field.look(subject.ct, slices) for subject in (right, wrong)])
    labels = np.concatenate([field.look_at_labels(subject.labels, slices) for subject in (right, wrong)])
    shown = windowed(torch.from_numpy(hu[:, None]).float(), 2)
    weights = network.quality(shown, torch.from_numpy(labels).long(), torch.ones(len(labels), dtype=bool))
    of_right, of_wrong = weights.detach().split(len(slices))
    assert of_wrong.mean() < 0.5 * of_right.mean()
    again = train(sources, tmp_path, replace(options, epochs=(1, 2, 3), steps=1), "cpu", lambda _: None)
    assert again.quality is not None, "what weighs them is kept with the network"


def test_pick_and_learn_works_in_3d_too(torsos, tmp_path):
    sources = student_sources(subject_sources(find_cases(torsos(2).data)), None, StudentOptions("pick-and-learn"))
    options = SegmentationOptions(
        epochs=(1,), size=32, pixel_mm=9.0, steps=2, batch_size=2, widths=(4, 4, 4), dimensions=3, depth=8,
        deep_supervision=True,
    )  # fmt: skip
    assert train(sources, tmp_path, options, "cpu", lambda _: None).quality is not None
