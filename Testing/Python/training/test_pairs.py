"""Pairs of network input and true DSC, in memory and on disk."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.scorer.plan import empty_slices
from QualitySentinelLib.slices import COMPACT, PUBLISHED
from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelLib.volume.segmentation import segment_from_mask
from QualitySentinelTrainingLib.candidates import (
    Candidate,
    candidates_of_the_other_side,
    candidates_with_removed_slices,
    simulated_candidates,
)
from QualitySentinelTrainingLib.pairs import PairFile, make_pairs, pair_files, quantised, restored, write_pairs
from QualitySentinelTrainingLib.pairs.columns import channels_for
from QualitySentinelTrainingLib.subjects import Subject


@pytest.fixture(scope="module")
def a_subject(a_torso):
    frame = AxialFrame.from_affine(a_torso.ijk_to_ras, a_torso.hu.shape)
    return Subject("torso", CtVolume(a_torso.hu, frame), a_torso.labels, a_torso.names, "phantom")


def pairs_of(subject, masks=30, seed=0, **options):
    rng = np.random.default_rng(seed)
    return make_pairs(subject, simulated_candidates(subject, rng, masks), rng, COMPACT, **options)


@pytest.fixture(scope="module")
def some_pairs(a_subject):
    return pairs_of(a_subject, slices_per_mask=3, empty_per_mask=2, pretended_per_mask=1)


def test_pairs_cover_good_and_bad_masks_of_every_structure(some_pairs):
    assert set(some_pairs.structure) == {"liver", "spleen"}
    assert (some_pairs.dsc == 1.0).any()
    assert (some_pairs.dsc < 0.5).any()
    assert ((some_pairs.dsc >= 0) & (some_pairs.dsc <= 1)).all()
    assert set(some_pairs.subject) == {"torso"} and set(some_pairs.source) == {"phantom"}


def test_a_perfect_mask_has_dsc_one(some_pairs):
    perfect = (some_pairs.kind == "none") & (some_pairs.area > 0)
    assert perfect.any()
    assert (some_pairs.dsc[perfect] == 1.0).all()
    assert (some_pairs.volume_dsc[perfect] == 1.0).all()


def test_the_mask_channel_shows_the_corrupted_mask_and_the_reference_the_right_one(some_pairs):
    side_mm = some_pairs.pixel_mm * COMPACT.size
    masked = some_pairs.area > 0
    for shares, voxels in (
        ((some_pairs.images[:, 2] / 127 / 2).mean(axis=(1, 2)), some_pairs.area),
        ((some_pairs.reference / 255).mean(axis=(1, 2)), some_pairs.reference_area),
    ):
        expected = voxels * 36.0 / side_mm**2  # 6 x 6 mm voxels
        within = (some_pairs.dsc > 0.7) & masked & (expected < 0.5)  # the reference may reach beyond the crop otherwise
        np.testing.assert_allclose(shares[within], expected[within], atol=0.02)
    perfect = (some_pairs.kind == "none") & masked
    np.testing.assert_allclose(some_pairs.images[perfect, 2] / 254, some_pairs.reference[perfect] / 255, atol=0.01)


def test_empty_slices_are_right_where_nothing_is_and_missed_where_the_structure_is(some_pairs):
    empty = some_pairs.area == 0
    there = some_pairs.reference_area > 0
    assert (some_pairs.dsc[empty & there] == 0).all() and (empty & there).any()
    assert (some_pairs.dsc[empty & ~there] == 1).all() and (empty & ~there).any()
    assert (some_pairs.images[empty, 2] == 0).all()  # no mask
    assert (some_pairs.images[empty, 3].max(axis=(1, 2)) > 0).all()  # but a neighbour's
    assert (some_pairs.images[~empty, 3] == 0).all()
    assert (some_pairs.gap_mm[empty] > 0).all() and (some_pairs.gap_mm[~empty] == 0).all()


def test_a_structure_of_one_slice_is_never_pretended_to_be_missed(a_subject):
    (value, *_), rng = a_subject.structures, np.random.default_rng(0)
    k = int(np.flatnonzero((a_subject.labels == value).any(axis=(1, 2)))[0])
    labels = np.zeros_like(a_subject.labels)
    labels[k] = np.where(a_subject.labels[k] == value, value, 0)
    alone = Candidate(value, labels[k : k + 1] == value, (k, 0, 0), "none")
    pairs = make_pairs(replace(a_subject, labels=labels), [alone], rng, COMPACT, 1, 0, pretended_per_mask=3)
    assert pairs.area.tolist() == [np.count_nonzero(alone.mask)]


def test_every_slice_of_a_mask_with_a_gap_is_asked_for(a_subject):
    value = next(v for v, name in a_subject.structures.items() if name == "liver")
    reference = a_subject.labels == value
    held = np.flatnonzero(reference.any(axis=(1, 2)))
    mask = reference.copy()
    mask[held[2]] = False
    pairs = make_pairs(
        a_subject, [Candidate(value, mask, (0, 0, 0), "gap")], np.random.default_rng(0), COMPACT, None, None
    )
    gap = (pairs.k == held[2]) & (pairs.area == 0)
    assert gap.sum() == 1 and pairs.inner[gap].all() and (pairs.dsc[gap] == 0).all()
    assert sorted(pairs.k[pairs.area > 0]) == sorted(set(held) - {held[2]})
    beyond = pairs.k[(pairs.area == 0) & ~pairs.inner]
    reach = int(10 // a_subject.ct.frame.spacing[0])
    assert beyond.min() == max(held[0] - reach, 0)
    assert beyond.max() == min(held[-1] + reach, reference.shape[0] - 1)


def test_the_empty_slices_are_those_that_inference_asks_for(a_subject, a_torso):
    """Also where the reach is a whole number of slices but for rounding."""
    thicker = np.diag([1.0, 1.0, 10.0 / 3 / a_subject.ct.frame.spacing[0], 1.0])
    frame = AxialFrame.from_affine(a_torso.ijk_to_ras @ thicker, a_torso.hu.shape)
    subject = replace(a_subject, ct=CtVolume(a_torso.hu, frame))
    (value, name), *_ = subject.structures.items()
    k = int(np.flatnonzero((subject.labels == value).any(axis=(1, 2)))[0])
    mask = subject.labels[k : k + 1] == value
    rng = np.random.default_rng(0)
    pairs = make_pairs(subject, [Candidate(value, mask, (k, 0, 0), "cut")], rng, COMPACT, None, None)
    segment = segment_from_mask(mask, (k, 0, 0), id="1", name=name)
    planned = empty_slices(segment.occupied_slices(), frame.shape[0], frame.spacing[0])
    assert pairs.k[pairs.area == 0].tolist() == list(planned)


def test_the_mask_of_the_other_side_is_no_part_of_the_structure(a_subject):
    """The torso's liver and spleen are called kidneys here: each gives the other's mask, DSC 0 in every slice."""
    kidneys = replace(a_subject, structures={1: "kidney left", 2: "kidney right"})
    left, right = candidates_of_the_other_side(kidneys)
    assert (left.value, right.value, left.kind) == (1, 2, "other side")
    pairs = make_pairs(kidneys, [left], np.random.default_rng(0), COMPACT, None, None)
    assert set(pairs.structure) == {"kidney left"}
    assert (pairs.dsc[pairs.area > 0] == 0).all() and pairs.area.sum() == (kidneys.labels == 2).sum()
    assert list(candidates_of_the_other_side(a_subject)) == []
    rng = np.random.default_rng(0)
    kinds = [c.kind for _ in range(20) for c in simulated_candidates(kidneys, rng, 2)]
    assert 0 < kinds.count("other side") < 12


def test_removed_slices_are_really_gone(a_subject):
    kinds = set()
    for candidate in candidates_with_removed_slices(a_subject, np.random.default_rng(0)):
        corner, shape = candidate.corner, candidate.mask.shape
        part = a_subject.labels[tuple(slice(c, c + n) for c, n in zip(corner, shape, strict=True))] == candidate.value
        lost = part.any(axis=(1, 2)) & ~candidate.mask.any(axis=(1, 2))
        held = np.flatnonzero(part.any(axis=(1, 2)))
        assert 1 <= lost.sum() <= 3 and not (candidate.mask & ~part).any()
        at_an_end = lost[held[0]] or lost[held[-1]]
        assert at_an_end == (candidate.kind == "removed end slices")
        kinds.add(candidate.kind)
    assert len(kinds) == 2


def test_the_same_seed_gives_the_same_pairs(a_subject):
    a, b = (pairs_of(a_subject, 2, seed=3) for _ in range(2))
    assert (a.images == b.images).all()
    assert (a.dsc == b.dsc).all()


def test_pairs_survive_the_file_and_each_can_be_read_alone(some_pairs, tmp_path):
    path = tmp_path / "torso.pairs.h5"
    write_pairs(some_pairs, path, COMPACT)
    (tmp_path / ".writing-x-torso.pairs.h5").write_bytes(b"half")  # of a run that was killed
    assert pair_files(tmp_path) == [path]
    file = PairFile(path)
    assert len(file) == len(some_pairs) and file.preset == COMPACT
    again = file.read()
    for name, values in vars(some_pairs).items():
        assert (getattr(again, name) == values).all()
        assert getattr(again, name).dtype.kind == values.dtype.kind
    images, reference, locator = file.pictures(5)
    assert (images == some_pairs.images[5]).all() and (reference == some_pairs.reference[5]).all()
    assert (locator == some_pairs.locator[5]).all()
    assert path.stat().st_size < 0.6 * (some_pairs.images.nbytes + some_pairs.reference.nbytes)


def test_a_file_of_before_0_2_is_read(some_pairs, tmp_path):
    """It calls the patient ``person``."""
    path = tmp_path / "torso.pairs.h5"
    write_pairs(some_pairs, path, COMPACT)
    with h5py.File(path, "a") as file:
        file.move("patient", "person")
    assert (PairFile(path).read().patient == some_pairs.patient).all()


@pytest.mark.parametrize("harm", ["cut", "text", "other", "flip", "column", "number"])
def test_a_damaged_file_is_named(some_pairs, tmp_path, harm):
    path = tmp_path / "torso.pairs.h5"
    write_pairs(some_pairs, path, COMPACT)
    content = bytearray(path.read_bytes())
    if harm == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif harm == "text":
        path.write_text("no pairs")
    elif harm == "other":
        with h5py.File(path, "w") as file:
            file["images"] = np.zeros(3)
    elif harm == "number":
        with h5py.File(path, "a") as file:
            file["dsc"][3] = np.nan
    else:
        with h5py.File(path) as file:
            chunk = file["images"].id.get_chunk_info(3) if harm == "flip" else file["area"].id.get_chunk_info(0)
        content[chunk.byte_offset + chunk.size // 2] ^= 255
        path.write_bytes(content)
    with pytest.raises(InputError, match="torso.pairs.h5.*make pairs again") as error:
        PairFile(path).read()
    assert "\n" not in str(error.value)


def test_a_folder_without_pair_files_says_how_to_make_them(tmp_path):
    with pytest.raises(InputError, match="make-pairs"):
        pair_files(tmp_path)


def test_pairs_made_for_our_preset_serve_one_with_fewer_channels():
    from dataclasses import replace

    plain = replace(COMPACT, windows=COMPACT.windows[:1], neighbour=False)
    assert channels_for(COMPACT, plain) == [0, 2]
    assert channels_for(COMPACT, COMPACT) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="cannot serve"):
        channels_for(COMPACT, PUBLISHED)


def test_storing_an_image_in_a_byte_changes_it_by_less_than_a_hundredth():
    image = np.linspace(-1, 1, 1000, dtype=np.float32)
    assert np.abs(restored(quantised(image).astype(np.float32)) - image).max() < 0.005


def test_pairs_written_in_parts_are_those_written_at_once(some_pairs, tmp_path):
    rows = np.arange(len(some_pairs))
    parts = (some_pairs.take(part) for part in np.array_split(rows, 5))
    assert write_pairs(parts, tmp_path / "parts.pairs.h5", COMPACT) == len(some_pairs)
    write_pairs(some_pairs, tmp_path / "whole.pairs.h5", COMPACT)
    first, second = (PairFile(tmp_path / f"{name}.pairs.h5").read() for name in ("parts", "whole"))
    for name, values in vars(first).items():
        np.testing.assert_array_equal(values, getattr(second, name))
