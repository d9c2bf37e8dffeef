"""The table of structures is complete and consistent."""

from __future__ import annotations

import csv
import subprocess
import sys

import pytest

from QualitySentinelLib.anatomy import Code, all_structures, match_structure, structure_named


def test_every_class_of_the_dap_atlas_occurs_once():
    ids = sorted(s.dap_id for s in all_structures() if s.dap_id is not None)
    assert ids == list(range(2, 145))


@pytest.mark.parametrize(
    ("name", "dap_id"),
    [
        ("liver", 13), ("bladder", 17), ("prostate", 19), ("kidney left", 15), ("kidney right", 16),
        ("vertebra C1", 43), ("vertebra T12", 61), ("vertebra L5", 66), ("costa 1 left", 67), ("costa 12 right", 90),
        ("iliac artery left", 112), ("iliac vein left", 115), ("common carotid artery right", 133),
        ("common carotid artery left", 134), ("subclavian artery left", 144), ("rib cartilage", 91),
    ],
)  # fmt: skip
def test_class_numbers_are_those_of_the_atlas(name, dap_id):
    assert structure_named(name).dap_id == dap_id


def test_the_names_of_the_atlas_file_find_their_class_number(shared):
    with open(shared / "data/quality_sentinel/DAP_Atlas_label_name.csv", newline="") as stream:
        rows = [(int(label), name) for label, name in list(csv.reader(stream))[1:]]
    found = {label: match_structure(name) for label, name in rows if label >= 2}
    assert {label: s and s.dap_id for label, s in found.items()} == {label: label for label in found}
    assert len(found) == 143


def test_names_are_unique_and_say_the_side_last():
    names = [s.name for s in all_structures()]
    assert len(set(names)) == len(names)
    for structure in all_structures():
        words = structure.name.split()
        sides = [word for word in words if word in ("left", "right")]
        assert sides == ([structure.side] if structure.side else [])
        assert not structure.side or words[-1] == structure.side
        assert "_" not in structure.name and structure.name == " ".join(words)


def test_a_structure_is_part_of_structures_that_exist():
    for structure in all_structures():
        for wider in structure.part_of:
            assert structure_named(wider).name != structure.name


def test_no_terminology_code_means_two_structures():
    owners = {}
    for structure in all_structures():
        for code in structure.codes:
            assert owners.setdefault(code, structure.name) == structure.name


def test_codes_exist_in_both_schemes_with_the_side_as_modifier():
    codes = structure_named("kidney left").codes
    assert Code("SCT", "64033007", "7771000") in codes
    assert Code("SRT", "T-71000", "G-A101") in codes


def test_an_unknown_canonical_name_is_a_key_error():
    with pytest.raises(KeyError):
        structure_named("Left Kidney")


def test_the_published_class_map_is_reproduced(shared):
    with open(shared / "data/quality_sentinel/totalsegmentator_v1_to_dap.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    ours = {row["ts_v1_name"]: match_structure(row["ts_v1_name"]).dap_id for row in rows}
    mistaken = {"urinary_bladder": 19, "face": 128}  # upstream's: the prostate's and the left cheek's
    assert ours | mistaken == {row["ts_v1_name"]: int(row["upstream_dap_id"]) for row in rows}
    assert len(ours) == 104


def test_anatomy_needs_only_the_standard_library(repository):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from QualitySentinelLib.anatomy import match_structure\n"
        "assert match_structure('Left Kidney').name == 'kidney left'\n"
        "print(sorted({'numpy', 'torch', 'SimpleITK'} & set(sys.modules)))"
    )
    folder = str(repository / "QualitySentinel")
    done = subprocess.run([sys.executable, "-S", "-c", code, folder], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
