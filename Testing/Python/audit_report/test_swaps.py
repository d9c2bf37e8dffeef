from __future__ import annotations

import pandas as pd
import pytest

from QualitySentinelTrainingLib.audit.anatomy import find_swaps

BODY = {
    "kidney left": -55, "kidney right": 55, "lung left": -80, "lung right": 80, "femur left": -90, "femur right": 90,
    "vertebra L1": 1, "vertebra L2": -1, "liver": 80, "spleen": -90,
}  # fmt: skip


def body(case: str = "c", **changes) -> pd.DataFrame:
    places = BODY | {name.replace("_", " "): r for name, r in changes.items()}
    return pd.DataFrame([
        {"case": case, "structure": s, "centroid_r_mm": r} for s, r in places.items() if r is not None
    ])  # fmt: skip


def test_a_body_as_it_should_be_raises_no_suspicion():
    assert find_swaps(body()) == []


def test_swapped_names_of_one_pair_are_found_with_the_other_pairs_as_evidence():
    (swap,) = find_swaps(pd.concat([body("a"), body("b", kidney_left=55, kidney_right=-55)]))
    assert (swap.case, swap.kind, swap.structures) == ("b", "names swapped", "kidney left, kidney right")
    assert swap.distance_mm == pytest.approx(110)
    assert (swap.pairs_as_named, swap.pairs_reversed) == (2, 1)
    assert "lung" in swap.evidence and "femur" in swap.evidence


def test_a_mirrored_case_is_one_suspicion_and_not_one_per_pair():
    mirrored = body().assign(centroid_r_mm=lambda t: -t["centroid_r_mm"])
    (swap,) = find_swaps(mirrored)
    assert swap.kind == "case mirrored"
    assert "reversed too" in swap.evidence


def test_names_given_by_the_readers_side_leave_the_liver_where_it_is():
    sides = {k: -v for k, v in BODY.items() if k.endswith(("left", "right"))}
    (swap,) = find_swaps(body(**{k.replace(" ", "_"): v for k, v in sides.items()}))
    assert "lie as usual" in swap.evidence
    assert swap.kind == "names swapped"


@pytest.mark.parametrize(("organs", "kind"), [(1, "names swapped"), (-1, "case mirrored"), (None, "names swapped")])
def test_the_only_pair_of_a_case_is_judged_by_liver_and_spleen(organs, kind):
    places = {"kidney left": 55, "kidney right": -55}
    if organs:
        places |= {"liver": organs * 80, "spleen": organs * -90}
    table = pd.DataFrame([{"case": "c", "structure": s, "centroid_r_mm": r} for s, r in places.items()])
    (swap,) = find_swaps(table)
    assert swap.kind == kind
    assert ("the image is mirrored" in swap.evidence) == (organs == -1)
    assert "stomach" not in swap.evidence


def test_a_tilted_patient_is_no_swap():
    assert find_swaps(body(femur_left=3, femur_right=-3)) == []


def test_a_lone_structure_beyond_the_midline_is_on_the_wrong_side():
    (swap,) = find_swaps(body(kidney_left=None, kidney_right=-55))
    assert (swap.kind, swap.structures) == ("wrong side", "kidney right")


def test_both_of_a_pair_on_one_side_are_one_too_many():
    (swap,) = find_swaps(body(kidney_left=52, kidney_right=55))
    assert (swap.kind, swap.structures) == ("wrong side", "kidney left")


def test_without_other_places_a_lone_structure_is_not_judged():
    alone = pd.DataFrame([{"case": "c", "structure": "kidney right", "centroid_r_mm": -300.0}])
    assert find_swaps(alone) == []


def test_two_masks_of_one_name_say_nothing():
    double = pd.concat([body(), pd.DataFrame([{"case": "c", "structure": "kidney left", "centroid_r_mm": 60.0}])])
    assert find_swaps(double) == []


def test_the_left_brachiocephalic_vein_may_run_to_the_right():
    vein = {"brachiocephalic_vein_left": 30, "brachiocephalic_vein_right": 10}
    assert find_swaps(body(**vein)) == []


def test_segments_of_no_known_structure_and_without_place_are_passed_over():
    odd = pd.DataFrame([{"case": "c", "structure": None, "centroid_r_mm": 1.0},
                        {"case": "c", "structure": "kidney left", "centroid_r_mm": None}])  # fmt: skip
    assert find_swaps(odd) == []
