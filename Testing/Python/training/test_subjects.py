"""Who is trained on, and who is tested on."""

from QualitySentinelLib.commands.main import main
from QualitySentinelTrainingLib.commands.train import PHANTOM_SEEDS, VALIDATION_SHARE, _fitting
from QualitySentinelTrainingLib.phantom import FIRST_UNSEEN_SEED
from QualitySentinelTrainingLib.subjects import openkbp_folders, read_openkbp


def test_no_subject_is_both_trained_and_tested_on(tmp_path):
    for number in range(1, 41):
        (tmp_path / f"pt_{number}").mkdir()
    train, test = openkbp_folders(tmp_path, "train"), openkbp_folders(tmp_path, "test")
    assert len(test) == 8
    assert not set(train) & set(test)
    assert len(train) + len(test) == 40
    fitting, validation = _fitting(train), train[::VALIDATION_SHARE]
    assert not set(fitting) & set(validation)
    assert len(fitting) + len(validation) == len(train)


def test_no_phantom_is_in_two_parts():
    seeds = [seed for part in PHANTOM_SEEDS.values() for seed in part]
    assert len(seeds) == len(set(seeds))
    assert min(PHANTOM_SEEDS["test"]) >= FIRST_UNSEEN_SEED


def test_a_real_subject_is_read_with_its_structures(shared):
    subject = read_openkbp(openkbp_folders(shared / "data" / "openkbp", "test")[0])
    assert set(subject.structures.values()) <= {
        "brainstem", "spinal cord", "parotid gland right", "parotid gland left", "esophagus", "larynx", "mandible",
    }  # fmt: skip
    assert len(subject.structures) >= 3
    for value in subject.structures:
        assert (subject.labels == value).any()


def test_a_folder_without_subjects_is_refused_in_one_line(tmp_path, capsys):
    code = main(["train", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert code == 3
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "openkbp" in lines[0]
    assert "--data" in lines[0]
