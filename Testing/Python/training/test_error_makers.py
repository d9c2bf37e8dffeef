"""Error makers: out-of-fold predictions at growing numbers of epochs, that can be taken up again after a stop."""

import json

import nibabel
import numpy as np
import pytest
import torch

from QualitySentinelLib.commands.main import main
from QualitySentinelLib.errors import InputError, ModelError, UsageError
from QualitySentinelLib.reading import read_segmentation
from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelTrainingLib.runs import Run
from QualitySentinelTrainingLib.segmentation.field import Field
from QualitySentinelTrainingLib.segmentation.folds import FOLDS, train_segmenters
from QualitySentinelTrainingLib.segmentation.loss import partial_label_loss
from QualitySentinelTrainingLib.segmentation.options import SegmentationOptions
from QualitySentinelTrainingLib.segmentation.probabilities import read_probabilities
from QualitySentinelTrainingLib.subjects import Subject, SubjectSource

SMALL = SegmentationOptions(epochs=(1,), size=32, pixel_mm=9.0, steps=2, batch_size=4, widths=(8, 16, 16), seed=3)


@pytest.fixture
def a_source(a_torso):
    """``a_source(number, patient)``: the synthetic torso with noise of its own; odd ones have no spleen contoured."""

    def make(number: int, patient: str = "") -> SubjectSource:
        def read() -> Subject:
            hu = a_torso.hu + np.random.default_rng(number).integers(-20, 20, a_torso.hu.shape).astype(np.int16)
            frame = AxialFrame.from_affine(a_torso.ijk_to_ras, hu.shape)
            labels, names = a_torso.labels, dict(a_torso.names)
            if number % 2:
                labels = np.where(labels == 2, 0, labels).astype(np.uint8)
                del names[2]
            return Subject(f"case_{number}", CtVolume(hu, frame, f"case_{number}"), labels, names, patient=patient)

        return source(f"case_{number}", read, patient)

    return make


def source(name: str, read, patient: str = "") -> SubjectSource:
    return SubjectSource(name, patient or name, "torsos", read)


def test_no_subject_is_predicted_by_a_network_that_saw_its_person(a_source, tmp_path):
    sources = [a_source(number, f"person_{number // 2}") for number in range(8)]
    results = train_segmenters(sources, tmp_path, SMALL, say=lambda _: None)
    plan = json.loads((tmp_path / "folds.json").read_text())
    predicted = set()
    for fold in ("0", "1"):
        saw = {plan["person_of"][name] for name in plan["trained_on"][fold]}
        asked = {name for name, of in plan["fold_of"].items() if of == int(fold)}
        assert asked and all((tmp_path / "epoch_0001" / f"{name}.nii.gz").is_file() for name in asked)
        assert not saw & {plan["person_of"][name] for name in asked}
        predicted |= asked
    assert predicted == {source.name for source in sources}
    spleens = [row.subject for row in results if row.structure == "spleen"]
    assert sorted(spleens) == ["case_0", "case_2", "case_4", "case_6"]  # only where there is a truth


def test_a_subject_of_another_person_than_its_source_says_is_refused(a_source, tmp_path):
    sources = [a_source(number, f"person_{number}") for number in range(2)]
    sources.append(source("case_2", a_source(2, "person_0").read, "person_2"))
    with pytest.raises(InputError, match="case_2 is of patient person_0"):
        train_segmenters(sources, tmp_path, SMALL, say=lambda _: None)


def test_a_network_learns_and_its_predictions_lie_on_the_ct(a_source, tmp_path):
    sources = [a_source(number) for number in range(4)]
    options = SegmentationOptions(**{**vars(SMALL), "epochs": (1, 3), "steps": 25, "learning_rate": 5e-3})
    results = train_segmenters(sources, tmp_path, options, say=lambda _: None)

    def liver(stage):
        return np.mean([row.dsc for row in results if row.structure == "liver" and row.epochs == stage])

    assert liver(3) > 0.6
    assert liver(3) > liver(1)
    subject = sources[0].read()
    folder = tmp_path / "epoch_0003"
    segmentation = read_segmentation(folder / "case_0.nii.gz", subject.ct, names=folder / "labels.json")
    assert {segment.structure for segment in segmentation} <= {"liver", "spleen"}
    assert not [warning for warning in segmentation.warnings if "resampled" in warning]
    reference = subject.labels == 1
    mask = np.zeros(reference.shape, bool)
    segment = next(s for s in segmentation if s.structure == "liver")
    mask[segment.box] = segment.voxels()
    measured = next(r.dsc for r in results if (r.epochs, r.subject, r.structure) == (3, "case_0", "liver"))
    assert 2 * (mask & reference).sum() / (mask.sum() + reference.sum()) == pytest.approx(measured, abs=1e-5)


def test_after_a_stop_only_what_is_missing_is_made_and_it_is_the_same(a_source, tmp_path):
    sources = [a_source(number) for number in range(4)]
    options = SegmentationOptions(**{**vars(SMALL), "epochs": (1, 3), "dropout": 0.3})
    train_segmenters(sources, tmp_path, options, say=lambda _: None)
    last, first = tmp_path / "epoch_0003" / "case_1.nii.gz", tmp_path / "epoch_0001" / "case_1.nii.gz"
    before, kept = np.asarray(nibabel.load(last).dataobj).copy(), first.stat().st_mtime_ns
    last.unlink()
    for path in (tmp_path / "networks").glob("*/epoch_0003.*"):
        path.unlink()
    train_segmenters(sources, tmp_path, options, say=lambda _: None)
    np.testing.assert_array_equal(np.asarray(nibabel.load(last).dataobj), before)
    assert first.stat().st_mtime_ns == kept


def test_what_is_complete_is_not_even_loaded_and_stages_can_be_added(a_source, tmp_path):
    sources = [a_source(number) for number in range(4)]
    train_segmenters(sources, tmp_path, SMALL, say=lambda _: None)

    def refuse():
        raise AssertionError("nothing is to be done")

    unloadable = [source(one.name, refuse) for one in sources]
    assert len(train_segmenters(unloadable, tmp_path, SMALL, say=lambda _: None)) == 6
    more = SegmentationOptions(**{**vars(SMALL), "epochs": (1, 2)})
    results = train_segmenters(sources, tmp_path, more, say=lambda _: None)
    assert {row.epochs for row in results} == {1, 2}


def first_of_fold_0(folder):
    return next(n for n, fold in json.loads((folder / "folds.json").read_text())["fold_of"].items() if fold == 0)


def test_a_damaged_network_file_is_named_and_trained_again(a_source, tmp_path):
    sources = [a_source(number) for number in range(2)]
    train_segmenters(sources, tmp_path, SMALL, say=lambda _: None)
    network = tmp_path / "networks" / "fold_0" / "epoch_0001.safetensors"
    network.write_bytes(b"half")
    (tmp_path / "epoch_0001" / f"{first_of_fold_0(tmp_path)}.nii.gz").unlink()
    told = []
    train_segmenters(sources, tmp_path, SMALL, say=told.append)
    assert any(str(network) in line for line in told)
    assert network.stat().st_size > 1000


def test_a_write_that_fails_leaves_no_half_file(a_source, tmp_path, monkeypatch):
    def full(image, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(nibabel, "save", full)
    with pytest.raises(InputError, match="No space left"):
        train_segmenters([a_source(0), a_source(1)], tmp_path, SMALL, say=lambda _: None)
    assert [p.name for p in (tmp_path / "epoch_0001").iterdir()] == ["labels.json"]


def test_other_options_need_another_folder(a_source, tmp_path):
    sources = [a_source(number) for number in range(2)]
    train_segmenters(sources, tmp_path, SMALL, say=lambda _: None)
    other = SegmentationOptions(**{**vars(SMALL), "steps": 3})
    with pytest.raises(UsageError, match="was made with steps 2, not 3; choose another folder"):
        train_segmenters(sources, tmp_path, other, say=lambda _: None)
    with pytest.raises(UsageError, match="was made with .* choose another folder"):
        train_segmenters([*sources, a_source(2)], tmp_path, SMALL, say=lambda _: None)


def test_requests_that_make_no_sense_are_refused(a_source, tmp_path):
    for epochs in ((), (2, 1), (0, 1)):
        with pytest.raises(UsageError, match="epochs"):
            SegmentationOptions(epochs=epochs)
    with pytest.raises(UsageError, match="folds"):
        SegmentationOptions(folds=1)
    wrong = {"steps": 0, "seed": -1, "pixel_mm": 0.0, "learning_rate": float("nan"), "size": 30}
    for name, value in wrong.items():
        with pytest.raises(UsageError, match=f"{name} is {value}"):
            SegmentationOptions(**{name: value})
    sources, quiet = [a_source(number) for number in range(2)], {"say": lambda _: None}
    with pytest.raises(ModelError, match="--device toaster.*give cpu"):
        train_segmenters(sources, tmp_path / "out", SMALL, device="toaster", **quiet)
    assert not (tmp_path / "out").exists()  # the next try is not refused for this one's options
    with pytest.raises(UsageError, match="as many patients"):
        train_segmenters([a_source(0, "same"), a_source(1, "same")], tmp_path, SMALL)


def test_a_subject_that_cannot_be_read_is_named_and_left_out(a_source, tmp_path):
    def damaged():
        raise InputError("case_9/ct.nii.gz: is damaged; copy it again")

    told = []
    sources = [*(a_source(number) for number in range(4)), source("case_9", damaged)]
    results = train_segmenters(sources, tmp_path, SMALL, say=told.append)
    assert "case_9" not in {row.subject for row in results}
    assert any("case_9" in line and "left out" in line for line in told)


def test_a_structure_that_a_network_was_never_shown_is_not_predicted_by_it(a_source, tmp_path):
    train_segmenters([a_source(0), a_source(1)], tmp_path, SMALL, say=lambda _: None)  # only 0 has a spleen
    values = json.loads((tmp_path / "epoch_0001" / "labels.json").read_text())["labels"]
    assert set(values) == {"background", "liver", "spleen"}
    assert values["spleen"] not in np.unique(nibabel.load(tmp_path / "epoch_0001" / "case_0.nii.gz").dataobj)


def test_a_structure_that_nobody_contoured_is_not_background():
    labels = torch.zeros(2, 4, 4, dtype=torch.long)
    labels[:, 0, 0] = 1
    logits = torch.full((2, 3, 4, 4), -10.0)
    logits[:, 2] = 10.0  # says structure 2 everywhere ...
    logits[:, 2, 0, 0], logits[:, 1, 0, 0] = -10.0, 10.0  # ... but where structure 1 was drawn
    without = torch.tensor([[True, True, False]] * 2)
    assert partial_label_loss(logits, labels, without) < 1e-3
    everything = torch.ones(2, 3, dtype=torch.bool)
    assert partial_label_loss(logits, labels, everything) > 10
    mixed = torch.tensor([[True, True, False], [True, True, True]])
    logits.requires_grad_()
    partial_label_loss(logits, labels, mixed).backward()
    assert logits.grad[0].abs().max() < 1e-3
    assert logits.grad[1].abs().max() > 1e-2


@pytest.mark.parametrize(("size", "pixel_mm"), [(64, 5.0), (96, 6.0), (40, 4.0)])
def test_the_field_of_view_leads_there_and_back(a_ct_with_a_liver, a_torso, size, pixel_mm):
    ct, _ = a_ct_with_a_liver
    field = Field.on_body(ct, size, pixel_mm)
    seen = field.look_at_labels(a_torso.labels, field.slices)
    assert field.look(ct, field.slices).shape == seen.shape == (20, size, size)
    back = np.zeros_like(a_torso.labels)
    onehot = torch.nn.functional.one_hot(torch.from_numpy(seen).long(), 3).permute(0, 3, 1, 2).float()
    placed, rows, columns = field.put_back(onehot, back.shape[1:])
    back[field.slices, rows, columns] = placed.argmax(dim=1).byte().numpy()
    inside = field.look_at_labels(np.ones_like(a_torso.labels), field.slices)
    if size * pixel_mm > 300:  # all of the CT is in the field, and there is a margin of air
        assert np.mean(back == a_torso.labels) > 0.99
        assert not inside[:, 0].any()
        assert (field.look(ct, field.slices)[:, 0] == -1024).all()
    else:
        rows = slice(int(np.ceil(field.start[0])), int(field.start[0] + field.length[0]))
        columns = slice(int(np.ceil(field.start[1])), int(field.start[1] + field.length[1]))
        assert np.mean(back[:, rows, columns] == a_torso.labels[:, rows, columns]) > 0.97
        assert not back[:, :, : columns.start - 1].any()


def test_the_command_trains_on_a_folder_of_cases_and_prints_a_table(a_torso, tmp_path, capsys):
    for number in range(2):
        folder = tmp_path / "data" / f"case_{number}"
        folder.mkdir(parents=True)
        for name, array in (("ct", a_torso.hu), ("seg", a_torso.labels)):
            image = nibabel.Nifti1Image(np.ascontiguousarray(array.T), a_torso.ijk_to_ras)
            nibabel.save(image, folder / f"{name}.nii.gz")
    (tmp_path / "data" / "labels.json").write_text('{"labels": {"background": 0, "liver": 1, "spleen": 2}}')
    arguments = ["train-segmenters", "--data", tmp_path / "data", "--out", tmp_path / "out", "--epochs", 1, 2]
    arguments += ["--steps", 1, "--size", 32, "--pixel-mm", 9]
    assert main([str(a) for a in arguments]) == 0
    printed = capsys.readouterr().out
    assert "liver" in printed and "spleen" in printed
    assert len(list((tmp_path / "out").glob("epoch_000?/case_?.nii.gz"))) == 4


def test_the_command_reads_what_nnunet_does_and_never_splits_a_person(a_torso, tmp_path, capsys):
    for case in ("AutoPET_0a_1", "AutoPET_0a_2", "AutoPET_0b_1", "AutoPET_0b_2"):
        for path, array in (("imagesTr/{}_0000", a_torso.hu), ("labelsTr/{}", np.where(a_torso.labels == 1, 13, 0))):
            file = tmp_path / "data" / f"{path.format(case)}.nii.gz"
            file.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(array.T.astype(np.int16)), a_torso.ijk_to_ras), file)
    arguments = ["train-segmenters", "--data", tmp_path / "data", "--out", tmp_path / "out", "--epochs", 1]
    arguments += ["--steps", 1, "--size", 32, "--pixel-mm", 9, "--names", "dap", "--person", "AutoPET_([0-9a-f]+)"]
    assert main([str(a) for a in arguments]) == 0
    assert "liver" in capsys.readouterr().out
    fold = json.loads((tmp_path / "out" / "folds.json").read_text())["fold_of"]
    assert fold["AutoPET_0a_1"] == fold["AutoPET_0a_2"] != fold["AutoPET_0b_1"] == fold["AutoPET_0b_2"]


def test_a_damaged_record_is_named_and_its_prediction_made_again(a_source, tmp_path):
    sources = [a_source(number) for number in range(2)]
    results = train_segmenters(sources, tmp_path, SMALL, say=lambda _: None)
    record = next((tmp_path / "items").glob("epoch_0001%2Fcase_0*"))
    for content in (b"", b"half a line", record.read_bytes()[:-9]):
        record.write_bytes(content)
        told = []
        assert train_segmenters(sources, tmp_path, SMALL, say=told.append) == results
        assert any(str(record) in line for line in told) and not any("\n" in line for line in told)


def test_two_runs_never_write_into_one_folder(a_source, tmp_path):
    with Run(tmp_path, FOLDS), pytest.raises(UsageError, match="another folds run is writing there"):
        train_segmenters([a_source(0), a_source(1)], tmp_path, SMALL, say=lambda _: None)


def test_error_makers_write_probabilities_where_asked(a_source, tmp_path):
    sources = [a_source(number) for number in range(2)]
    train_segmenters(sources, tmp_path, SMALL, say=lambda _: None, probabilities=True)
    read = read_probabilities(tmp_path / "probabilities" / "case_0.npz", sources[0].read().ct)
    assert read.classes == ("background", "liver", "spleen")
