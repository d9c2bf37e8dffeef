"""The journey on NVFlare: the server sends the model to one site after another, and keeps what comes back or not.

NVFlare's own cyclic controllers pass a model on from site to site without looking at it. So the controller here is a
``ModelController`` like theirs whose order and guard are the :class:`.protocol.Journey`'s. Weights, optimizer and
counts travel; a sample is only ever a number within its site.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from nvflare.apis.executor import Executor
from nvflare.apis.fl_constant import ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable, make_reply
from nvflare.apis.signal import Signal
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.utils.fl_model_utils import FLModelUtils
from nvflare.app_common.workflows.model_controller import ModelController

from QualitySentinelLib.datasets import Case
from QualitySentinelLib.errors import InputError, QualitySentinelError, reason_of
from QualitySentinelLib.files import atomic_write

from ..option_files import read_options
from ..pages import write_table
from ..runs import Run
from .experiment import Experiment, Sample, Server, centers_of, looks_of, new_model, samples_of
from .journeys import KIND, carry_on, events_of, start_from, visits_of
from .protocol import CenterUnavailable, Fate
from .quality import outliers, predicted_quality
from .report import write_travel_report
from .sites import TRAIN

SITE_VARIABLE = "QUALITY_SENTINEL_SITE"
"""At a real site: the EXPERIMENT.toml with the site's own ``data``."""
_DESCRIBE, _TRAIN, _REPORT = "describe", "train", "report"
_CENTERS, _LOG, _ENDED, _JOB = "centers.json", "nvflare.log", "job_ended", "travel"
_ASK_S, _SERVER_GONE_S = 10, 30
"""The server is asked this often; it has gone when it does not answer for so long."""
_WAIT_S = 0.1
"""Sites ask the server for work this often."""
_NOTHING = {"nothing": np.zeros(1, np.float32)}


class TravelController(ModelController):
    """The server's part, in the server's process of the job.

    Args:
        experiment: as JSON.
        out: folder on the server for everything that survives a restart of it.
    """

    def __init__(self, experiment: str, out: str) -> None:
        super().__init__(persistor_id="", ignore_result_error=True, task_check_period=0.1)
        self.experiment, self.out = experiment, out

    def run(self) -> None:
        """Travel to the end, or to the end of a cycle in which a site was passed over: the next job may reach it."""
        try:
            self._run()
        finally:
            atomic_write(Path(self.out) / _ENDED, "")

    def _run(self) -> None:
        experiment, out = _experiment(self.experiment), Path(self.out)
        samples = [s for s in samples_of(experiment) if s.split != TRAIN]
        learner = RemoteLearner(experiment, samples, self)
        if experiment.start:
            start_from(experiment.start, learner)
        centers, suspicious = self._centers(experiment, learner, out)
        rest = experiment.engine != "simulator"  # there, nobody comes back
        carry_on(experiment, out, learner, centers, experiment.travel_options, suspicious, self.info, rest)
        if not _is_complete(out):
            return
        fates = {name: event.fate for event in events_of(visits_of(out)) for name in event.samples}
        for center, names in centers.items():
            lost = [_number(name) for name in names if fates.get(name) is Fate.ELIMINATED]
            try:
                self.ask(center, _REPORT, _NOTHING, {"eliminated": lost})
            except CenterUnavailable as reason:
                self.warning(f"{center}: has no report ({reason})")
            samples += [Sample(Case(name, "", "", root=out), center, TRAIN, "", None) for name in names]
        found = {name: ["predicted DSC"] for name in suspicious}
        write_travel_report(experiment, samples, found, out, {})

    def ask(self, site: str, task: str, arrays: Mapping[str, np.ndarray], told: dict) -> FLModel:
        """What a site answers.

        Raises:
            CenterUnavailable: it does not answer in time, or says that it cannot.
        """
        model = FLModel(params_type=ParamsType.FULL, params=dict(arrays), meta={"told": json.dumps(told)})
        seconds = _experiment(self.experiment).answer_within
        answers = self.send_model_and_wait(task, model, targets=[site], timeout=seconds)
        if self.abort_signal.triggered:
            raise InputError("the job was stopped")
        if not answers:
            raise CenterUnavailable(f"no answer within {seconds} s, or the site failed")
        if problem := _told(answers[0]).get("problem"):
            raise CenterUnavailable(problem)
        return answers[0]

    def _centers(self, experiment: Experiment, learner: RemoteLearner, out: Path) -> tuple[dict, list[str]]:
        """Samples of each site by number, from the sites that answer now or did before; and the suspicious ones."""
        path = out / _CENTERS
        known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        for client in self.engine.get_clients():
            try:
                known[client.name] = _told(self.ask(client.name, _DESCRIBE, _NOTHING, {"classes": learner.classes}))
            except CenterUnavailable as reason:
                self.warning(f"{client.name}: passed over: {reason}")
        if not known:
            raise InputError("no site answers; start the sites, then run the same command again")
        atomic_write(path, json.dumps(known))
        centers = {site: [f"{site}#{n}" for n in told["samples"]] for site, told in known.items() if told["samples"]}
        return centers, _suspicious(known)


class RemoteLearner(Server):
    """A learner whose training happens at sites."""

    def __init__(self, experiment: Experiment, samples: Sequence[Sample], controller: TravelController) -> None:
        super().__init__(experiment, samples)
        self._controller = controller

    def train(self, center: str, samples: Sequence[str], steps: int = 0) -> dict[str, float]:
        """Train on a batch, at the site; weights of another network count as no answer."""
        told = {"batch": [_number(name) for name in samples], "steps": steps}
        answer = self._controller.ask(center, _TRAIN, self.state(), told)
        try:
            self.restore(answer.params)
        except InputError as error:
            raise CenterUnavailable(f"sent {error}") from error
        return {name: float(value) for name, value in _told(answer).items()}


class TravelExecutor(Executor):
    """A site's part: it reads its own samples, and trains on those whose numbers the server sends.

    The experiment is JSON; a real site's own file (:data:`SITE_VARIABLE`) goes before it.
    """

    def __init__(self, experiment: str) -> None:
        super().__init__()
        self.experiment = experiment

    def execute(self, task_name: str, shareable: Shareable, fl_ctx: FLContext, abort_signal: Signal) -> Shareable:
        asked, site = FLModelUtils.from_shareable(shareable), fl_ctx.get_identity_name()
        try:
            arrays, told = self._do(task_name, asked.params, _told(asked), site, fl_ctx)
        except QualitySentinelError as error:
            arrays, told = _NOTHING, {"problem": str(error)}
        except Exception as error:  # a bug of ours or of a library: the server goes on without this site
            self.log_exception(fl_ctx, reason_of(error))
            return make_reply(ReturnCode.EXECUTION_EXCEPTION)
        model = FLModel(params_type=ParamsType.FULL, params=arrays, meta={"told": json.dumps(told)})
        return FLModelUtils.to_shareable(model)

    def _do(
        self, task: str, arrays: Mapping[str, np.ndarray], told: dict, site: str, fl_ctx: FLContext
    ) -> tuple[dict, dict]:
        folder = Path(fl_ctx.get_engine().get_workspace().get_run_dir(fl_ctx.get_job_id()))
        if task == _DESCRIBE:
            return _NOTHING, self._describe(site, told["classes"], folder)
        if not hasattr(self, "_looks"):
            raise InputError("the site was restarted and has not read its samples yet")
        if task == _REPORT:
            rows = [(n, self._names[n], "eliminated") for n in told["eliminated"]]
            write_table(folder / "eliminated.csv", ("number", "case", "fate"), rows)
            return _NOTHING, {}
        self._model.restore(arrays)
        reported = self._model.update([self._looks[n] for n in told["batch"]], told["steps"])
        return self._model.state(), reported

    def _describe(self, site: str, classes: Sequence[str], folder: Path) -> dict:
        """Numbers of the samples that can be read, and their predicted DSC where it is wanted."""
        own = os.environ.get(SITE_VARIABLE)
        experiment = read_options(Experiment, own) if own else _experiment(self.experiment)
        mine = [s for s in samples_of(experiment) if s.split == TRAIN and s.center in ("", site)]
        self._names = {n: sample.name for n, sample in enumerate(mine)}
        self._model = new_model(experiment, classes)
        looks = looks_of(self._model, mine)
        self._looks = {n: looks[name] for n, name in self._names.items() if name in looks}
        quality = {}
        if experiment.quality:
            found = predicted_quality(mine, folder / "quality", print)
            quality = {n: found[name] for n, name in self._names.items() if name in found}
        return {"samples": list(self._looks), "quality": quality}


def run_federated(
    experiment: Experiment, samples: Sequence[Sample], out: Path, say: Any
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Run the server and all sites of the table on this machine, until the journey is complete.

    Returns:
        The case behind each number of a sample (known here, because all data are), and the suspicious cases.

    Raises:
        InputError: a job ends before anything was done; its log is named.
    """
    from nvflare.recipe.poc_env import PocEnv
    from nvflare.recipe.sim_env import SimEnv

    centers = centers_of(samples)
    folder = (out / "nvflare").resolve()
    os.environ["NVFLARE_POC_WORKSPACE"] = str(folder / "poc")
    while not _is_complete(out):
        before = len(visits_of(out))
        (out / _ENDED).unlink(missing_ok=True)
        with _printing_into(out / _LOG):
            if experiment.engine == "simulator":
                env = SimEnv(clients=sorted(centers), num_threads=len(centers), workspace_root=str(folder))
            else:
                env = PocEnv(clients=sorted(centers), num_clients=len(centers))
            try:
                run = travel_recipe(experiment, out, len(centers)).run(env)
                if experiment.engine == "poc":
                    _wait(run, out / _ENDED)
            except (RuntimeError, OSError) as error:
                print(f"job ended: {reason_of(error)}")
            env.stop(clean_up=True)
            end_services(folder / "poc")
        if len(visits_of(out)) == before and not _is_complete(out):
            raise InputError(f"{out / _LOG}: NVFlare's job ended before a visit was done; the log says why")
        say(f"{len(visits_of(out))} visits done; log: {out / _LOG}")
    cases = {f"{site}#{n}": name for site, names in centers.items() for n, name in enumerate(names)}
    known = json.loads((out / _CENTERS).read_text(encoding="utf-8"))
    return cases, {cases[number]: ["predicted DSC"] for number in _suspicious(known)}


def _wait(run: Any, ended: Path) -> None:
    """Until the controller is done, or the server has gone; NVFlare itself would wait long for a site that died."""
    silent = 0.0
    while not ended.is_file() and silent < _SERVER_GONE_S:
        time.sleep(1)
        silent += 1
        if silent % _ASK_S == 0 and (status := run.get_status()):
            silent = 0.0
            if status.startswith("FINISHED"):
                return


def end_services(folder: Path) -> None:
    """End services started from a folder: NVFlare's ``stop`` looks for the server only."""
    import psutil  # NVFlare brings it along

    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in word for word in process.info["cmdline"] or ()):
            with suppress(psutil.Error):  # it has just ended
                process.kill()


def travel_recipe(experiment: Experiment, out: Path, sites: int = 1) -> Any:
    """NVFlare's recipe of the experiment: ``run`` it in an environment of NVFlare, or ``export`` it as a job.

    Args:
        experiment, out: as ``travel`` has them.
        sites: a job waits for so many of them.
    """
    from nvflare.job_config.api import FedJob
    from nvflare.recipe.spec import Recipe

    told = json.dumps(asdict(experiment), default=lambda path: str(Path(path).resolve()))
    job = FedJob(name=_JOB, min_clients=sites)
    job.set_app_packages(["QualitySentinelLib", "QualitySentinelTrainingLib"])  # installed at each site, never sent
    job.to_server(TravelController(told, str(out.resolve())))
    job.to_clients(TravelExecutor(told))
    # A job with a file of its own needs the right to bring code ("byoc"); else each site must allow our classes.
    about = str(atomic_write(out / "experiment.json", told))
    job.add_file_to_server(about)
    job.add_file_to_clients(about)
    job.to_server({"server": {"task_request_interval": _WAIT_S}})
    job.to_clients({"default_task_fetch_interval": _WAIT_S})
    return Recipe(job)


def _experiment(told: str) -> Experiment:
    return read_options(Experiment, None, **json.loads(told))


def _told(model: FLModel) -> dict:
    return json.loads(model.meta["told"])


def _number(name: str) -> int:
    return int(name.rpartition("#")[2])


def _suspicious(known: Mapping[str, dict]) -> list[str]:
    """Numbers of the samples whose predicted DSC is an outlier among those of all sites."""
    return outliers({f"{site}#{n}": dsc for site, told in known.items() for n, dsc in told["quality"].items()})


def _is_complete(out: Path) -> bool:
    return (Run(out, KIND).document() or {}).get("complete", False)


@contextmanager
def _printing_into(path: Path) -> Iterator[None]:
    """All that this process and those it starts print goes into a file: NVFlare says much."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    try:
        with open(path, "ab") as log:
            for number in (1, 2):
                os.dup2(log.fileno(), number)
            yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, before in zip((1, 2), kept, strict=True):
            os.dup2(before, number)
            os.close(before)
