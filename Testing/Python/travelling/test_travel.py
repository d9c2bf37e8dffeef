"""Experiments: networks that travel, harm that is found, journeys that survive a stop, and the report."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

import QualitySentinelTrainingLib.travelling.journeys as travelling
from QualitySentinelLib.commands.main import main
from QualitySentinelLib.datasets import Case
from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelTrainingLib.segmentation.network import SegmentationNetwork
from QualitySentinelTrainingLib.subjects import phantom_subject
from QualitySentinelTrainingLib.travelling.experiment import (
    LocalLearner,
    NetworkOptions,
    Sample,
    Server,
    Signal,
    samples_of,
)
from QualitySentinelTrainingLib.travelling.journeys import events_of, start_from, visits_of
from QualitySentinelTrainingLib.travelling.models import OWN_LOSS
from QualitySentinelTrainingLib.travelling.quality import outliers, predicted_quality
from QualitySentinelTrainingLib.travelling.report import detection, found_by
from QualitySentinelTrainingLib.travelling.sites import read_sites, write_sites
from QualitySentinelTrainingLib.travelling.travel import suspects_of, travel


def quietly(line):
    pass


def change_rows(path, **columns):
    """Write the table again; each column's new value is a function of the row."""
    write_sites(path, [row | {name: change(row) for name, change in columns.items()} for row in read_sites(path)])


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_an_update_can_be_undone_and_repeated_exactly(experiment, task):
    learner = LocalLearner(experiment(task), samples_of(experiment(task)))
    batch = list(learner.looks)[:3]
    learner.train("", batch)
    before = learner.state()
    learner.train("", batch)
    once, errors = learner.state(), learner.verify()
    learner.restore(before)
    assert all((before[name] == array).all() for name, array in learner.state().items())
    learner.train("", batch)
    assert all((once[name] == array).all() for name, array in learner.state().items())
    assert learner.verify() == errors and all(0 <= value <= 1 for value in errors.values())
    assert any((once[name] != before[name]).any() for name in once)
    losses = [learner.model.loss([learner.looks[name]]) for name in batch]
    told, tried = learner.train("", batch, 3), learner.state()  # a trial, of which the optimizer knows nothing
    assert told == {OWN_LOSS: max(losses)} and learner.expected().keys() == told.keys()
    assert all((once[name] == array).all() for name, array in tried.items() if name.startswith("optimizer."))
    assert any((once[name] != array).any() for name, array in tried.items() if name.startswith("network."))


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_training_makes_the_model_better(experiment, task):
    by = experiment(task, verify_by="loss")
    learner = LocalLearner(by, samples_of(by))
    before = learner.verify()["loss"]
    for _ in range(4):
        for batch in (list(learner.looks)[n : n + 6] for n in range(0, 24, 6)):
            learner.train("", batch)
    assert learner.verify()["loss"] < before


def test_weights_of_another_network_are_refused_and_change_nothing(experiment):
    server = Server(experiment(), samples_of(experiment()))
    other = Server(experiment(network=NetworkOptions(size=16, widths=(4, 6))), samples_of(experiment()))
    before = server.state()
    with pytest.raises(InputError, match="weights of another network"):
        server.restore(other.state())
    assert all((before[name] == array).all() for name, array in server.state().items())


def test_a_journey_starts_from_the_weights_of_a_file(experiment, tmp_path):
    first, learner = (LocalLearner(experiment(), samples_of(experiment())) for _ in range(2))
    first.train("", list(first.looks)[:3])
    save_file(first.state(), tmp_path / "start.safetensors")
    start_from(tmp_path / "start.safetensors", learner)
    assert all((learner.state()[n] == a).all() for n, a in first.state().items() if n.startswith("network."))
    assert learner.state()["updates"] == 0 and not any(name.startswith("optimizer") for name in learner.state())
    save_file({"network.0.weight": np.zeros(3)}, tmp_path / "other.safetensors")
    for name, said in (("none", "cannot be read"), ("other", "holds weights of another network")):
        with pytest.raises(InputError, match=f"{name}.safetensors: {said}"):
            start_from(tmp_path / f"{name}.safetensors", learner)


def test_weights_that_are_no_numbers_are_an_error_that_is_no_number(experiment):
    server = Server(experiment("segmentation"), samples_of(experiment("segmentation")))
    state = server.state()
    state[next(iter(state))][...] = np.nan
    server.restore(state)
    assert all(np.isnan(value) for value in server.verify().values())


def test_a_journey_that_is_killed_at_any_visit_ends_like_one_that_is_not(experiment, tmp_path, monkeypatch):
    told = experiment(baselines=False, travel={"tolerance": 0.05, "drift": None})
    travel(told, tmp_path / "whole", quietly)
    whole = visits_of(tmp_path / "whole")
    written, stop = [], 0
    write = travelling.atomic_write

    class Killed(BaseException):
        pass

    def dies(path, content):
        if path.parent.name == "weights":
            written.append(path)
            if len(written) == stop:
                raise Killed
        return write(path, content)

    monkeypatch.setattr(travelling, "atomic_write", dies)
    for stop in (1, 2, 3, 5, 7):  # noqa: B007  it is read in dies()
        written.clear()
        try:
            travel(told, tmp_path / "stopped", quietly)
        except Killed:
            continue
    stop = 0
    travel(told, tmp_path / "stopped", quietly)
    again = visits_of(tmp_path / "stopped")
    assert [r.lines for r in again] == [r.lines for r in whole] and len(whole) == 2 * 4
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "stopped")]
    assert files[0] == files[1]
    assert len(list((tmp_path / "stopped" / "weights").iterdir())) == 1


def test_an_experiment_from_its_file_to_its_report(bodies, sites, tmp_path, capsys):
    change_rows(sites, harm=lambda row: "inverted" if row["institution"] == "center_3" else "")
    file = tmp_path / "EXPERIMENT.toml"
    file.write_text(
        f'data = "{bodies}"\nsites = "sites.csv"\ntask = "segmentation"\nclean_cycles = 1\n'
        "[travel]\ncycles = 3\ntolerance = 0.01\nrevisit_after = 1\n"
        "[network]\nsize = 16\nwidths = [4, 8]\nslice_mm = 30\npixel_mm = 12.0\nlearning_rate = 0.01\n"
    )
    assert main(["travel", str(file), "--out", str(tmp_path / "out")]) == 0
    out = tmp_path / "out"
    page = (out / "report.html").read_text()
    for text in ("Detection", "clean baseline", "dirty baseline", "NSD", "female", "age 40 to 59", "verifications"):
        assert text in page
    header, *rows = [line.split(",") for line in (out / "sites.csv").read_text().splitlines()]
    assert header == ["cycle", "site", "samples", "accepted", "revisited", "eliminated", "passed_over"]
    assert {row[0] for row in rows} == {"0", "1", "2"}
    assert {row[1] for row in rows} == {"center_1", "center_2", "center_3"}
    assert "inverted" in (out / "samples.csv").read_text()
    assert (out / "cycles.csv").read_text().count("dirty baseline") == 3 * 10  # cycles, and patients of the test set
    assert SegmentationNetwork.load(out / "model.safetensors").classes == ("background", "liver")
    seconds = (out / "weights").stat().st_mtime_ns
    assert main(["travel", str(file), "--out", str(out)]) == 0  # nothing is done again
    assert (out / "weights").stat().st_mtime_ns == seconds
    assert main(["travel", str(file), "--set", "published=true", "--out", str(out)]) == 2
    assert "was made with published False, not True" in capsys.readouterr().err


def test_harmful_samples_are_found_when_the_model_is_good(experiment, sites, tmp_path):
    change_rows(sites, harm=lambda row: "inverted" if row["institution"] == "center_2" else "")
    told = experiment(
        "segmentation", baselines=False, clean_cycles=6,
        travel={"cycles": 4, "tolerance": 0.004, "revisit_after": 1},
        network=NetworkOptions(size=16, widths=(4, 8), slice_mm=30.0, pixel_mm=12.0, learning_rate=1e-2),
    )  # fmt: skip
    travel(told, tmp_path / "out", quietly)
    rows = [line.split(",") for line in (tmp_path / "out" / "samples.csv").read_text().splitlines()[1:]]
    harmful, good = ([r[-1] == "eliminated" for r in rows if bool(r[2]) is bad] for bad in (True, False))
    assert np.mean(harmful) > np.mean(good) + 0.5


def test_the_published_rates_and_drift_are_used_on_demand(experiment):
    assert experiment(published=True).travel_options.drift is None
    assert experiment(published=True).travel_options.trial_steps == 0
    assert experiment().travel_options.drift == 0.1 and experiment().travel_options.trial_steps > 0


def test_suspicious_samples_are_left_out_at_first(experiment, tmp_path):
    names = [sample.name for sample in samples_of(experiment()) if sample.split == "train"]
    table = tmp_path / "label_errors.csv"
    lines = [f"{name},{50 if name == names[0] and first else 0}\n" for name in names for first in (True, False)]
    table.write_text("case,errors\n" + "".join(lines))  # two structures of each
    told = experiment(
        baselines=False, suspects="revisit", travel={"revisit_after": 1},
        signals=(Signal(table=table, column="errors", low_is_bad=False),),
    )  # fmt: skip
    travel(told, tmp_path / "out", quietly)
    events = [e for e in events_of(visits_of(tmp_path / "out")) if names[0] in e.samples]
    assert events[0].cycle == 1 and events[0].samples == (names[0],)  # alone, after the second cycle
    assert "errors" in (tmp_path / "out" / "samples.csv").read_text()


def test_the_row_of_a_whole_case_counts_more_than_its_worst_structure(experiment, tmp_path):
    samples = [sample for sample in samples_of(experiment()) if sample.split == "train"]
    table = tmp_path / "label_errors.csv"
    lines = [f"{s.name},,{0.5 if s is samples[0] else 0.1 + 0.001 * n}\n" for n, s in enumerate(samples)]
    lines += [f"{s.name},liver,{0.9 if s is samples[1] else 0.1}\n" for s in samples]
    table.write_text("case,structure,share_wrong\n" + "".join(lines))
    told = experiment(signals=(Signal(table=table, column="share_wrong", low_is_bad=False),))
    assert suspects_of(told, samples, tmp_path, quietly) == {samples[0].name: ["share_wrong"]}


def test_predicted_dsc_is_lower_where_masks_are_shifted(tmp_path, monkeypatch):
    shown = {name: replace(phantom_subject(1), name=name) for name in ("good", "bad")}
    harms = {"good": "", "bad": "shifted masks"}
    samples = [Sample(Case(name, "", "", root=tmp_path), "A", "train", harm, None) for name, harm in harms.items()]
    monkeypatch.setattr("QualitySentinelTrainingLib.travelling.experiment.read_subject", lambda case: shown[case.name])
    found = predicted_quality(samples, tmp_path / "quality", quietly)
    assert found["good"] > found["bad"] + 0.2
    assert predicted_quality(samples, tmp_path / "quality", quietly) == found  # kept, not scored again
    assert (tmp_path / "quality" / "quality.csv").read_text().startswith("case,center,predicted_dsc\n")


def test_outliers_are_on_the_bad_side_only():
    values = dict(zip("abcdefg", [0.8, 0.81, 0.79, 0.8, 0.82, 0.1, 1.5], strict=True))
    assert outliers(values) == ["f"] and outliers(values, low_is_bad=False) == ["g"]
    assert outliers({"a": 0.0, "b": 1.0}) == []


def test_detection_tells_harmful_centers_from_harmful_samples():
    rows = [(site, harm.strip("_")) for site, harms in zip("ABC", ("xx", "x__", "__"), strict=True) for harm in harms]
    samples = pd.DataFrame(rows, columns=["site", "harm"])
    inside, single, centers = detection(samples, pd.Series([True, True, False, True, False, False, False]))
    assert inside[1:] == [2, 1.0, 4, 0.75] and single[1:3] == [1, 0.0] and centers[1:] == [1, 1.0, 2, 1.0]
    samples = samples.assign(suspicious=["a, b", "a", "a", *[""] * 4], rejected=1, fate="kept", first_rejected=range(7))
    found = {(way, what): shares for way, what, *shares in found_by(samples)}
    assert found["b, before any update", "samples of harmful centers"] == [2, 0.5, 4, 1.0]
    assert found["suspicious, or rejected in the first cycle", "harmful samples in good centers"] == [1, 1.0, 4, 1.0]
    assert found["eliminated", "centers"] == [1, 0.0, 2, 1.0]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"split": lambda row: row["split"].replace("verification", "train")}, "has no verification samples"),
        ({"label": lambda row: "1" if row["split"] == "verification" else row["label"]}, "has no negatives"),
        ({"label": lambda row: ""}, "has no 'label'"),
        ({"split": lambda row: "validation"}, "has split 'validation'; give train, verification, test"),
        ({"patient": lambda row: "p"}, "patient p is in .* and .*; patients must not be split"),
        ({"harm": lambda row: "shifted masks"}, "does nothing where a whole CT has one label"),
        ({"harm": lambda row: "wet"}, "'wet' is no harm"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_travelled_are_refused_in_one_line(experiment, sites, tmp_path, columns, said):
    change_rows(sites, **columns)
    with pytest.raises((InputError, UsageError), match=said) as error:
        travel(experiment(), tmp_path / "out", quietly)
    assert "\n" not in str(error.value)


def test_centers_of_one_sample_or_of_one_class_are_travelled_and_named(experiment, sites, tmp_path):
    rows = read_sites(sites)
    train = [row["case"] for row in rows if row["split"] == "train"]
    change_rows(sites, institution=lambda row: "alone" if row["case"] == train[0] else row["institution"])
    travel(experiment(baselines=False), tmp_path / "out", quietly)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Centers with one class only" in page and "alone" in page


def test_a_sample_that_cannot_be_read_is_named_and_left_out(experiment, bodies, sites, tmp_path, capsys, monkeypatch):
    from QualitySentinelTrainingLib.travelling import experiment as module

    lost = next(s.name for s in samples_of(experiment()) if s.split == "train")
    read = module.read_case_ct

    def damaged(case):
        if case.name == lost:
            raise InputError(f"{case.name}: is damaged")
        return read(case)

    monkeypatch.setattr(module, "read_case_ct", damaged)
    travel(experiment(baselines=False), tmp_path / "out", quietly)
    assert f"skipped: {lost}: {lost}: is damaged" in capsys.readouterr().err
    events = events_of(visits_of(tmp_path / "out"))
    assert lost not in {name for event in events for name in event.samples}
    assert all(a.cycle <= b.cycle for a, b in pairwise(events))
