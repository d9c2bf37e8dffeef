"""A small data set with and without lesions, as centers."""

from __future__ import annotations

import pytest

from QualitySentinelLib.datasets import find_cases
from QualitySentinelTrainingLib.travelling.experiment import Experiment, NetworkOptions
from QualitySentinelTrainingLib.travelling.protocol import TravelOptions
from QualitySentinelTrainingLib.travelling.sites import split_sites, write_sites
from Research.lesions import make_lesions


@pytest.fixture(scope="session")
def bodies(tmp_path_factory):
    """A folder of 40 generated bodies."""
    return make_lesions(tmp_path_factory.mktemp("lesions") / "bodies", 40)


@pytest.fixture
def sites(bodies, tmp_path):
    """A table of three centers of them."""
    return write_sites(tmp_path / "sites.csv", split_sites(find_cases(bodies), 3, [5, 3, 1]))


@pytest.fixture
def experiment(bodies, sites):
    """An experiment of two cycles; keyword arguments change it."""

    def made(task="classification", travel=None, **changes):
        network = NetworkOptions(size=16, widths=(4, 8), slice_mm=30.0, pixel_mm=12.0)
        travel = TravelOptions(**{"cycles": 2, "batch_size": 4, "tolerance": 1.0, **(travel or {})})
        told = {"data": bodies, "sites": sites, "task": task, "network": network, "travel": travel}
        return Experiment(**told | changes)

    return made
