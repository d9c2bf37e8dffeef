"""A data set of torsos whose label errors are known, and probabilities of a network that is right."""

from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest

from QualitySentinelLib.volume import AxialFrame
from QualitySentinelTrainingLib.segmentation.probabilities import write_names, write_probabilities

CLASSES = ("background", "liver", "spleen")


def write_nifti(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(values.T), affine), path)


@pytest.fixture
def torsos(a_torso, tmp_path):
    """``torsos(count)``: folders of cases in ``.data``, ``.probabilities``, the ``.truth`` and each case's ``.given``.

    Of case 1 a part of the liver is missing, something beside the spleen is wrongly included, and a part of the spleen
    is called liver.
    """

    def make(count=3):
        truth, rng = a_torso.labels, np.random.default_rng(0)
        frame = AxialFrame.from_affine(a_torso.ijk_to_ras, truth.shape)
        given = {f"case_{n}": truth.copy() for n in range(count)}
        if count > 1:
            wrong = given["case_1"]
            k, j, _ = np.argwhere(truth == 1).mean(axis=0).astype(int)
            wrong[k : k + 3, j:][truth[k : k + 3, j:] == 1] = 0
            k, j, _ = np.argwhere(truth == 2).mean(axis=0).astype(int)
            wrong[k, :j][truth[k, :j] == 2] = 1
            wrong[k + 2, j - 2 : j + 2, 28:30] = 2
        for name, labels in given.items():
            folder = tmp_path / "data" / name
            hu = a_torso.hu + rng.integers(-20, 20, truth.shape).astype(np.int16)
            write_nifti(folder / "ct.nii.gz", hu, a_torso.ijk_to_ras)
            write_nifti(folder / "seg.nii.gz", labels, a_torso.ijk_to_ras)
            sure = np.eye(3, dtype=np.float32)[truth].transpose(3, 0, 1, 2)
            write_probabilities(tmp_path / "probabilities" / f"{name}.npz", 0.91 * sure + 0.03, frame)
        write_names(tmp_path / "data", CLASSES)
        write_names(tmp_path / "probabilities", CLASSES)
        return SimpleNamespace(
            data=tmp_path / "data", probabilities=tmp_path / "probabilities", out=tmp_path / "out", truth=truth,
            given=given, frame=frame,
        )  # fmt: skip

    return make
