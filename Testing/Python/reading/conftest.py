"""Writing the synthetic case in the forms that the readers must understand."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk


def write_volume(path: Path, voxels: np.ndarray, ijk_to_ras: np.ndarray) -> Path:
    """Write ``[K, J, I]`` as NIfTI, NRRD or MetaImage, by the suffix."""
    if path.name.endswith((".nii", ".nii.gz")):
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(voxels.T), ijk_to_ras), path)
        return path
    image = sitk.GetImageFromArray(np.ascontiguousarray(voxels))
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijk_to_ras
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    sitk.WriteImage(image, str(path), useCompression=True)
    return path


@pytest.fixture(name="write_volume", scope="session")
def a_volume_writer():
    """``write_volume(path, voxels [K, J, I], ijk_to_ras)``."""
    return write_volume


def write_series(folder: Path, hu: np.ndarray, ijk_to_ras: np.ndarray, **changes) -> list[Path]:
    """Write a CT as a DICOM series with stored values 1024 above HU; ``changes`` are set on every file."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijk_to_ras
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    series, study, frame = (changes.pop(k, generate_uid()) for k in ("series", "study", "frame"))
    paths = []
    for k, plane in enumerate(hu):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        # Names and instance numbers run against the position: only the position may count.
        path = folder / f"{len(hu) - k:03d}.dcm"
        file = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
        file.SOPClassUID, file.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        file.PatientID, file.PatientName, file.StudyDate, file.StudyTime = "1", "Phantom^", "20260101", "000000"
        file.PatientBirthDate = file.PatientSex = file.AccessionNumber = file.StudyID = ""
        file.Modality, file.SeriesInstanceUID, file.StudyInstanceUID = "CT", series, study
        file.FrameOfReferenceUID, file.SeriesNumber, file.InstanceNumber = frame, 1, len(hu) - k
        file.ImagePositionPatient = [f"{v:.6g}" for v in (lps @ [0, 0, k, 1])[:3]]
        file.ImageOrientationPatient = [f"{v:.6g}" for v in (*lps[:3, 0] / spacing[0], *lps[:3, 1] / spacing[1])]
        file.PixelSpacing, file.SliceThickness = [f"{spacing[1]:.6g}", f"{spacing[0]:.6g}"], f"{spacing[2]:.6g}"
        file.Rows, file.Columns, file.SamplesPerPixel = *plane.shape, 1
        file.PhotometricInterpretation = "MONOCHROME2"
        file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 16, 15, 0
        file.RescaleIntercept, file.RescaleSlope = "-1024", "1"
        file.PixelData = (plane.astype(np.int32) + 1024).astype(np.uint16).tobytes()
        for keyword, value in changes.items():
            setattr(file, keyword, value)
        file.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


@pytest.fixture(name="write_series", scope="session")
def a_series_writer():
    """``write_series(folder, hu [K, J, I], ijk_to_ras, **DICOM keywords)``: paths in ascending k."""
    pytest.importorskip("pydicom")
    return write_series


@pytest.fixture
def a_ct(a_torso, tmp_path):
    """The synthetic case's CT, read from a NIfTI file."""
    from QualitySentinelLib.reading import read_ct

    return read_ct(write_volume(tmp_path / "the_ct.nii.gz", a_torso.hu, a_torso.ijk_to_ras))
