"""A layout is one file and one entry in the registry."""

import importlib
import pkgutil

from QualitySentinelLib.datasets import LAYOUTS, layouts


def test_every_layout_file_is_registered_and_documented(repository):
    modules = [importlib.import_module(f"{layouts.__name__}.{m.name}") for m in pkgutil.iter_modules(layouts.__path__)]
    written = {module.LAYOUT.name: module.LAYOUT for module in modules if hasattr(module, "LAYOUT")}
    assert written == LAYOUTS
    documented = (repository / "docs" / "AUDIT.md").read_text(encoding="utf-8")
    assert [name for name in LAYOUTS if f"| `{name}` |" not in documented] == []


def test_general_layouts_come_after_all_others():
    general = [layout.general for layout in LAYOUTS.values() if layout.name != "csv"]
    assert general == sorted(general)


def test_a_folder_of_nothing_fits_no_layout(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "notes.txt").write_text("nothing")
    assert [layout.name for layout in LAYOUTS.values() if layout.fits(tmp_path)] == []
