"""A segment's name finds its structure, or is honestly unknown."""

from __future__ import annotations

import pytest

from QualitySentinelLib.anatomy import all_structures, match_structure

_PAIRED = (
    "kidney adrenal_gland iliac_artery iliac_vena humerus scapula clavicula femur hip gluteus_maximus gluteus_medius "
    "gluteus_minimus autochthon iliopsoas"
).split()
_COMMON = (
    "spleen gallbladder liver stomach aorta inferior_vena_cava portal_vein_and_splenic_vein pancreas esophagus trachea "
    "brain small_bowel duodenum colon sacrum urinary_bladder lung_upper_lobe_left lung_lower_lobe_left "
    "lung_upper_lobe_right lung_middle_lobe_right lung_lower_lobe_right"
).split()
_COMMON += [f"{name}_{side}" for name in _PAIRED for side in ("left", "right")]
_COMMON += [f"rib_{side}_{number}" for number in range(1, 13) for side in ("left", "right")]
_COMMON += [f"vertebrae_{part}{n}" for part, count in (("C", 7), ("T", 12), ("L", 5)) for n in range(1, count + 1)]
TOTALSEGMENTATOR_V1 = [
    *_COMMON,
    *"face pulmonary_artery heart_myocardium heart_atrium_left heart_atrium_right".split(),
    *"heart_ventricle_left heart_ventricle_right".split(),
]
TOTALSEGMENTATOR_V2 = [
    *_COMMON,
    *"thyroid_gland prostate kidney_cyst_left kidney_cyst_right vertebrae_S1 heart pulmonary_vein".split(),
    *"brachiocephalic_trunk subclavian_artery_right subclavian_artery_left common_carotid_artery_right".split(),
    *"common_carotid_artery_left brachiocephalic_vein_left brachiocephalic_vein_right atrial_appendage_left".split(),
    *"superior_vena_cava spinal_cord skull sternum costal_cartilages".split(),
]


def name_of(text, tags=None):
    structure = match_structure(text, tags)
    return structure and structure.name


def as_totalsegmentator_writes(structure):
    """What TotalSegmentator calls a structure, by rule: independent of the column in the table."""
    words = structure.name.split()
    if words[0] == "vertebra":
        return f"vertebrae_{words[1]}"
    if words[0] == "costa":
        return f"rib_{words[2]}_{words[1]}"
    renamed = {"clavicle": "clavicula", "vein": "vena", "bladder": "urinary_bladder", "rib": "costal"}
    if words[0] in ("clavicle", "bladder") or words[:2] == ["iliac", "vein"]:
        words = [renamed.get(word, word) for word in words]
    return "costal_cartilages" if structure.name == "rib cartilage" else "_".join(words)


@pytest.mark.parametrize(
    ("names", "attribute", "count"),
    [(TOTALSEGMENTATOR_V1, "totalsegmentator_v1", 104), (TOTALSEGMENTATOR_V2, "totalsegmentator_v2", 117)],
)
def test_every_totalsegmentator_class_finds_its_own_structure(names, attribute, count):
    found = {name: match_structure(name) for name in names}
    assert {name: as_totalsegmentator_writes(s) for name, s in found.items()} == {name: name for name in names}
    assert {getattr(s, attribute) for s in found.values()} == set(names)
    assert len(found) == count
    assert {getattr(s, attribute) for s in all_structures()} - {None} == set(names)


def test_every_synonym_finds_its_structure():
    for structure in all_structures():
        for synonym in (structure.name, *structure.synonyms):
            assert name_of(synonym) == structure.name, synonym


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # BTCV
        ("spleen", "spleen"), ("right kidney", "kidney right"), ("left kidney", "kidney left"),
        ("gallbladder", "gallbladder"), ("esophagus", "esophagus"), ("inferior vena cava", "inferior vena cava"),
        ("portal vein and splenic vein", "portal vein and splenic vein"),
        ("veins (portal and splenic)", "portal vein and splenic vein"),
        ("right adrenal gland", "adrenal gland right"), ("left adrenal gland", "adrenal gland left"),
        # AMOS, with the misspelling of its label list
        ("gall bladder", "gallbladder"), ("arota", "aorta"), ("postcava", "inferior vena cava"),
        ("prostate/uterus", "prostate or uterus"), ("bladder", "bladder"),
        # FLARE
        ("IVC", "inferior vena cava"), ("RAG", "adrenal gland right"), ("LAG", "adrenal gland left"),
        # OpenKBP
        ("Brainstem", "brainstem"), ("SpinalCord", "spinal cord"), ("RightParotid", "parotid gland right"),
        ("LeftParotid", "parotid gland left"), ("Esophagus", "esophagus"), ("Larynx", "larynx"),
        ("Mandible", "mandible"),
        # AAPM TG-263
        ("Parotid_L", "parotid gland left"), ("Kidney_R", "kidney right"), ("A_Aorta", "aorta"),
        ("V_Venacava_I", "inferior vena cava"), ("V_Venacava_S", "superior vena cava"),
        ("Glnd_Submand_L", "submandibular gland left"), ("Glnd_Thyroid", "thyroid gland"),
        ("Bone_Mandible", "mandible"), ("OpticNrv_L", "optic nerve left"), ("OpticChiasm", "optic chiasm"),
        ("Eye_R", "eyeball right"), ("Lens_L", "eye lens left"), ("Femur_Head_L", "femoral head left"),
        ("Rib04_L", "costa 4 left"), ("VB_L5", "vertebra L5"), ("Bowel_Small", "small bowel"),
        ("Cavity_Oral", "oral cavity"), ("External", "body"),
    ],
)  # fmt: skip
def test_names_of_common_label_sets_are_understood(text, expected):
    assert name_of(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Left Kidney", "kidney_left", "KIDNEY L", "Lt kidney", "left-kidney", "L kidney", "Kidney (L)", "kidney.left",
        "LeftKidney", "KidneyLeft", "LKidney", "leftkidney", "  kidney  left  ", "left kidneys", "kidney_left_1",
        "Kidney left copy", "kidney left mask",
    ],
)  # fmt: skip
def test_a_side_is_understood_wherever_it_stands(text):
    assert name_of(text) == "kidney left"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("oesophagus", "esophagus"), ("Oesophagus", "esophagus"), ("coeliac trunk", "celiac trunk"),
        ("liver tumour", "liver tumor"), ("L5 vertebra", "vertebra L5"), ("vertebrae_L5", "vertebra L5"),
        ("vertebra L 5", "vertebra L5"), ("vertebrael5", "vertebra L5"), ("T12", "vertebra T12"),
        ("Th12", "vertebra T12"), ("lumbar vertebra 5", "vertebra L5"), ("rib_left_4", "costa 4 left"),
        ("left 4th rib", "costa 4 left"), ("fourth rib left", "costa 4 left"), ("rib L4", "costa 4 left"),
        ("left atrium", "heart atrium left"), ("Left ventricle", "heart ventricle left"),
        ("left atrial appendage", "atrial appendage left"), ("LV", "heart ventricle left"),
        ("RUL", "lung upper lobe right"), ("right lower lobe of the lung", "lung lower lobe right"),
        ("clavicula left", "clavicle left"), ("sternum", "sternum"), ("heart   ", "heart"),
    ],
)  # fmt: skip
def test_free_spellings_are_understood(text, expected):
    assert name_of(text) == expected


def test_a_copy_of_a_numbered_structure_is_that_structure():
    assert name_of("rib_left_7 copy 2") == "costa 7 left"
    assert name_of("vertebrae_L5_1") == "vertebra L5"


@pytest.mark.parametrize(
    "text", ["liver_1", "liver copy", "liver copy 2", "Liver (1)", "liver_seg", "Liver Segmentation"]
)
def test_copies_and_words_about_the_mask_do_not_matter(text):
    assert name_of(text) == "liver"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kidney", "kidney"), ("kidneys", "kidney"), ("both kidneys", "kidney"), ("left and right kidney", "kidney"),
        ("lung", "lung"), ("Lungs", "lung"), ("thyroid", "thyroid gland"), ("ribs", "ribs"),
        ("spine", "vertebral column"),
    ],
)  # fmt: skip
def test_a_paired_organ_without_a_side_is_never_given_one(text, expected):
    assert name_of(text) == expected
    assert match_structure(text).side == ""


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "_", None, "Segment_1", "Segment 12", "1", "left", "mask", "unknown", "GTV", "PTV_High", "心臓",
        "not liver", "liver and spleen", "peri-hepatic fluid", "liver segment 4", "SpinalCord_PRV", "kidney stone left",
        "rib 4", "rib_left_13", "vertebra 3", "L6", "S1", "left lung right lobe", "left middle lobe", "left liver",
        "A_Carotid_L", "rib 1_2 left", "rib left 1-2", "T1-T3", "delivery", "backbone marrow",
    ],
)  # fmt: skip
def test_what_is_not_clear_stays_unknown(text):
    assert match_structure(text) is None


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("liver tumor", "liver"), ("kidney cyst left", "kidney left"), ("lung nodule", "lung"),
        ("left atrium", "lung left"), ("portal vein", "portal vein and splenic vein"), ("prostate/uterus", "prostate"),
        ("subcutaneous fat", "fat"), ("femur head left", "femur left"), ("spinal cord", "spinal canal"),
    ],
)  # fmt: skip
def test_a_longer_name_is_not_taken_for_the_organ_it_contains(text, wrong):
    assert name_of(text) not in (None, wrong)
