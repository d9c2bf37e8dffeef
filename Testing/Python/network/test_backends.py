"""What runs the network: OpenVINO equal to PyTorch, kept once converted, and left aside when it is not equal."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.network import backends, build_network
from QualitySentinelLib.network.backends import EQUAL, OpenVinoBackend, TorchBackend, choose_backend

if not backends.openvino_is_installed():  # not importorskip: it would import what tells its makers, in forks
    pytest.skip("needs OpenVINO", allow_module_level=True)

SMALL = {
    "kind": "compact", "embedding_dim": 8, "widths": [8, 8, 16, 16], "blocks": [1, 1, 1, 1], "map_width": 8,
    "condition_dim": 8, "head_dim": 8,
}  # fmt: skip


def a_network(**architecture):
    torch.manual_seed(0)
    network = build_network(SMALL | architecture).eval()
    with torch.no_grad():  # not the untrained head, which says the same of every slice
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def inputs(number=6, told_dim=0):
    generator = torch.Generator().manual_seed(1)
    images = torch.rand((number, 4, 64, 64), generator=generator) * 2 - 1
    given = images, torch.randn((number, 8), generator=generator), torch.rand(number, generator=generator) + 0.5
    if told_dim:
        given += (
            torch.randn((number, told_dim), generator=generator),
            torch.rand((number, 2, 64, 64), generator=generator),
        )
    return given


@pytest.mark.parametrize("told_dim", [0, 23])
def test_openvino_gives_pytorchs_scores_for_any_number_of_slices(told_dim):
    network = a_network(told_dim=told_dim)
    fast = OpenVinoBackend(network, inputs(3, told_dim), "float32")
    for number in (1, 6, 17):
        given = inputs(number, told_dim)
        np.testing.assert_allclose(fast(given), TorchBackend(network)(given), atol=EQUAL)


def test_threads_are_not_pinned_to_the_cores_that_other_workers_pin_to():
    assert not OpenVinoBackend(a_network(), inputs(), "float32")._compiled.get_property("ENABLE_CPU_PINNING")


def test_the_published_network_runs_in_openvino_too():
    torch.manual_seed(0)
    network = build_network({"kind": "published", "backbone": "resnet18", "embedding_dim": 8}).eval()
    given = torch.randn(3, 2, 64, 64), torch.randn(3, 8), torch.ones(3)
    backend, warning = choose_backend(network, given, "openvino", "float32")
    assert backend.name == "openvino" and warning is None


def test_a_converted_network_is_kept_and_found_again(tmp_path, monkeypatch):
    network, given, kept_as = a_network(), inputs(), tmp_path / "converted" / "abc"
    first = OpenVinoBackend(network, given, "float32", kept_as)(given)
    assert {p.suffix for p in kept_as.parent.iterdir()} == {".xml", ".bin"}
    monkeypatch.setattr(backends, "_converted", lambda *_: pytest.fail("converted again"))
    np.testing.assert_allclose(OpenVinoBackend(network, given, "float32", kept_as)(given), first, atol=EQUAL)


def test_a_damaged_kept_network_is_converted_again(tmp_path):
    network, given, kept_as = a_network(), inputs(), tmp_path / "converted" / "abc"
    OpenVinoBackend(network, given, "float32", kept_as)
    kept_as.with_suffix(".xml").write_text("<net")
    backend, warning = choose_backend(network, given, precision="float32", kept_as=kept_as)
    assert backend.name == "openvino" and warning is None


def test_a_kept_network_of_other_weights_is_not_used(tmp_path):
    given, kept_as = inputs(), tmp_path / "converted" / "abc"
    OpenVinoBackend(a_network(map_width=12), given, "float32", kept_as)
    network = a_network()
    backend, warning = choose_backend(network, given, precision="float32", kept_as=kept_as)
    np.testing.assert_array_equal(backend(given), TorchBackend(network)(given))
    assert backend.name == "torch" and "its float32 scores differ by" in warning


def test_what_openvino_cannot_do_is_one_warning(monkeypatch):
    def fails(*_):
        raise RuntimeError("no kernel\nfor this")

    monkeypatch.setattr(backends, "_converted", fails)
    backend, warning = choose_backend(a_network(), inputs())
    assert backend.name == "torch" and "no kernel for this; scoring continues with PyTorch" in warning


def test_without_openvino_pytorch_scores_and_asking_for_it_is_an_error(monkeypatch):
    monkeypatch.setattr(backends, "openvino_is_installed", lambda: False)
    backend, warning = choose_backend(a_network(), inputs())
    assert backend.name == "torch" and warning is None
    with pytest.raises(UsageError, match="OpenVINO, which is not installed"):
        choose_backend(a_network(), inputs(), "openvino")


def test_importing_openvino_tells_nobody():
    code = (
        "from QualitySentinelLib.network.backends import _import_openvino; _import_openvino(); import sys;"
        "print(sys.modules['openvino_telemetry'], [m for m in sys.modules if m.startswith('openvino_telemetry.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["None", "[]"]


@pytest.mark.parametrize("told_dim", [0, 23])
def test_both_draw_the_same_reference_beside_the_same_scores(told_dim):
    network, given = a_network(told_dim=told_dim), inputs(5, told_dim)
    expected, shares = TorchBackend(network).draw(given)
    np.testing.assert_allclose(expected, TorchBackend(network)(given), atol=EQUAL)
    assert shares.shape == (5, 2, 32, 32) and 0 <= shares.min() < shares.max() <= 1
    raw, drawn = OpenVinoBackend(network, given, "float32").draw(given)
    np.testing.assert_allclose(raw, expected, atol=EQUAL)
    np.testing.assert_allclose(drawn, shares, atol=1e-4)


def test_a_network_kept_before_networks_drew_is_converted_again(tmp_path):
    network, given, kept_as = a_network(), inputs(), tmp_path / "converted" / "abc"
    openvino = backends._import_openvino()
    OpenVinoBackend(network, given, "float32", kept_as)
    only_scores = openvino.Core().read_model(kept_as.with_suffix(".xml"))
    old = openvino.Model([only_scores.outputs[0].get_node().input_value(0)], only_scores.get_parameters(), "old")
    backends._keep(openvino, old, kept_as)
    raw, shares = OpenVinoBackend(network, given, "float32", kept_as).draw(given)
    np.testing.assert_allclose(raw, TorchBackend(network)(given), atol=EQUAL)
    assert shares.shape == (6, 2, 32, 32)
