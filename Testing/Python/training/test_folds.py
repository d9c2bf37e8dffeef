"""Who is tested together: no patient is ever in two folds, and who is trained on is not tested on."""

import numpy as np
import pytest

from QualitySentinelLib.datasets.folds import FOLDS, fold_of
from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.slices import COMPACT
from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelTrainingLib.candidates import simulated_candidates
from QualitySentinelTrainingLib.commands.train import outside_fold
from QualitySentinelTrainingLib.pairs import make_pairs, write_pairs
from QualitySentinelTrainingLib.subjects import Subject


def test_every_source_spreads_evenly_over_the_folds():
    folds = fold_of({f"pt_{n}": "OpenKBP" for n in range(1, 41)} | {f"s{n}": "Other" for n in range(7)})
    assert set(folds.values()) == set(range(FOLDS))
    counts = np.bincount([folds[f"pt_{n}"] for n in range(1, 41)])
    assert counts.tolist() == [8] * FOLDS
    assert np.ptp(np.bincount([folds[f"s{n}"] for n in range(7)], minlength=FOLDS)) <= 1


def test_folds_do_not_depend_on_other_sources_or_on_the_order():
    alone = fold_of({f"pt_{n}": "OpenKBP" for n in range(1, 12)})
    others = {"x": "Other"} | {f"pt_{n}": "OpenKBP" for n in range(11, 0, -1)} | {"y": "Other"}
    assert {name: fold for name, fold in fold_of(others).items() if name in alone} == alone


def test_a_synthetic_subject_is_in_the_fold_of_its_person():
    assert fold_of({"a": "Real", "b": "Real"}) == fold_of({"a": "Real, synthetic", "b": "Real"})


@pytest.fixture
def files(a_torso, tmp_path):
    """Pair files of five persons, a synthetic subject of the first, and a phantom."""
    frame = AxialFrame.from_affine(a_torso.ijk_to_ras, a_torso.hu.shape)
    owners = {f"p{n}": (f"p{n}", "Real") for n in range(5)}
    owners |= {"p0_synthetic_0": ("p0", "Real, synthetic"), "phantom_0": ("phantom_0", "phantom")}
    for name, (patient, source) in owners.items():
        subject = Subject(name, CtVolume(a_torso.hu, frame), a_torso.labels, a_torso.names, source, patient)
        rng = np.random.default_rng(0)
        write_pairs(
            make_pairs(subject, simulated_candidates(subject, rng, 1), rng, COMPACT, 1), tmp_path / f"{name}.pairs.h5",
            COMPACT,
        )  # fmt: skip
    return sorted(tmp_path.iterdir())


def test_a_fold_leaves_out_its_persons_with_all_that_was_made_of_them_but_no_phantom(files):
    everybody = set()
    for fold in range(FOLDS):
        chosen, left_out = outside_fold(files, fold)
        assert len(left_out) == 1
        everybody |= set(left_out)
        names = {path.name.removesuffix(".pairs.h5") for path in chosen}
        assert "phantom_0" in names
        assert not names & {name for name in ("p0", "p0_synthetic_0", "p1", "p2", "p3", "p4") if name[:2] in left_out}
        assert len(names) == 7 - (2 if left_out == ["p0"] else 1)
    assert everybody == {f"p{n}" for n in range(5)}


def test_a_damaged_file_is_left_to_the_training_to_name(files):
    files[-1].write_bytes(b"")
    assert files[-1] in outside_fold(files, 0)[0]


def test_a_fold_that_does_not_exist_is_refused(files):
    with pytest.raises(UsageError, match="--fold 5"):
        outside_fold(files, 5)
    empty = next(n for n in range(9) if n not in fold_of({f"p{n}": "Real" for n in range(5)}, 9).values())
    with pytest.raises(UsageError, match="none of the 5 patients"):
        outside_fold(files, empty, 9)
