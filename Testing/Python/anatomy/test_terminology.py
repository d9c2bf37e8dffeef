"""Terminology codes of Slicer segments and DICOM SEG find the structure, and win over a name that says otherwise."""

from __future__ import annotations

import pytest

from QualitySentinelLib.anatomy import match_structure

ANATOMY = "SCT^123037004^Anatomical Structure"
TISSUE = "SCT^85756007^Tissue"
FINDING = "SCT^49755003^Morphologically Altered Structure"
LEFT, RIGHT = "SCT^7771000^Left", "SCT^24028007^Right"


def slicer_tags(category, kind, modifier="^^", region="^^", region_modifier="^^"):
    """Segment tags as Slicer serializes them."""
    context = "Segmentation category and type - 3D Slicer General Anatomy list"
    regions = "Anatomic codes - DICOM master list"
    return {"TerminologyEntry": "~".join([context, category, kind, modifier, regions, region, region_modifier])}


def name_of(text, tags):
    structure = match_structure(text, tags)
    return structure and structure.name


@pytest.mark.parametrize(
    ("kind", "modifier", "expected"),
    [
        ("SCT^64033007^Kidney", RIGHT, "kidney right"),
        ("SCT^64033007^Kidney", LEFT, "kidney left"),
        ("SCT^64033007^Kidney", "^^", "kidney"),
        ("SCT^10200004^Liver", "^^", "liver"),
        ("SCT^25523003^Fourth rib", LEFT, "costa 4 left"),
        ("SCT^23215003^T12 vertebra", "^^", "vertebra T12"),
        ("SCT^82471001^Left atrium", "^^", "heart atrium left"),
        ("SCT^72481006^Middle lobe of right lung", "^^", "lung middle lobe right"),
        ("SCT^29700009^Subclavian artery", LEFT, "subclavian artery left"),
        ("SCT^305223006^Entire atrial appendage", LEFT, "atrial appendage left"),
    ],
)
def test_a_code_names_the_structure_of_a_nameless_segment(kind, modifier, expected):
    assert name_of("Segment_1", slicer_tags(ANATOMY, kind, modifier)) == expected


def test_a_specific_code_wins_over_the_name():
    assert name_of("kidney left", slicer_tags(ANATOMY, "SCT^64033007^Kidney", RIGHT)) == "kidney right"
    assert name_of("spleen", slicer_tags(ANATOMY, "SCT^10200004^Liver")) == "liver"


@pytest.mark.parametrize(
    ("category", "kind"),
    [
        (TISSUE, "SCT^85756007^Tissue"), (TISSUE, "SCT^113343008^Organ"), (TISSUE, "SCT^272673000^Bone"),
        (ANATOMY, "SCT^999999999^Something newer"),
    ],
)  # fmt: skip
def test_a_code_that_says_nothing_leaves_it_to_the_name(category, kind):
    assert name_of("Left Kidney", slicer_tags(category, kind)) == "kidney left"
    assert name_of("Segment_1", slicer_tags(category, kind)) is None


@pytest.mark.parametrize(
    ("text", "kind", "modifier", "expected"),
    [
        ("kidney_left", "SCT^64033007^Kidney", "^^", "kidney left"),
        ("rib_right_7", "SCT^113197003^Rib", "^^", "costa 7 right"),
        ("RUL", "SCT^39607008^Lung", RIGHT, "lung upper lobe right"),
        ("left atrium", "SCT^80891009^Heart", "^^", "heart atrium left"),
        ("liver tumor", "SCT^10200004^Liver", "^^", "liver tumor"),
        ("left lower lobe", "SCT^39607008^Lung", RIGHT, "lung right"),
    ],
)
def test_a_name_may_narrow_a_code_but_not_contradict_it(text, kind, modifier, expected):
    assert name_of(text, slicer_tags(ANATOMY, kind, modifier)) == expected


def test_a_finding_is_known_by_its_type_and_region():
    cyst = slicer_tags(FINDING, "SCT^367643001^Cyst", region="SCT^64033007^Kidney", region_modifier=LEFT)
    tumor = slicer_tags(FINDING, "SCT^108369006^Neoplasm", region="SCT^10200004^Liver")
    assert name_of("Segment_1", cyst) == "kidney cyst left"
    assert name_of("Segment_1", tumor) == "liver tumor"


def test_a_mass_or_a_needle_called_liver_is_not_the_liver():
    assert name_of("liver", slicer_tags(FINDING, "SCT^4147007^Mass")) is None
    assert name_of("liver", slicer_tags("SCT^260787004^Physical object", "SCT^79068005^Needle")) is None
    assert name_of("liver abscess 3", slicer_tags(ANATOMY, "SCT^10200004^Liver")) is None


def test_an_organ_keeps_its_meaning_when_a_region_is_given_too():
    tags = slicer_tags(ANATOMY, "SCT^64033007^Kidney", region="SCT^113345001^Abdomen")
    assert name_of("x", tags) == "kidney"
    tags = slicer_tags(ANATOMY, "SCT^64033007^Kidney", region="SCT^64033007^Kidney", region_modifier=RIGHT)
    assert name_of("x", tags) == "kidney right"


def test_older_srt_codes_are_understood():
    assert name_of("x", slicer_tags("SRT^T-D000A^Anatomical Structure", "SRT^T-62000^Liver")) == "liver"
    tags = slicer_tags("SRT^T-D000A^Anatomical Structure", "SRT^T-71000^Kidney", "SRT^G-A100^Right")
    assert name_of("x", tags) == "kidney right"


@pytest.mark.parametrize(
    "tags",
    [None, {}, {"TerminologyEntry": ""}, {"TerminologyEntry": "nonsense"}, {"TerminologyEntry": "~^^~^^~^^~~^^~^^"},
     {"TerminologyEntry": "~~~~~~~~~~"}, {"Segmentation.Status": "done"}, {"TerminologyEntry": None}],
)  # fmt: skip
def test_tags_without_a_readable_code_leave_it_to_the_name(tags):
    assert name_of("liver", tags) == "liver"
