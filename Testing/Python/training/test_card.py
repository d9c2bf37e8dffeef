"""The card says what was measured, and nothing that was not."""

from QualitySentinelTrainingLib.calibration import calibrate
from QualitySentinelTrainingLib.card import write_card
from QualitySentinelTrainingLib.evaluation.report import Experiments, measured

HEADER = {
    "name": "tiny",
    "training": {
        "data": [{"source": "OpenKBP", "licence": "MIT", "subjects": 3}, {"source": "phantom", "licence": "ours"}],
        "epochs": 4,
    },
}


def report(groups, calibration=None, experiments=None):
    return measured(groups, calibration, experiments, command="quality-sentinel evaluate", draws=10)


def test_every_figure_stands_beside_the_command_that_made_it(make_table):
    figures = {"n": 10, "pearson_r": 0.5, "mae": 0.1}
    unseen = {"aorta": {"seen": figures, "unseen": figures}}
    experiments = Experiments(text={"with": figures, "without": figures, "unseen": unseen},
                              commands={"text": "quality-sentinel text-worth"})  # fmt: skip
    result = report({"many": make_table(1, 8, prefix="t")}, calibrate(make_table(0)), experiments)
    card = write_card(HEADER, result)
    slices = result["groups"]["many"]["slices"]
    assert f"{slices['pearson_r']:.3f} ({slices['pearson_r_95ci'][0]:.3f} to" in card
    assert "Made by `quality-sentinel evaluate`." in card
    assert "| aorta: unseen | 10 | 0.500 | 0.100 |" in card and "Made by `quality-sentinel text-worth`." in card
    assert "| OpenKBP | MIT | 3 |" in card and "- **epochs**: 4" in card
    assert "### Missed slices" in card and "### Intervals" in card
    assert "nan" not in card and "None" not in card


def test_what_was_not_measured_is_not_told(make_table):
    card = write_card(HEADER, report({"one": make_table(1, 1, prefix="t").masked}))
    for title in ("Missed slices", "Intervals", "name is worth", "disagreement", "spoiled"):
        assert f"### {title}" not in card
    assert "Slices that a mask misses entirely were not measured." in card
    assert "one person only" in card
    assert "nan" not in card and "None" not in card


def test_masks_of_networks_are_told_from_simulated_ones(make_table):
    table = make_table(1, 4)
    assert "by origin" in write_card(HEADER, report({"both": table}))
    simulated = write_card(HEADER, report({"simulated": table.take(table.origin == "simulated")}))
    assert "All masks measured here have simulated errors" in simulated
