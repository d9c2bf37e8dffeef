"""Class probabilities: of networks in 2D and 3D that never saw the patient, and of other programs' files."""

import pickle
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelTrainingLib.segmentation.folds import out_of_fold
from QualitySentinelTrainingLib.segmentation.network import SegmentationNetwork
from QualitySentinelTrainingLib.segmentation.options import SegmentationOptions
from QualitySentinelTrainingLib.segmentation.probabilities import read_probabilities, write_names, write_probabilities
from QualitySentinelTrainingLib.segmentation.training import train
from QualitySentinelTrainingLib.subjects import Subject, SubjectSource

TINY = SegmentationOptions(
    epochs=(1,), size=32, pixel_mm=9.0, slice_mm=5.0, depth=8, steps=2, batch_size=4, widths=(8, 16, 16), seed=3
)
CLASSES = ("background", "liver", "spleen")


@pytest.fixture
def sources(a_torso):
    """Four torsos of two patients."""

    def read(number):
        hu = a_torso.hu + np.random.default_rng(number).integers(-20, 20, a_torso.hu.shape).astype(np.int16)
        frame = AxialFrame.from_affine(a_torso.ijk_to_ras, hu.shape)
        ct = CtVolume(hu, frame, f"case_{number}")
        return Subject(f"case_{number}", ct, a_torso.labels, dict(a_torso.names), patient=f"patient_{number // 2}")

    return [SubjectSource(f"case_{n}", f"patient_{n // 2}", "torsos", lambda n=n: read(n)) for n in range(4)]


def quiet(_):
    pass


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_trained_network_finds_the_liver(sources, tmp_path, dimensions):
    options = replace(TINY, dimensions=dimensions, steps=60, learning_rate=5e-3)
    network = train(sources[:2], tmp_path, options, "cpu", quiet)
    subject = sources[2].read()
    probabilities = network.predict_probabilities(subject.ct)
    assert probabilities.shape == (3, *subject.labels.shape) and network.classes == CLASSES
    assert probabilities.astype(np.float32).sum(axis=0) == pytest.approx(1, abs=2e-3)
    found, liver = probabilities[1] > 0.5, subject.labels == 1
    assert 2 * (found & liver).sum() / (found.sum() + liver.sum()) > 0.6
    assert (network.predict_labels(subject.ct) == probabilities.argmax(axis=0)).mean() > 0.999


@pytest.mark.parametrize("dimensions", [2, 3])
def test_lower_resolutions_and_dropout_disagree_with_the_full_one(sources, tmp_path, dimensions):
    options = replace(
        TINY, dimensions=dimensions, widths=(4, 4, 8, 8), deep_supervision=True, dropout=0.5, steps=1, batch_size=2
    )
    network = train(sources[:1], tmp_path, options, "cpu", quiet)
    ct = sources[2].read().ct
    slab = network.predict_levels(ct, (0, 1, 2))
    assert options.levels == 3 and slab.shape == (3, 3, *ct.frame.shape)
    assert slab.sum(axis=1) == pytest.approx(1, abs=1e-2)
    assert np.abs(slab[0] - slab[1]).max() > 1e-3 and np.abs(slab[1] - slab[2]).max() > 1e-3
    plain, one, again, other = (network.predict_probabilities(ct, dropout_seed=seed) for seed in (None, 1, 1, 2))
    assert one == pytest.approx(again, abs=1e-3)
    assert np.abs(one - plain).max() > 1e-2 and np.abs(one - other).max() > 1e-2


def test_a_network_is_the_same_when_it_is_loaded(sources, tmp_path):
    network = train(sources[:1], tmp_path, TINY, "cpu", quiet)
    ct = sources[1].read().ct
    loaded = SegmentationNetwork.load(tmp_path / "epoch_0001.safetensors")
    assert loaded.classes == CLASSES and loaded.options.shaping() == TINY.shaping()
    assert loaded.predict_probabilities(ct) == pytest.approx(network.predict_probabilities(ct), abs=1e-3)
    (tmp_path / "epoch_0001.safetensors").write_bytes(b"half")
    with pytest.raises(InputError, match="epoch_0001.safetensors: is not a segmentation network .*train it again"):
        SegmentationNetwork.load(tmp_path / "epoch_0001.safetensors")


def test_everybody_is_predicted_by_a_network_that_never_saw_the_patient_and_only_once(sources, tmp_path):
    told = []
    written = out_of_fold(sources, tmp_path, TINY, device="cpu", say=told.append)
    assert sorted(written) == [source.name for source in sources] and len(told) == 2
    for source in sources:
        read = read_probabilities(written[source.name], source.read().ct)
        assert read.classes == CLASSES and read.values.shape[1:] == source.read().labels.shape
    before = {path: path.stat().st_mtime_ns for path in written.values()}
    written["case_2"].unlink()
    assert out_of_fold(sources, tmp_path, TINY, device="cpu", say=quiet) == written
    assert [path.name for path, time in before.items() if path.stat().st_mtime_ns != time] == ["case_2.npz"]
    with pytest.raises(UsageError, match="was made with dimensions 2, not 3"):
        out_of_fold(sources, tmp_path, replace(TINY, dimensions=3), device="cpu", say=quiet)


def test_slices_without_a_body_and_what_lies_outside_the_field_are_background(sources):
    ct = sources[0].read().ct
    hu = ct.hu.copy()
    hu[:3] = -1000
    network = SegmentationNetwork(replace(TINY, size=16), CLASSES)
    probabilities = network.predict_probabilities(CtVolume(hu, ct.frame, "ct"))
    assert (probabilities[0, :3] == 1).all() and (probabilities[0, :, 0] == 1).all()
    assert probabilities[0, 10, 16, 24] < 1


def test_classes_that_a_network_was_never_shown_have_probability_0(sources):
    network = SegmentationNetwork(TINY, CLASSES, learned=np.array([True, False, True]))
    probabilities = network.predict_probabilities(sources[0].read().ct)
    assert not probabilities[1].any() and probabilities[2].any()
    assert probabilities.astype(np.float32).sum(axis=0) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"dimensions": 4}, "dimensions is 4: input should be 2 or 3"), ({"dropout": 1.0}, "dropout is 1.0"),
     ({"dimensions": 3, "depth": 6}, "depth is 6: give a multiple of 4"),
     ({"deep_supervision": True, "widths": (8, 16)}, "widths")],
)  # fmt: skip
def test_options_that_make_no_network_are_refused(changed, said):
    with pytest.raises(UsageError, match=said):
        replace(TINY, **changed)


# ------------------------------------------------------------------------------------------------ files
@pytest.fixture
def a_turned_ct(a_torso):
    """The torso in a file whose axes run otherwise: stored sagittally, and from left to right."""
    to_ras = a_torso.ijk_to_ras @ np.array([[0, 0, -1, 47], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])
    stored = np.transpose(a_torso.hu[:, :, ::-1], (2, 0, 1))
    frame = AxialFrame.from_affine(to_ras, stored.shape)
    assert np.array_equal(frame.to_canonical(stored), a_torso.hu)
    return CtVolume(np.ascontiguousarray(a_torso.hu), frame, "turned")


@pytest.fixture
def expected(a_torso):
    """Probabilities of a network that is nearly sure, float32 ``[3, k, j, i]``."""
    sure = np.eye(3, dtype=np.float32)[a_torso.labels].transpose(3, 0, 1, 2)
    return 0.9 * sure + 0.1 / 3


def nifti(path, values, ct):
    """Write ``[k, j, i]`` or a list of them, as a 4D image, as the CT's file has its voxels."""
    layers = [ct.frame.to_file(v).transpose() for v in (values if values.ndim == 4 else values[None])]
    voxels = np.stack(layers, axis=-1) if values.ndim == 4 else layers[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(voxels), ct.frame.file_ijk_to_ras), path)
    return path


def test_ours_and_nnunets_are_read_and_no_pickle_is_opened(a_turned_ct, expected, tmp_path):
    path = tmp_path / "case.npz"
    write_probabilities(path, expected, a_turned_ct.frame)
    write_names(tmp_path, CLASSES)
    (tmp_path / "case.pkl").write_bytes(b"\x80\x04cos\nabort\n(tR.")
    nifti(tmp_path / "case.nii.gz", expected.argmax(axis=0).astype(np.uint8), a_turned_ct)
    read = read_probabilities(path, a_turned_ct)
    assert read.classes == CLASSES and read.values == pytest.approx(expected, abs=1e-3)
    nifti(tmp_path / "case.nii.gz", expected.argmax(axis=0)[:, :, ::-1].astype(np.uint8), a_turned_ct)
    with pytest.raises(InputError, match="case.npz: does not agree with case.nii.gz beside it"):
        read_probabilities(path, a_turned_ct)


def test_voxels_that_an_older_nnunet_left_empty_are_background(a_turned_ct, expected, tmp_path):
    cropped = expected.copy()
    cropped[:, :2] = 0
    write_probabilities(tmp_path / "case.npz", cropped, a_turned_ct.frame)
    read = read_probabilities(tmp_path / "case.npz", a_turned_ct)
    assert (read.values[0, :2] == 1).all() and (read.values[1:, :2] == 0).all()
    assert read.classes == ("background", "class 1", "class 2")


def test_a_4d_image_and_the_foreground_alone_are_read(a_turned_ct, expected, tmp_path):
    read = read_probabilities(nifti(tmp_path / "case.nii.gz", expected, a_turned_ct), a_turned_ct)
    assert len(read.classes) == 3 and read.values == pytest.approx(expected, abs=1e-6)
    read = read_probabilities(nifti(tmp_path / "liver.nii.gz", expected[1], a_turned_ct), a_turned_ct)
    assert read.values == pytest.approx(np.stack([1 - expected[1], expected[1]]), abs=1e-6)


@pytest.mark.parametrize("with_background", [True, False])
def test_a_folder_of_classes_is_read(a_turned_ct, expected, tmp_path, with_background):
    for name, one in zip(CLASSES, expected, strict=True):
        if with_background or name != "background":
            nifti(tmp_path / "case" / f"{name}.nii.gz", one, a_turned_ct)
    read = read_probabilities(tmp_path / "case", a_turned_ct)
    assert read.classes == CLASSES and read.values == pytest.approx(expected, abs=1e-6)
    for name in CLASSES[1:]:
        (tmp_path / "case" / f"{name}.nii.gz").unlink()
    with pytest.raises(InputError, match="case: holds no image of a structure"):
        read_probabilities(tmp_path / "case", a_turned_ct)


def test_what_is_no_probability_of_the_ct_is_refused_in_one_line(a_turned_ct, expected, tmp_path):
    def refused(values, ct=a_turned_ct, name="case.npz"):
        path = tmp_path / name
        if callable(values):
            values(path)
        elif name.endswith(".npz"):
            write_probabilities(path, values, ct.frame)
        else:
            nifti(path, values, ct)
        with pytest.raises(InputError) as error:
            read_probabilities(path, a_turned_ct)
        assert "\n" not in str(error.value) and name in str(error.value)
        return str(error.value)

    assert "not to 1; give softmax" in refused(expected * 3)
    assert "not to 1; give softmax" in refused(expected * np.nan)
    assert "not to 1; give softmax" in refused(expected * 20 - 10)
    assert "holds 3 x 20 x 32 x 48 values" in refused(lambda path: np.savez(path, probabilities=expected))
    assert "damaged" in refused(lambda path: path.write_bytes(b"PK half"))
    assert "damaged" in refused(lambda path: np.savez(path, a=np.array([{}], object)))
    assert "damaged" in refused(lambda path: path.write_bytes(pickle.dumps(expected[0, 0])))
    assert "no array called probabilities" in refused(lambda path: np.savez(path, a=expected, b=expected))
    moved = a_turned_ct.frame.file_ijk_to_ras.copy()
    moved[:3, 3] += 20
    elsewhere = CtVolume(a_turned_ct.hu, AxialFrame.from_affine(moved, (48, 20, 32)), "moved")
    assert "do not lie on those of the CT" in refused(expected, elsewhere, name="case.nii.gz")
    with pytest.raises(InputError, match="nobody.npz: no such file"):
        read_probabilities(tmp_path / "nobody.npz", a_turned_ct)


def test_a_label_that_is_not_trusted_teaches_nothing(sources, tmp_path):
    def read(trust):
        subject = sources[0].read()
        wrong = np.where(subject.labels == 1, 2, subject.labels)  # the liver is called spleen
        both = {1: "liver", 2: "spleen"}
        return replace(subject, name="wrong", labels=wrong.astype(np.uint8), structures=both, patient="p", trust=trust)

    def found(trust, folder):
        wrong = [SubjectSource(f"wrong_{n}", "p", "torsos", lambda: read(trust)) for n in range(3)]
        options = replace(TINY, steps=60, learning_rate=5e-3)
        network = train([sources[2], *wrong], tmp_path / folder, options, "cpu", quiet)
        subject = sources[2].read()
        return np.mean(network.predict_labels(subject.ct)[subject.labels == 1] == 1)

    nowhere = np.zeros(len(sources[0].read().labels))
    assert found({1: nowhere, 2: nowhere}, "distrusted") > 0.6 > 0.4 > found({}, "trusted")
    unused = SubjectSource("wrong", "p", "torsos", lambda: read({1: nowhere, 2: nowhere}))
    with pytest.raises(InputError, match="no label is trusted"):
        train([unused], tmp_path, TINY, "cpu", quiet)
