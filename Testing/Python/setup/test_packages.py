"""Installing what scoring needs: who is asked what, what happens then, and when Slicer must be restarted."""

from __future__ import annotations

import importlib.util
import sys
import tomllib
from subprocess import CalledProcessError
from types import ModuleType

import pytest

from QualitySentinelLib.errors import CancelledError, ModelError
from QualitySentinelLib.setup import OPENVINO, TORCH_VERSION, ensure_packages, install_openvino, packages


class ExtensionsManager:
    """Stand-in for qSlicerExtensionsManagerModel: it asks once more unless ``interactive`` is off, as Slicer's does."""

    def __init__(self, user, works=True):
        self.user, self.works = user, works
        self.interactive = True
        self.extensions = []

    def isExtensionInstalled(self, name):
        return name in self.extensions

    def installExtensionFromServer(self, name, restart=True, update=False):
        assert not restart, "Slicer would restart at once"
        assert not self.interactive, "the user would be asked twice"
        if self.works:
            self.extensions.append(name)
        return self.works


class PyTorchUtils(ModuleType):
    """Stand-in for the module of the PyTorch extension; ``installTorch`` notes how it was called."""

    def __init__(self, result="torch"):
        super().__init__("PyTorchUtils")
        self.calls = calls = []

        class PyTorchUtilsLogic:
            def installTorch(
                self,
                askConfirmation=False,
                forceComputationBackend=None,
                torchVersionRequirement=None,
                torchvisionVersionRequirement=None,
            ):
                calls.append((askConfirmation, forceComputationBackend, torchVersionRequirement))
                if isinstance(result, Exception):
                    raise result
                return result

        self.PyTorchUtilsLogic = PyTorchUtilsLogic


@pytest.fixture
def no_torch(monkeypatch):
    """A Slicer in which PyTorch is neither installed nor imported."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "torch" else find_spec(name, *a))
    monkeypatch.delitem(sys.modules, "torch", raising=False)


@pytest.fixture
def extension(monkeypatch):
    """A function that puts the PyTorch extension into Slicer; its argument is what ``installTorch`` returns."""

    def put(result="torch"):
        module = PyTorchUtils(result)
        monkeypatch.setitem(sys.modules, "PyTorchUtils", module)
        return module.calls

    return put


@pytest.fixture
def manager(slicer, the_user, monkeypatch):
    """Slicer's extensions manager."""
    manager = ExtensionsManager(the_user)
    monkeypatch.setattr(slicer.app, "extensionsManagerModel", lambda: manager, raising=False)
    return manager


@pytest.fixture
def requirements(tmp_path, monkeypatch):
    """A function that writes another requirements.txt."""

    def write(text):
        path = tmp_path / "requirements.txt"
        path.write_text(text)
        monkeypatch.setattr(packages, "REQUIREMENTS", path)

    return write


class TestWithEverythingThere:
    def test_nobody_is_asked_and_scoring_starts(self, the_user):
        assert ensure_packages() is True
        assert the_user.asked == []

    def test_the_version_asked_for_is_the_package_s_own(self, repository):
        project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert f"torch{TORCH_VERSION}" in project["dependencies"]
        assert project["optional-dependencies"]["cpu"] == [OPENVINO]

    def test_requirements_ask_for_the_versions_of_the_package(self, repository):
        import slicer.packaging

        project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        asked = slicer.packaging.load_requirements(packages.REQUIREMENTS)
        assert {str(r) for r in asked} <= set(project["dependencies"])
        assert "safetensors" in {r.name for r in asked}


class TestPyTorch:
    def test_comes_from_its_extension_and_the_user_is_asked(self, the_user, no_torch, extension):
        calls = extension()
        assert ensure_packages() is True
        assert calls == [(True, None, ">=2.2")]

    def test_for_the_processor_alone_on_request(self, the_user, no_torch, extension):
        calls = extension()
        ensure_packages(force_cpu=True)
        assert calls == [(True, "cpu", ">=2.2")]

    def test_a_user_who_declines_has_cancelled(self, the_user, no_torch, extension):
        extension(None)
        with pytest.raises(CancelledError, match="PyTorch, which was not installed"):
            ensure_packages()

    @pytest.mark.parametrize("failure", [CalledProcessError(1, "pip"), ImportError("DLL load failed")])
    def test_a_failed_installation_is_one_line_that_says_what_to_do(self, the_user, no_torch, extension, failure):
        extension(failure)
        with pytest.raises(ModelError, match="could not be installed.*Restart Slicer and try again"):
            ensure_packages()

    def test_an_old_one_is_updated_and_a_restart_offered_when_it_was_in_use(self, the_user, extension, monkeypatch):
        import torch  # noqa: F401

        monkeypatch.setattr(packages, "TORCH_VERSION", ">=999")
        calls = extension()
        assert ensure_packages() is False
        assert calls == [(True, None, ">=999")]
        assert "Save your work first" in the_user.asked[-1] and the_user.restarts == 1

    def test_an_old_one_that_nobody_uses_is_updated_without_a_restart(self, the_user, extension, monkeypatch):
        monkeypatch.setattr(packages, "TORCH_VERSION", ">=999")
        monkeypatch.delitem(sys.modules, "torch", raising=False)
        extension()
        assert ensure_packages() is True
        assert the_user.restarts == 0

    @pytest.mark.parametrize(
        ("loaded", "installed", "needed"),
        [("2.6.0", "2.7.1", True), ("2.6.0+cu126", "2.6.0", False), ("2.6.0", None, False), (None, "2.6.0", False)],
    )
    def test_one_that_was_replaced_while_in_use_needs_a_restart(self, monkeypatch, loaded, installed, needed):
        monkeypatch.setattr(packages, "loaded_version", lambda module: loaded)
        monkeypatch.setattr(packages, "installed_version", lambda package: installed)
        assert packages.restart_needed() is needed

    def test_who_did_not_restart_then_is_offered_it_again(self, the_user, monkeypatch):
        monkeypatch.setattr(packages, "loaded_version", lambda module: "1.0")
        the_user.says = False
        assert ensure_packages() is False
        assert "replaced while it was in use" in the_user.asked[0] and the_user.restarts == 0

    def test_the_one_in_use_here_needs_no_restart(self):
        import torch  # noqa: F401

        assert not packages.restart_needed()


class TestExtension:
    def test_is_offered_installed_and_a_restart_offered(self, the_user, no_torch, manager):
        assert ensure_packages() is False
        assert manager.extensions == ["PyTorch"]
        assert manager.interactive, "others want to be asked"
        assert len(the_user.asked) == 2 and the_user.restarts == 1

    def test_a_user_who_declines_has_cancelled(self, the_user, no_torch, manager):
        the_user.says = False
        with pytest.raises(CancelledError, match="Extensions Manager"):
            ensure_packages()
        assert manager.extensions == [] and len(the_user.asked) == 1

    def test_one_that_waits_for_a_restart_is_not_installed_again(self, the_user, no_torch, manager):
        manager.extensions.append("PyTorch")
        the_user.says = False
        assert ensure_packages() is False
        assert the_user.restarts == 0 and "Restart now?" in the_user.asked[0]

    def test_when_the_server_cannot_be_reached_the_user_is_told_where_to_look(self, the_user, no_torch, manager):
        manager.works = False
        with pytest.raises(ModelError, match="install it in the Extensions Manager and restart Slicer"):
            ensure_packages()
        assert manager.interactive

    def test_a_slicer_without_extensions_says_so(self, slicer, the_user, no_torch, monkeypatch):
        monkeypatch.setattr(slicer.app, "extensionsManagerModel", lambda: None, raising=False)
        with pytest.raises(ModelError, match="Extensions Manager"):
            ensure_packages()
        assert the_user.asked == []


class TestOtherPackages:
    def test_are_installed_after_consent(self, slicer, the_user, requirements):
        requirements("# a comment\nno-such-package-here>=1\nnumpy>=1\n")
        assert ensure_packages() is True
        assert slicer.packaging.installed == ["no-such-package-here>=1"]
        assert len(the_user.asked) == 1

    def test_a_user_who_declines_has_cancelled(self, slicer, the_user, requirements):
        requirements("no-such-package-here>=1\n")
        the_user.says = False
        with pytest.raises(CancelledError, match=r"not installed \(no-such-package-here\)"):
            ensure_packages()
        assert slicer.packaging.installed == []

    def test_a_failed_installation_names_the_packages(self, slicer, the_user, requirements, monkeypatch):
        def fails(*args, **options):
            raise CalledProcessError(1, "pip")

        monkeypatch.setattr(slicer.packaging, "pip_ensure", fails)
        requirements("no-such-package-here>=1\n")
        with pytest.raises(ModelError, match=r"could not be installed \(no-such-package-here\)"):
            ensure_packages()


class TestOpenVino:
    def test_is_installed_after_consent_and_only_when_asked_for(self, slicer, the_user, monkeypatch):
        monkeypatch.setattr(packages, "OPENVINO", "no-such-openvino>=1")
        assert ensure_packages() is True
        assert slicer.packaging.installed == []
        install_openvino()
        assert slicer.packaging.installed == ["no-such-openvino>=1"]
        assert len(the_user.asked) == 1

    def test_a_user_who_declines_scores_as_before(self, slicer, the_user, monkeypatch):
        monkeypatch.setattr(packages, "OPENVINO", "no-such-openvino>=1")
        the_user.says = False
        with pytest.raises(CancelledError):
            install_openvino()
        assert ensure_packages() is True and slicer.packaging.installed == []


class TestTestingModeInstallsNothing:
    def test_no_pytorch(self, slicer, no_torch, extension):
        calls = extension()
        with pytest.raises(ModelError, match="testing mode does not install anything"):
            ensure_packages()
        assert calls == []

    def test_no_newer_pytorch(self, slicer, extension, monkeypatch):
        monkeypatch.setattr(packages, "TORCH_VERSION", ">=999")
        calls = extension()
        with pytest.raises(ModelError, match="too old.*testing mode does not install anything"):
            ensure_packages()
        assert calls == []

    def test_no_extension(self, slicer, no_torch, monkeypatch):
        manager = ExtensionsManager(None)
        monkeypatch.setattr(slicer.app, "extensionsManagerModel", lambda: manager, raising=False)
        with pytest.raises(ModelError, match="PyTorch extension is missing"):
            ensure_packages()
        assert manager.extensions == []

    def test_no_restart(self, slicer, monkeypatch):
        restarted = []
        monkeypatch.setattr(slicer.util, "restart", lambda: restarted.append(True))
        monkeypatch.setattr(packages, "loaded_version", lambda module: "1.0")
        assert ensure_packages() is False
        assert restarted == []

    def test_no_package(self, slicer, requirements):
        requirements("no-such-package-here>=1\n")
        ensure_packages()
        assert slicer.packaging.installed == []
