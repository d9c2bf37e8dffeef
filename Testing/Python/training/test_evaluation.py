"""The evaluation table, its figures and experiments, and what is written of them."""

import json
from dataclasses import fields, replace

import nibabel
import numpy as np
import pandas as pd
import pytest

from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelLib.scores import SegmentScore, Status
from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelTrainingLib.calibration import calibrate
from QualitySentinelTrainingLib.candidates import Candidate, simulated_candidates
from QualitySentinelTrainingLib.commands.evaluate import print_figures
from QualitySentinelTrainingLib.dice import volume_dice
from QualitySentinelTrainingLib.evaluation import EvaluationTable
from QualitySentinelTrainingLib.evaluation.figures import figures, missed_figures, slices_per_mask, within_masks
from QualitySentinelTrainingLib.evaluation.pictures import bars_picture, worst_picture
from QualitySentinelTrainingLib.evaluation.report import Experiments, write_evaluation, write_rows
from QualitySentinelTrainingLib.evaluation.run import evaluate, evaluate_pair_files, predict, worst_slices
from QualitySentinelTrainingLib.pairs import PairFile, make_pairs, write_pairs
from QualitySentinelTrainingLib.subjects import Subject
from Research import held_out


@pytest.fixture
def a_subject(a_torso) -> Subject:
    frame = AxialFrame.from_affine(a_torso.ijk_to_ras, a_torso.hu.shape)
    return Subject("torso", CtVolume(a_torso.hu, frame), a_torso.labels, a_torso.names, "invented", patient="somebody")


@pytest.fixture
def an_all_knowing_scorer(monkeypatch):
    """Masks are scored with their true volumetric DSC."""

    def score_masks(model, subject, candidates):
        scores = []
        for candidate in candidates:
            box = tuple(slice(c, c + n) for c, n in zip(candidate.corner, candidate.mask.shape, strict=True))
            dsc = volume_dice(candidate.mask, subject.labels[box] == candidate.value) if candidate.mask.any() else None
            scores.append(SegmentScore("", "", None, Status.SCORED, predicted_dsc=dsc, area_weighted_dsc=dsc))
        return scores

    monkeypatch.setattr(held_out, "score_masks", score_masks)


@pytest.mark.parametrize("name", ["slices.csv", "slices.csv.gz"])
def test_a_table_is_read_as_it_was_written(make_table, tmp_path, name):
    table = make_table(0, persons=2)
    table.structure[0] = 'liver, "left" part'
    table.write(tmp_path / name)
    read = EvaluationTable.read(tmp_path / name)
    for column in EvaluationTable.types():
        before, after = getattr(table, column), getattr(read, column)
        assert (before == after).all(), column


def test_a_table_of_before_0_2_is_read(make_table, tmp_path):
    """It calls the patient ``person``."""
    table = make_table(0, persons=2)
    path = table.write(tmp_path / "slices.csv")
    path.write_text(path.read_text().replace(",patient,", ",person,", 1))
    assert (EvaluationTable.read(path).patient == table.patient).all()


def test_damaged_tables_are_named(make_table, tmp_path):
    path = tmp_path / "slices.csv.gz"
    make_table(0, persons=2).write(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"slices.csv.gz.*evaluate again"):
        EvaluationTable.read(path)
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="other.csv: not an evaluation table"):
        EvaluationTable.read(other)
    with pytest.raises(InputError, match="nothing.csv: cannot be read"):
        EvaluationTable.read(tmp_path / "nothing.csv")


def test_segments_hold_every_mask_once_with_what_it_misses(make_table):
    table = make_table(0, persons=3, masks=5)
    with_empty, without = table.segments(), table.masked.segments()
    assert len(with_empty) == len(without) == 15
    assert (with_empty.slices == 8).all()
    assert (with_empty.aggregated < without.aggregated).all()  # doubtful empty slices lower the score
    assert (with_empty.dsc == without.dsc).all()


def test_figures_say_everything_of_each_group(make_table):
    result = figures(make_table(1, persons=12, prefix="t"), calibrate(make_table(0)), draws=20)
    assert result["subjects"] == result["persons"] == 12
    assert result["slices"]["n"] == 12 * 12 * 8
    assert result["slices"]["pearson_r_95ci"][0] < result["slices"]["pearson_r"] < result["slices"]["pearson_r_95ci"][1]
    assert set(result["segments"]) == {"mean", "area_weighted", "calibrated"}
    assert abs(result["segments"]["calibrated"]["bias"]) < abs(result["segments"]["area_weighted"]["bias"])
    assert set(result["by_structure"]) == {"liver", "spleen", "kidney left"}
    assert set(result["by_error"]) == {"none", "erosion", "shift", "leak", "elastic"}  # combined errors count in each
    assert result["by_error"]["shift"]["n"] == result["by_error"]["leak"]["n"]
    assert set(result["by_stage"]) == {"10"}
    assert 0.8 < result["coverage"]["slice"]["coverage"] < 1


def test_the_order_of_the_slices_of_a_mask_is_measured_whatever_other_masks_are_like(make_table):
    table = make_table(0)
    measured = within_masks(table, draws=20)
    low, high = measured["mean_spearman_r_95ci"]
    assert 0 < low < measured["mean_spearman_r"] < high < 1
    assert measured["worst"] < measured["predicted_worst"] < measured["any"]

    table.predicted = table.dsc.copy()
    perfect = within_masks(table, draws=0)
    assert perfect["mean_spearman_r"] == pytest.approx(1.0, abs=1e-6)
    assert perfect["predicted_worst"] == perfect["worst"] and "mean_spearman_r_95ci" not in perfect

    table.predicted = table.volume_dsc.copy()  # knows each mask, and nothing of its slices
    assert within_masks(table, draws=0)["mean_spearman_r"] == 0.0

    table.dsc = table.volume_dsc.copy()
    assert within_masks(table) == {"n": 0}  # no mask has a slice worse than its others


def test_missed_slices_are_told_apart_by_place_and_by_threshold(make_table):
    table = make_table(1, persons=20)
    measured = missed_figures(table, {"missed": {"threshold": 0.0}})
    assert measured["all"]["n_missed"] == measured["inner"]["n_missed"] + measured["end"]["n_missed"]
    assert measured["all"]["auroc"] > 0.97
    assert measured["all"]["flagged"] == 0 == measured["all"]["false_flags"]  # the given threshold flags nothing
    assert measured["all"]["flagged_in_sample"] > 0.85
    assert measured["all"]["false_flags_in_sample"] <= 0.05
    assert "flagged" not in missed_figures(table)["all"]


def test_more_slices_come_nearer_to_the_score_of_all(make_table):
    rows = slices_per_mask(make_table(0, persons=10), (1, 3, 6, 20))
    assert [row["slices"] for row in rows] == [1, 3, 6]  # no mask has more than 8
    deviations = [row["mean_abs_deviation"] for row in rows]
    assert deviations == sorted(deviations, reverse=True) and deviations[-1] > 0
    assert rows[0]["share_scored"] == pytest.approx(1 / 8)


def test_a_model_is_evaluated_on_every_slice_of_every_mask(a_small_model, a_subject):
    candidates = [Candidate(1, a_subject.labels == 1, (0, 0, 0), "none") for _ in range(9)]
    candidates.append(Candidate(2, np.roll(a_subject.labels == 2, 2, axis=1), (0, 0, 0), "shift"))
    table = evaluate(a_small_model, a_subject, (c for c in candidates), first_mask=5)
    assert sorted(set(table.mask.tolist())) == list(range(6, 16))
    assert set(table.patient) == {"somebody"}
    perfect = table.take((table.mask == 6) & (table.area > 0))
    assert len(perfect) == np.count_nonzero((a_subject.labels == 1).any(axis=(1, 2)))
    assert (perfect.dsc == 1).all() and (table.predicted >= 0).all() and (table.predicted <= 1).all()


def test_masks_are_scored_in_their_order_and_empty_ones_not_at_all(a_small_model, a_subject):
    whole = Candidate(1, a_subject.labels == 1, (0, 0, 0), "none")
    part = Candidate(1, whole.mask[:10], (0, 0, 0), "none")
    nothing = Candidate(1, np.zeros_like(whole.mask), (0, 0, 0), "none")
    scores = held_out.score_masks(a_small_model, a_subject, [part, nothing, whole])
    assert scores[0].n_slices < scores[2].n_slices
    assert scores[1].predicted_dsc is None


def test_corrupted_masks_are_what_they_are_called(a_subject):
    masks = {(kind, n): held_out.corrupted(a_subject, 1, kind, n) for kind in held_out.KINDS for n in (0, 1, 2)}
    size = {name: np.count_nonzero(mask.mask) for name, mask in masks.items()}
    assert size["erosion", 0] == size["dilation", 0] == size["shift", 0] == np.count_nonzero(a_subject.labels == 1)
    assert size["erosion", 2] < size["erosion", 1] < size["erosion", 0] < size["dilation", 1] < size["dilation", 2]
    moved = masks["shift", 2]
    box = tuple(slice(c, c + n) for c, n in zip(moved.corner, moved.mask.shape, strict=True))
    assert 0 < volume_dice(moved.mask, a_subject.labels[box] == 1) < 1
    assert size["shift", 2] == size["shift", 0]


def test_a_scorer_that_knows_all_follows_the_series(an_all_knowing_scorer, a_subject):
    (result,) = held_out.series_figures(held_out.corrupted_masks(None, a_subject, ["erosion"], (1, 2, 9)))
    assert result["segments"]["pearson_r"] == pytest.approx(1.0)
    true = [row["true"] for row in result["by_step"][:3]]
    assert true == sorted(true, reverse=True) and true[0] == 1.0
    assert result["by_step"][-1]["vanished"] == 2  # nothing is left of liver and spleen


def test_the_order_of_perfect_and_corrupted_masks(an_all_knowing_scorer, a_subject, monkeypatch):
    monkeypatch.setattr(held_out, "ORDERING", {"erosion": 9, "shift": 4})
    result = held_out.ordering_figures(held_out.corrupted_masks(None, a_subject, ["erosion", "shift"], (4, 9)))
    assert result["all"]["perfect_above"] == 1.0
    assert result["erosion by 9"] == {**result["erosion by 9"], "n": 0, "vanished": 2}  # not counted as success
    assert result["all"]["n"] == 2 and result["all"]["vanished"] == 2


def scored(subject, patient, structure, corrupted):
    """A perfect mask that scores 1, and the same shifted by 4 that scores ``corrupted``."""
    columns = ["subject", "patient", "structure", "kind", "step", "aggregated", "dsc"]
    rows = [(subject, patient, structure, kind, n, s, 0.5) for kind, n, s in (("none", 0, 1), ("shift", 4, corrupted))]
    return pd.DataFrame(rows, columns=columns)


def test_ties_count_half_in_the_order():
    table = pd.concat([scored("a", "a", "liver", 1.0), scored("a", "a", "spleen", 0.5)])
    result = held_out.ordering_figures(table)
    assert result["all"]["perfect_above"] == 0.75
    assert result["by_structure"]["liver"]["perfect_above"] == 0.5


def test_the_order_is_drawn_over_persons_not_cts():
    result = held_out.ordering_figures(pd.concat([scored(f"ct {n}", "a", "liver", 0.5 * n) for n in (1, 2)]))
    assert result["all"]["n"] == 2 and result["all"]["perfect_above_95ci"] is None  # one patient says nothing of others


def test_networks_that_agree_and_one_that_does_not(a_small_model, a_case_on_disk, a_torso, tmp_path):
    import nibabel

    moved = np.roll(a_torso.labels, 3, axis=2)
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(moved.T), a_torso.ijk_to_ras), tmp_path / "moved.nii.gz")
    copy = tmp_path / "copy.nii.gz"
    copy.write_bytes(a_case_on_disk.seg.read_bytes())
    result = held_out.disagreement(
        a_small_model, a_case_on_disk.ct, [a_case_on_disk.seg, copy, tmp_path / "moved.nii.gz"], a_case_on_disk.names
    )
    mean = result[result["k"].isna()].groupby("network")["agreement"].mean()
    assert mean["seg"] == pytest.approx(mean["copy"]) and mean["moved"] < mean["seg"] < 1
    found = held_out.disagreement_figures(result)
    assert found["structures"] == 2 and found["segments"]["n"] == 6
    assert -1 <= found["slices"]["spearman_r"] <= 1
    with pytest.raises(UsageError, match="at least two"):
        held_out.disagreement(a_small_model, a_case_on_disk.ct, [copy])


def test_everything_is_written(make_table, tmp_path):
    groups = {"many": make_table(1, persons=8, prefix="t"), "one patient": make_table(2, persons=1, prefix="u")}
    experiments = Experiments({"data_amount": [{"amount": 10, "unit": "persons"}]})
    report = write_evaluation(tmp_path, groups, calibrate(make_table(0)), experiments, {"name": "m"}, "cmd", draws=10)
    assert json.loads((tmp_path / "evaluation.json").read_text()) == report
    assert list(report["groups"]) == ["all subjects", "many", "one patient"]
    tables = {path.name for path in tmp_path.glob("*.csv*")}
    assert tables >= {"slices.csv.gz", "segments.csv", "figures.csv", "by_structure.csv", "by_error.csv",
                      "slices_per_mask.csv"}  # fmt: skip
    pictures = {path.stem for path in tmp_path.glob("*.png") if path.stat().st_size > 5000}
    assert pictures == {"scatter_slices", "scatter_segments", "calibration", "risk_coverage", "by_structure",
                        "by_error", "missed", "slices_per_mask"}  # fmt: skip
    assert len(EvaluationTable.read(tmp_path / "slices.csv.gz")) == sum(len(g) for g in groups.values())
    write_evaluation(tmp_path, {"many": groups["many"].masked}, draws=0)
    assert not (tmp_path / "missed.png").exists()  # nothing stays of another evaluation


def test_a_group_of_one_person_is_drawn_without_an_interval(tmp_path, monkeypatch):
    """Its slices say nothing of other persons: a bar with ends that meet would look exact."""
    from matplotlib.axes import Axes

    drawn = []

    def keep(self, x, y, xerr, **_):
        drawn.append([(place, row) for place, row, away in zip(x, y, xerr[0], strict=True) if np.isfinite(away)])

    monkeypatch.setattr(Axes, "errorbar", keep)
    one = {"n": 50, "persons": 1, "mae": 0.4, "pearson_r": 0.5}
    two = {"n": 50, "persons": 2, "mae": 0.1, "mae_95ci": (0.05, 0.2), "pearson_r": 0.5, "pearson_r_95ci": (0.4, 0.6)}
    bars_picture({"liver": one, "spleen": two}, tmp_path / "a.png", "some")
    assert drawn == [[(0.1, 0)], [(0.5, 0)]]  # spleen is the lower bar
    bars_picture({"liver": one}, tmp_path / "b.png", "one")
    assert drawn[2:] == [[], []] and (tmp_path / "b.png").stat().st_size > 5000


def test_figures_that_cannot_be_had_are_empty_cells(tmp_path):
    write_rows(tmp_path / "rows.csv", [{"a": float("nan"), "b": None, "r": 0.5, "r_95ci": (0.4, 0.6)}])
    assert (tmp_path / "rows.csv").read_text() == "a,b,r,r_95ci_low,r_95ci_high\n,,0.5,0.4,0.6\n"


def test_figures_that_nobody_has_are_dashes_in_the_terminal(capsys):
    one = {"n": 3, "pearson_r": 0.5, "spearman_r": None, "mae": 0.1, "bias": -0.01, "auroc_below_0.7": None}
    print_figures({"OpenKBP": {"slices": one, "segments": {"area-weighted": one}}})
    rows = [line.split()[-6:] for line in capsys.readouterr().out.splitlines()[1:]]
    assert rows == [["3", "0.500", "-", "0.100", "-0.010", "-"]] * 2


def test_tables_of_several_folds_are_measured_together(make_table, a_model_file, tmp_path):
    from QualitySentinelLib.commands.main import main

    folds = [tmp_path / f"fold{number}.csv.gz" for number in range(2)]
    for number, path in enumerate(folds):
        make_table(number, persons=3, masks=4, prefix=f"fold {number} patient ").write(path)
    arguments = ["evaluate", "--out", str(tmp_path / "out"), "--model", str(a_model_file), "--cross-calibrate"]
    assert main([*arguments, "--tables", *map(str, folds)]) == 0
    report = json.loads((tmp_path / "out/evaluation.json").read_text())
    (group,) = report["groups"].values()  # one data set
    assert group["persons"] == 6
    assert group["coverage"]["cross_fitted"]
    assert "fold1.csv.gz" in (tmp_path / "out/card.md").read_text()
    assert main(arguments) == 2  # neither data nor pairs nor tables


def test_a_subject_in_the_tables_of_two_models_counts_once(make_table, tmp_path):
    first, second = make_table(1, persons=3), make_table(2, persons=3)
    second.patient = second.subject = np.where(second.subject == "p0", "p0", np.char.add(second.subject, "_other"))
    for number, table in enumerate((first, second)):
        table.write(tmp_path / f"{number}.csv")
    both, twice = EvaluationTable.read_all([tmp_path / "0.csv", tmp_path / "1.csv"])
    assert twice == ["p0"]
    np.testing.assert_array_equal(both.dsc[both.subject == "p0"], first.dsc[first.subject == "p0"])
    assert len(both) == len(first) + len(second) * 2 // 3
    assert (both.segments().slices == 8).all()


def test_subjects_of_one_name_in_two_data_sets_are_kept_apart(make_table, tmp_path):
    first, second = make_table(1, persons=3), make_table(2, persons=3)
    second.source = np.full(len(second), "another")
    segments = EvaluationTable.concatenate([first, second]).segments()
    assert len(segments) == 2 * len(first.segments()) and (segments.slices == 8).all()
    for number, table in enumerate((first, second)):
        table.write(tmp_path / f"{number}.csv")
    both, twice = EvaluationTable.read_all([tmp_path / "0.csv", tmp_path / "1.csv"])
    assert len(both) == len(first) + len(second) and twice == []


def test_pair_files_are_scored_in_parts_as_if_at_once(a_small_model, a_subject, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    pairs = make_pairs(a_subject, simulated_candidates(a_subject, rng, 2), rng, a_small_model.preset, None, None)
    write_pairs(pairs, tmp_path / "a.pairs.h5", a_small_model.preset)
    whole, read, most = predict(a_small_model, pairs), PairFile.pictures, []

    def noting(self, rows):
        most.append(rows.stop - rows.start)
        return read(self, rows)

    monkeypatch.setattr(PairFile, "pictures", noting)
    monkeypatch.setattr("QualitySentinelTrainingLib.evaluation.run._BATCH", 7)
    (table,) = evaluate_pair_files(a_small_model, [tmp_path / "a.pairs.h5"])
    np.testing.assert_allclose(table.predicted, whole, atol=1e-5)
    np.testing.assert_array_equal(table.k, pairs.k)
    assert max(most) == 7 < len(pairs)


def test_no_candidates_give_an_empty_table(a_small_model, a_subject):
    table = evaluate(a_small_model, a_subject, [])
    assert len(table) == 0 and len(table.segments()) == 0


def test_removed_slices_are_measured_apart(make_table):
    table = make_table(1, persons=4)
    assert "removed" not in missed_figures(table)
    table.kind = np.where(table.mask == 3, "removed inner slices", table.kind)
    measured = missed_figures(table)["removed"]
    assert measured["n_missed"] + measured["n_rightly_empty"] == 4 * 4  # four empty slices in one mask of each patient


def test_a_model_is_only_measured_on_persons_it_never_saw(a_small_model, a_torso, tmp_path, capsys):
    from QualitySentinelLib.checkpoint import save_model
    from QualitySentinelLib.commands.main import main

    preset = a_small_model.preset
    for name in ("pt_1", "pt_2", "pt_3"):
        frame = AxialFrame.from_affine(a_torso.ijk_to_ras, a_torso.hu.shape)
        subject = Subject(name, CtVolume(a_torso.hu, frame), a_torso.labels, a_torso.names, "OpenKBP")
        rng = np.random.default_rng(0)
        pairs = make_pairs(subject, simulated_candidates(subject, rng, 3), rng, preset, None, None)
        write_pairs(pairs, tmp_path / "pairs" / f"{name}.pairs.h5", preset)
    trained = replace(a_small_model, metadata={"training": {"sources": {"OpenKBP": {"persons": ["pt_2"]}}}})
    model = save_model(trained, tmp_path / "model.safetensors")
    arguments = ["evaluate", "--pairs", str(tmp_path / "pairs"), "--model", str(model), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    told = EvaluationTable.read(tmp_path / "out/slices.csv.gz")
    assert set(told.patient) == {"pt_1", "pt_3"}
    assert main([*arguments, "--without-names"]) == 0
    untold = EvaluationTable.read(tmp_path / "out/slices.csv.gz")
    assert (untold.dsc == told.dsc).all() and (untold.predicted != told.predicted).any()
    assert main([*arguments, "--sources", "another"]) == 2
    assert "no subjects to evaluate" in capsys.readouterr().err


@pytest.fixture
def two_cts_of_one_person(a_torso, tmp_path):
    """A folder of cases ``a_1`` and ``a_2`` of patient ``a``, and ``b_1``, with values that nothing there names."""
    for case in ("a_1", "a_2", "b_1"):
        for name, array in (("ct", a_torso.hu), ("label", a_torso.labels)):
            path = tmp_path / "data" / case / f"{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(array.T), a_torso.ijk_to_ras), path)
    (tmp_path / "names.json").write_text('{"1": "liver", "2": "spleen"}')
    return tmp_path / "data"


def test_persons_and_names_are_those_that_make_pairs_was_told(
    a_small_model, two_cts_of_one_person, a_subject, tmp_path, capsys, monkeypatch
):
    """A model trained on one CT of a patient is not measured on the other one."""
    from QualitySentinelLib.checkpoint import save_model
    from QualitySentinelLib.commands.main import main

    monkeypatch.setattr("QualitySentinelTrainingLib.evaluation.run.PHANTOM_SEEDS", {"test": range(1)})
    monkeypatch.setattr("QualitySentinelTrainingLib.evaluation.run.phantom_subject", lambda _: a_subject)
    seen = {"training": {"sources": {"Hospital": {"persons": ["a"]}}}}
    model = save_model(replace(a_small_model, metadata=seen), tmp_path / "model.safetensors")
    arguments = ["evaluate", "--data", str(two_cts_of_one_person), "--names", str(tmp_path / "names.json"), "--person",
                 "([ab])_", "--source", "Hospital", "--masks", "1", "--model", str(model),
                 "--out", str(tmp_path / "out")]  # fmt: skip
    assert main([*arguments, "--cross-calibrate"]) == 2  # one patient is too few, but what was scored is kept
    assert "at least three patients" in capsys.readouterr().err
    table = EvaluationTable.read(tmp_path / "out/slices.csv.gz")
    assert set(table.subject) == {"b_1", "torso"} and set(table.patient) == {"b", "somebody"}
    assert set(table.source) == {"Hospital", "invented"}
    assert main(arguments) == 0
    assert "--names names.json --patient '([ab])_'" in (tmp_path / "out/card.md").read_text()


@pytest.mark.parametrize(
    ("options", "named"),
    [(["--without-names"], "--without-names has no effect"), (["--sources", "A"], "--sources has no effect"),
     (["--patient", "(.)"], "--patient has no effect"), (["--seed", "-1"], "--seed -1: give 0"),
     (["--masks", "-1"], "--masks -1: give 0")],
)  # fmt: skip
def test_options_that_would_do_nothing_are_refused(make_table, tmp_path, capsys, options, named):
    from QualitySentinelLib.commands.main import main

    make_table(0, persons=2, masks=1).write(tmp_path / "t.csv")
    assert main(["evaluate", "--tables", str(tmp_path / "t.csv"), "--out", str(tmp_path / "out"), *options]) == 2
    assert named in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_what_an_experiment_measured_comes_into_the_card(make_table, a_model_file, tmp_path, capsys):
    from QualitySentinelLib.commands.main import main

    make_table(0, persons=3, masks=4).write(tmp_path / "table.csv.gz")
    slices = {"n": 10, "pearson_r": 0.5, "mae": 0.25}
    written = {
        "experiment": "architectures", "command": "make experiments of mine",
        "result": {
            "compact": {
                "parameters": 12345, "milliseconds_per_slice": 2.5, "gigaflops_per_slice": 0.25, "slices": slices
            },
            "cost_ratio": 9.0, "flops_ratio": 10.0, "pairs": 8000, "differences": ["one draws no map"],
        },
    }  # fmt: skip
    (tmp_path / "figures.json").write_text(json.dumps(written))
    arguments = ["evaluate", "--out", str(tmp_path / "out"), "--model", str(a_model_file), "--experiments",
                 str(tmp_path / "figures.json"), "--tables", str(tmp_path / "table.csv.gz")]  # fmt: skip
    assert main(arguments) == 0
    card = (tmp_path / "out/card.md").read_text()
    assert (
        "| compact | 12,345 | 2.5 | 0.25 | 10 | 0.500 | 0.250 |" in card
        and "8,000 pairs" in card
        and "make experiments of mine" in card
    )
    (tmp_path / "figures.json").write_text("{}")
    assert main(arguments) == 3
    assert "figures.json: not figures of an experiment" in capsys.readouterr().err


def test_the_worst_slices_are_shown_one_of_each_structure(a_small_model, a_subject, tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "torso.pairs.h5"
    pairs = make_pairs(a_subject, simulated_candidates(a_subject, rng, 3), rng, a_small_model.preset, None, None)
    write_pairs(pairs, path, a_small_model.preset)
    (table,) = evaluate_pair_files(a_small_model, [path])
    shown = worst_slices(table, [path], 2)
    error = np.abs(table.masked.predicted - table.masked.dsc)
    worst = table.masked.take([int(np.argmax(error))])
    assert len(shown) == 2 and f"k {worst.k[0]}" in shown[0][3] and worst.structure[0] in shown[0][3]
    assert len({title.split(", k")[0] for *_, title in shown}) == 2
    worst_picture(shown, tmp_path / "worst.png")
    assert (tmp_path / "worst.png").stat().st_size > 5000


def test_names_are_told_apart_by_a_model_that_knows_sides_and_not_by_one_that_does_not(a_small_model, a_torso):
    labels, frame = a_torso.labels.copy(), AxialFrame.from_affine(a_torso.ijk_to_ras, a_torso.hu.shape)
    liver = next(value for value, name in a_torso.names.items() if name == "liver")
    half = labels.shape[2] // 2
    right, left = (labels == liver).copy(), labels == liver
    right[:, :, half:] = False
    labels[right], labels[left & ~right] = 1, 2
    labels[labels > 2] = 0
    names = ("kidney right", "kidney left")
    subject = Subject("torso", CtVolume(a_torso.hu, frame), labels, dict(enumerate(names, 1)), "invented")
    table = replace(a_small_model.table, names=names)

    class Knowing(type(a_small_model)):
        def score(self, images, told, pixel_mm, place, locator):
            claimed = np.array([1.0 if name == "kidney left" else -1.0 for name in told])
            return (claimed * place[:, 0].numpy() > place[:, 0].numpy().mean() * claimed).astype(np.float32)

    model = Knowing(**{f.name: getattr(a_small_model, f.name) for f in fields(a_small_model) if f.init})
    model.table = table
    told = held_out.identity_figures(held_out.named_masks(replace(a_small_model, table=table), subject))["all"]
    assert (told["own"], told["swaps"], told["wrong"]) == (2, 2, 2)
    assert held_out.identity_figures(held_out.named_masks(model, subject))["all"]["auroc"] == 1.0
