"""Data sets as centers, and harm done to them."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from QualitySentinelLib.commands.main import main
from QualitySentinelLib.datasets import find_cases
from QualitySentinelLib.errors import InputError, UsageError, command_text
from QualitySentinelTrainingLib.subjects import phantom_subject
from QualitySentinelTrainingLib.travelling.harms import HARMS, harmed
from QualitySentinelTrainingLib.travelling.sites import center_sizes, do_harm, read_sizes, split_sites


@pytest.fixture(scope="module")
def phantom():
    return phantom_subject(0)


def test_sizes_follow_a_distribution_and_nobody_is_lost():
    like = [190, 95, 90, 75, 20, 10, 7, 5, 3, 2, 1, 1]
    sizes = center_sizes(96, 6, like)
    assert sum(sizes) == 96 and sizes == sorted(sizes, reverse=True) and sizes[-1] >= 1
    assert sizes[0] > 96 / 3 and sizes[2] < 96 / 6  # a few large centers, many small ones
    assert center_sizes(10, 3) == [4, 3, 3]
    for centers in (0, 11):
        with pytest.raises(UsageError, match="give 1 to 10"):
            center_sizes(10, centers)


def test_patients_are_never_split(bodies):
    data = find_cases(bodies, patient=r"body_\d*?(\d)$")  # ten patients of four CTs
    rows = split_sites(data, 3, seed=1)
    for patient in {row["patient"] for row in rows}:
        assert len({(r["institution"], r["split"]) for r in rows if r["patient"] == patient}) == 1
    assert len(rows) == 40 and {r["sex"] for r in rows} == {"F", "M"}
    assert Counter(r["split"] for r in rows) == {"train": 24, "verification": 8, "test": 8}


def test_a_metadata_column_names_the_centers(bodies):
    rows = split_sites(find_cases(bodies), column="sex")
    assert {row["institution"] for row in rows if row["split"] == "train"} == {"F", "M"}
    with pytest.raises(UsageError, match="has no 'scanner'"):
        split_sites(find_cases(bodies), column="scanner")


def test_harm_keeps_verification_and_test_clean_and_the_truth_in_the_table(bodies):
    rows = split_sites(find_cases(bodies), 10, seed=2)
    bad = do_harm(rows, ["inverted", "noise"], centers=0.2, samples=0.25, seed=3)
    assert bad == do_harm(rows, ["inverted", "noise"], centers=0.2, samples=0.25, seed=3)
    assert all(row["harm"] == "" for row in bad if row["split"] != "train")
    at = {c: [r["harm"] for r in bad if r["institution"] == c] for c in {r["institution"] for r in bad} - {""}}
    whole = [kinds for kinds in at.values() if all(kinds)]
    assert sum(len(set(kinds)) == 1 for kinds in whole) >= 2 and len(at) == 10
    assert any(any(kinds) and not all(kinds) for kinds in at.values())
    with pytest.raises(UsageError, match="'upside down' is no harm; available: inverted"):
        do_harm(rows, ["upside down"])


def test_every_harm_changes_a_sample_the_same_way_each_time(phantom):
    for name, harm in HARMS.items():
        first, again = harmed(phantom, name), harmed(phantom, name)
        changed = (first.ct.hu != phantom.ct.hu).any(), (first.labels != phantom.labels).any()
        assert any(changed) and (not harm.masks or changed == (False, True)), name
        assert (first.ct.hu == again.ct.hu).all() and (first.labels == again.labels).all()
        assert first.structures == phantom.structures and set(np.unique(first.labels)) <= set(np.unique(phantom.labels))


def test_mirrored_anatomy_has_its_left_side_on_the_right(phantom):
    left = next(v for v, name in phantom.structures.items() if name == "kidney left")
    mirrored = harmed(phantom, "mirrored")
    before, after = (np.argwhere(s.labels == left)[:, 2].mean() for s in (phantom, mirrored))
    assert before > phantom.labels.shape[2] / 2 > after


def test_the_commands_write_tables(bodies, tmp_path, capsys):
    sizes = tmp_path / "sizes.json"
    sizes.write_text(json.dumps({"rows": [[9, 1], [4, 2], [1, 1]]}))
    table, harmful = tmp_path / "my sites.csv", tmp_path / "harmful.csv"
    assert main(["split-sites", str(bodies), "--sizes", str(sizes), "--out", str(table)]) == 0
    said = capsys.readouterr().out
    assert "3 centers of 2 to 15 cases" in said and f"harm {command_text(table)} --out" in said
    assert main(["harm", str(table), "--centers", "0.34", "--kinds", "noise", "--out", str(harmful)]) == 0
    assert sum(c.metadata.get("harm") == "noise" for c in find_cases(bodies, metadata=harmful).cases) >= 2
    assert main(["split-sites", str(bodies), "--out", str(table)]) == 2
    assert "--centers, --sizes or both" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["{}", "[", '{"rows": [[]]}', '["many"]'])
def test_sizes_that_are_none_are_refused(content, tmp_path):
    (tmp_path / "sizes.json").write_text(content)
    with pytest.raises(InputError, match="has no sizes of centers"):
        read_sizes(tmp_path / "sizes.json")


def test_the_help_names_every_harm(capsys):
    assert main(["harm", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert all(name in said and harm.about in said for name, harm in HARMS.items())


def test_a_split_neither_takes_impossible_shares_nor_writes_over_its_manifest(tmp_path, capsys):
    manifest = tmp_path / "cases.csv"
    manifest.write_text("case,ct,seg\n" + "".join(f"{n},{n}.nii,{n}.seg.nrrd\n" for n in range(10)))
    before, split = manifest.read_bytes(), ["split-sites", str(manifest), "--centers", "2", "--out"]
    assert main([*split, str(manifest)]) == 2 and manifest.read_bytes() == before
    for share in ("-0.5", "1.5", "0.9"):
        assert main([*split, str(tmp_path / "sites.csv"), "--test", share]) == 2
        assert "give shares above 0, together below 1" in capsys.readouterr().err
    assert not (tmp_path / "sites.csv").exists()
