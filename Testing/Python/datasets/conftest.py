"""Small data sets, written by the torso writer of the audit's tests."""

import pytest
from Testing.Python.audit.conftest import TorsoWriter


@pytest.fixture(scope="session")
def torso_writer(a_torso) -> TorsoWriter:
    return TorsoWriter(a_torso)
