"""The rows of the install state, and the text for support."""

from __future__ import annotations

import getpass
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from QualitySentinelLib.setup import import_model, install_state, package_info, packages, state


def row(name, **options):
    (found,) = [part for part in install_state(**options) if part.name == name]
    return found


class TestRows:
    def test_here_everything_is_in_order(self, models):
        parts = install_state()
        assert all(part.ok and not part.advice and part.version for part in parts)
        assert {"torch", "cpu", "safetensors", "Jinja2", "bundled model"} <= {part.name for part in parts}

    def test_a_missing_package_says_what_to_do(self, models, tmp_path, monkeypatch):
        path = tmp_path / "requirements.txt"
        path.write_text("# why\nno-such-package-here>=1\nnumpy>=999\nnumpy>=1\n-r other.txt\n\n")
        monkeypatch.setattr(state, "REQUIREMENTS", path)
        missing, old, good = [p for p in install_state() if p.name in ("no-such-package-here", "numpy")]
        assert (missing.version, missing.ok, missing.advice) == (
            "missing",
            False,
            "press Apply to install it",
        )
        assert not old.ok and ">=999 is needed" in old.advice
        assert good.ok

    def test_in_slicer_the_extension_that_brings_pytorch_is_asked_for(self, slicer, monkeypatch):
        monkeypatch.setattr(state, "installed_version", lambda package: None)
        extension, torch = row("PyTorch extension"), row("torch")
        assert not extension.ok and "Extensions Manager" in extension.advice
        assert not torch.ok and torch.version == "missing"

    def test_a_pytorch_without_the_extension_is_enough_and_nothing_is_called_missing(self, slicer):
        extension = row("PyTorch extension")
        assert extension.ok and "not needed" in extension.version and "missing" not in extension.version
        assert row("torch").ok

    def test_an_old_pytorch_needs_the_extension(self, slicer, monkeypatch):
        monkeypatch.setattr(state, "TORCH_VERSION", ">=999")
        extension = row("PyTorch extension")
        assert (extension.version, extension.ok) == ("missing", False) and "Extensions Manager" in extension.advice

    def test_a_pytorch_that_was_replaced_while_in_use_asks_for_a_restart(self, models, monkeypatch):
        monkeypatch.setattr(packages, "loaded_version", lambda module: "1.0")
        assert row("torch").advice == "restart Slicer"

    def test_an_old_pytorch_is_told(self, models, monkeypatch):
        monkeypatch.setattr(state, "TORCH_VERSION", ">=999")
        assert not row("torch").ok and ">=999 is needed" in row("torch").advice

    def test_graphics_cards_come_with_their_memory(self, models, monkeypatch):
        cuda = SimpleNamespace(
            device_count=lambda: 1, get_device_name=lambda i: "A Card", mem_get_info=lambda i: (3 << 30, 8 << 30)
        )
        mps = SimpleNamespace(is_available=lambda: False)
        torch = ModuleType("torch")
        torch.cuda, torch.backends = cuda, SimpleNamespace(mps=mps)
        monkeypatch.setitem(sys.modules, "torch", torch)
        assert row("cuda:0").version == "A Card, 3.0 of 8.0 GiB free"

    def test_imported_models_are_listed(self, models, a_model_file):
        import_model(a_model_file)
        assert row("model small").version == "copy of small.safetensors"

    def test_an_installation_without_its_model_is_told(self, models, monkeypatch):
        monkeypatch.setattr(state, "bundled_models", list)
        assert row("bundled model") == state.InstalledPart(
            "bundled model", "missing", False, "install Quality Sentinel again"
        )

    def test_showing_it_imports_no_heavy_package(self):
        code = (
            "import sys; from QualitySentinelLib.setup import *; install_state(); package_info(ask_devices=False);"
            "print({'torch', 'torchvision', 'scipy', 'SimpleITK', 'nibabel', 'safetensors'} & set(sys.modules))"
        )
        folder = Path(state.__file__).parents[2]
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "set()"


class TestTextForSupport:
    def test_says_what_support_asks_first(self, models):
        text = package_info()
        for word in ("Quality Sentinel 0", "System: ", "python 3", "[ok] torch: ", "[ok] cpu: ", "bundled model"):
            assert word in text
        assert "Slicer" not in text.splitlines()[1]

    def test_names_the_slicer_it_runs_in(self, slicer):
        assert "Slicer: 5.12.0, revision 34567 (a5df714), linux-amd64" in package_info()

    def test_what_is_wrong_stands_out(self, models, monkeypatch):
        monkeypatch.setattr(state, "TORCH_VERSION", ">=999")
        assert "[!!] torch: " in package_info(ask_devices=False)

    def test_holds_neither_patients_nor_paths(self, slicer, a_model_file, tmp_path, monkeypatch):
        settings = tmp_path / "Slicer.ini"
        monkeypatch.setattr(slicer.app, "slicerUserSettingsFilePath", str(settings), raising=False)
        for name in ("LOGNAME", "USER", "USERNAME"):
            monkeypatch.setenv(name, "j.reader")
        for name in ("HOME", "USERPROFILE"):
            monkeypatch.setenv(name, str(tmp_path / "home of j.reader"))
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "DOE^JANE")
        import_model(a_model_file)
        text = package_info()
        assert getpass.getuser() == "j.reader" and Path.home().name == "home of j.reader"
        assert not any(word in text for word in ("DOE", "j.reader", str(tmp_path)))


@pytest.fixture(autouse=True)
def _no_pytorch_utils(monkeypatch):
    monkeypatch.delitem(sys.modules, "PyTorchUtils", raising=False)
