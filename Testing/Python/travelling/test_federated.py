"""The journey on NVFlare: what travels, what sites may do wrong, and that the results are those of one process."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file

from QualitySentinelLib.errors import UsageError
from QualitySentinelTrainingLib.travelling.experiment import NetworkOptions, samples_of
from QualitySentinelTrainingLib.travelling.journeys import events_of, visits_of
from QualitySentinelTrainingLib.travelling.protocol import CenterUnavailable, Fate
from QualitySentinelTrainingLib.travelling.sites import TRAIN
from QualitySentinelTrainingLib.travelling.travel import travel

pytest.importorskip("nvflare", reason="the extra 'federated' is not installed")
from nvflare.app_common.utils.fl_model_utils import FLModelUtils
from nvflare.app_common.workflows.model_controller import FLModel

from QualitySentinelTrainingLib.travelling.federated import (
    SITE_VARIABLE,
    RemoteLearner,
    TravelController,
    TravelExecutor,
    travel_recipe,
)


class Wire(TravelController):
    """A controller whose sites are executors in this process; what they answer can be spoiled."""

    def __init__(self, experiment, out, sites, spoil=lambda site, task, model: model):
        super().__init__(json.dumps(experiment, default=str), str(out))
        self.sites, self.spoil, self.sent = {site: TravelExecutor(self.experiment) for site in sites}, spoil, []
        workspace = SimpleNamespace(get_run_dir=lambda job: str(out / "job"))
        self.engine = SimpleNamespace(
            get_clients=lambda: [SimpleNamespace(name=site) for site in sites], get_workspace=lambda: workspace
        )
        self.abort_signal = SimpleNamespace(triggered=False)

    def send_model_and_wait(self, task_name, data, targets, timeout):
        (site,) = targets
        self.sent.append((site, task_name, json.loads(data.meta["told"])))
        context = SimpleNamespace(
            get_identity_name=lambda: site, get_engine=lambda: self.engine, get_job_id=lambda: "1",
            get_prop=lambda *names: None,
        )  # fmt: skip
        answer = self.sites[site].execute(task_name, FLModelUtils.to_shareable(data), context, self.abort_signal)
        answer = self.spoil(site, task_name, FLModelUtils.from_shareable(answer))
        return [answer] if answer else []

    def info(self, text):
        pass

    def warning(self, text):
        pass


@pytest.fixture
def told(experiment, tmp_path):
    """The experiment, as JSON holds it."""
    from dataclasses import asdict

    return asdict(experiment(baselines=False, travel={"tolerance": 0.05}))


def run(told, out, sites=("center_1", "center_2", "center_3"), **how):
    wire = Wire(told, out, sites, **how)
    wire.run()
    return wire, events_of(visits_of(out))


def test_sites_get_weights_and_numbers_and_give_the_results_of_one_process(experiment, told, tmp_path):
    wire, events = run(told, tmp_path / "remote")
    travel(experiment(baselines=False, travel={"tolerance": 0.05}), tmp_path / "core", lambda line: None)
    here = events_of(visits_of(tmp_path / "core"))
    assert [(e.cycle, e.center, len(e.samples), e.fate, e.errors) for e in events] == [
        (e.cycle, e.center, len(e.samples), e.fate, e.errors) for e in here
    ]
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("core", "remote"))
    assert all((ours[name] == theirs[name]).all() for name in ours)
    kept = "".join(path.read_text() for path in (tmp_path / "remote" / "visits").iterdir())
    server = {sample.name for sample in samples_of(experiment()) if sample.split == TRAIN}
    assert not any(name in kept or name in json.dumps(wire.sent) for name in server)  # no case leaves its site
    assert (tmp_path / "remote" / "job" / "eliminated.csv").is_file()  # the site knows which numbers these are
    assert "center_1#0" in (tmp_path / "remote" / "samples.csv").read_text()  # the server knows numbers only


def test_a_site_that_never_answers_is_passed_over_and_the_job_rests_for_it(told, tmp_path):
    def silent(site, task, model):
        return None if (site, task) == ("center_2", "train") else model

    _, events = run(told | {"engine": "poc"}, tmp_path / "out", spoil=silent)
    assert {e.fate for e in events if e.center == "center_2"} == {Fate.PASSED_OVER} and {e.cycle for e in events} == {0}
    assert any(e.fate is not Fate.PASSED_OVER for e in events)
    _, events = run(told | {"engine": "poc"}, tmp_path / "out")  # the next job, with all sites
    assert {e.cycle for e in events if e.center == "center_2" and e.fate is not Fate.PASSED_OVER} == {1}


@pytest.mark.parametrize(
    ("part", "spoiled", "fates", "said"),
    [
        ("network.", lambda array: array * np.nan, {Fate.REJECTED, Fate.REVISIT}, ""),
        *(
            (part, spoiled, {Fate.PASSED_OVER}, "sent weights of another network")
            for part, spoiled in (
                ("network.", lambda array: array[:1]),
                ("optimizer.", lambda array: np.zeros((3, 2), np.float32)),
                ("updates", lambda array: array[:0]),
            )
        ),
    ],
)
def test_weights_that_are_no_numbers_or_of_another_network_change_nothing(told, tmp_path, part, spoiled, fates, said):
    def spoil(site, task, model):
        if (site, task) != ("center_1", "train"):
            return model
        params = {n: spoiled(a) if n.startswith(part) else a for n, a in model.params.items()}
        return FLModel(params_type=model.params_type, params=params, meta=model.meta)

    _, events = run(told | {"travel": told["travel"] | {"cycles": 1, "trial_steps": 0}}, tmp_path / "out", spoil=spoil)
    there = [e for e in events if e.center == "center_1"]
    assert {e.fate for e in there} == fates and all(said in e.note for e in there)
    assert all(np.isfinite(array).all() for array in load_file(tmp_path / "out" / "model.safetensors").values())


def test_a_site_with_another_architecture_says_so_in_one_line(experiment, told, tmp_path):
    wire = Wire(told, tmp_path / "out", ["center_1"])
    other = experiment(network=NetworkOptions(size=16, widths=(4, 6)))
    learner = RemoteLearner(other, [s for s in samples_of(other) if s.split != TRAIN], wire)
    wire.ask("center_1", "describe", {"nothing": np.zeros(1, np.float32)}, {"classes": []})
    with pytest.raises(CenterUnavailable, match="^weights of another network"):
        learner.train("center_1", ["center_1#0"])


def test_a_server_that_is_restarted_goes_on(experiment, told, tmp_path):
    class Restarted(Exception):
        pass

    def stops(site, task, model):
        seen.append(site)
        if task == "train" and len(seen) == 12:
            raise Restarted
        return model

    seen = []
    with pytest.raises(Restarted):
        run(told, tmp_path / "stopped", spoil=stops)
    assert 0 < len(visits_of(tmp_path / "stopped")) < 8
    _, events = run(told, tmp_path / "stopped")
    _, whole = run(told, tmp_path / "whole")
    assert events == whole


def test_a_real_site_reads_its_own_data(experiment, told, bodies, tmp_path, monkeypatch):
    own = tmp_path / "site.toml"
    own.write_text(f'data = "{bodies}"\ntask = "classification"\n[network]\nsize = 16\nwidths = [4, 8]\n')
    monkeypatch.setenv(SITE_VARIABLE, str(own))
    wire = Wire(told | {"data": "/nowhere", "sites": "/nowhere/sites.csv"}, tmp_path / "out", ["hospital"])
    answer = wire.ask("hospital", "describe", {"nothing": np.zeros(1, np.float32)}, {"classes": []})
    assert json.loads(answer.meta["told"])["samples"] == list(range(40))  # all of its cases, whatever their split


def test_options_that_need_names_of_samples_are_refused(experiment, tmp_path):
    with pytest.raises(UsageError, match="do not leave sites"):
        travel(experiment(engine="simulator", clean_cycles=1), tmp_path, lambda line: None)


@pytest.mark.slow
def test_nvflares_simulator_gives_the_results_of_one_process(experiment, sites, tmp_path):
    changes = {"baselines": False, "travel": {"cycles": 1, "batch_size": 8, "tolerance": 1.0}}
    for engine in ("core", "simulator"):
        travel(experiment(engine=engine, **changes), tmp_path / engine, lambda line: None)
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("core", "simulator"))
    assert all(np.allclose(ours[name], theirs[name], atol=1e-6) for name in ours)
    assert (tmp_path / "core" / "samples.csv").read_text() == (tmp_path / "simulator" / "samples.csv").read_text()
    recipe = travel_recipe(experiment(), tmp_path)
    recipe.export(str(tmp_path / "job"))
    assert "TravelExecutor" in (tmp_path / "job" / "travel" / "app" / "config" / "config_fed_client.json").read_text()


def test_a_journey_without_sites_is_refused(told, tmp_path, experiment):
    from QualitySentinelLib.errors import InputError

    with pytest.raises(InputError, match="no site answers"):
        run(told, tmp_path / "out", sites=())
