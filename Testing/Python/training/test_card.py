"""The card says what was measured, and nothing that was not."""

import pytest

from QualitySentinelTrainingLib.calibration import calibrate
from QualitySentinelTrainingLib.card import write_card
from QualitySentinelTrainingLib.evaluation.report import Experiments, measured

HEADER = {
    "name": "tiny",
    "training": {
        "sources": {"OpenKBP": {"persons": ["pt_1", "pt_2", "pt_3"], "pairs": 70, "licence": "MIT"}},
        "fold": {"number": 0, "of": 5, "left_out": ["pt_4"]},
        "options": {"epochs": 4},
        "command": "quality-sentinel train",
        "started_from": {
            "sources": {"phantom": {"persons": ["phantom_1"], "pairs": 50, "licence": "ours"}},
            "structures": ["liver"],
        },
    },
}


def report(groups, calibration=None, experiments=None):
    return measured(groups, calibration, experiments, command="quality-sentinel evaluate", draws=10)


def test_every_figure_stands_beside_the_command_that_made_it(make_table):
    figures = {"n": 10, "pearson_r": 0.5, "mae": 0.1}
    unseen = {"aorta": {"seen": figures, "unseen": figures}}
    text = {"with": figures, "without": figures, "unseen": unseen}
    experiments = Experiments({"text": text}, {"text": "quality-sentinel text-worth"})
    result = report({"many": make_table(1, 8, prefix="t")}, calibrate(make_table(0)), experiments)
    card = write_card(HEADER, result)
    slices = result["groups"]["many"]["slices"]
    assert f"{slices['pearson_r']:.3f} ({slices['pearson_r_95ci'][0]:.3f} to" in card
    assert "Made by `quality-sentinel evaluate`." in card
    assert "| aorta: unseen | 10 | 0.500 | 0.100 |" in card and "Made by `quality-sentinel text-worth`." in card
    stages = card.index("### Stage 1 of 2"), card.index("### Stage 2 of 2, from the weights of the one before")
    assert stages[0] < card.index("| phantom | 1 | 50 | ours |") < stages[1] < card.index("| OpenKBP | 3 | 70 | MIT |")
    assert "(fold 0 of 5, patients: 1): pt_4" in card and "epochs 4" in card and "`quality-sentinel train`" in card
    assert "### Missed slices" in card and "### Intervals" in card
    assert "nan" not in card and "None" not in card


@pytest.mark.parametrize(("shown", "said"), [({}, "area-weighted"), ({"shown": "calibrated"}, "calibrated")])
def test_the_card_says_which_segment_score_users_see(make_table, shown, said):
    header = {**HEADER, "calibration": {"segment": shown}}
    assert f"Users see the {said} segment score" in write_card(header, report({"many": make_table(1, 4)}))


def test_what_was_not_measured_is_not_told(make_table):
    card = write_card(HEADER, report({"one": make_table(1, 1, prefix="t").masked}))
    for title in ("Missed slices", "Intervals", "name is worth", "disagreement", "corrupted"):
        assert f"### {title}" not in card
    assert "Slices that a mask misses entirely were not measured." in card
    assert "one patient only" in card
    assert "nan" not in card and "None" not in card


def test_masks_of_networks_are_told_from_simulated_ones(make_table):
    table = make_table(1, 4)
    assert "by origin" in write_card(HEADER, report({"both": table}))
    simulated = write_card(HEADER, report({"simulated": table.take(table.origin == "simulated")}))
    assert "All masks measured here have simulated errors" in simulated


def test_a_later_stage_tells_what_it_does_differently():
    first = {"options": {"epochs": 4, "seed": 0}, "structures": ["liver", "spleen"]}
    second = first | {"options": {"epochs": 9, "seed": 0}, "started_from": first}
    card = write_card({"name": "tiny", "training": second}, {"groups": {}})
    first, second = card[card.index("### Stage 1") :].split("### Stage 2")
    assert "epochs 4, seed 0" in first and "(2): liver, spleen" in first
    assert "those changed: epochs 9\n" in second and "(2): the same as before" in second
