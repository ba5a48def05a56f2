"""Stage formats by name, also those of other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint

from microscope_qc.core import plugins
from microscope_qc.correlation import registry
from microscope_qc.correlation.registry import STAGE_FORMATS
from microscope_qc.correlation.stage_format import StageFormat


def test_every_built_in_format_describes_itself():
    for name, known in STAGE_FORMATS.items():
        assert known.name == name
    assert [known.name for known in STAGE_FORMATS.values() if known.takes_unit] == ["csv", "xlsx"]
    assert [known.name for known in STAGE_FORMATS.values() if known.marks_only] == ["bigwarp"]


def write(path, targets, unit):
    path.write_text(f"{len(targets)} in {unit}")
    return path


MINE = StageFormat("mine", "Mine", ".my", write, takes_unit=True)
DOTLESS = StageFormat("dotless", "Dotless", "my", write)


def test_formats_of_other_packages_are_listed(monkeypatch, tmp_path):
    points = tuple(EntryPoint(name, f"{__name__}:{name.upper()}", "") for name in ("dotless", "mine"))
    monkeypatch.setattr(plugins, "_entry_points", lambda group: points)
    own = plugins.Registry("stage_formats", registry._a_format, STAGE_FORMATS._builtin, what="stage format")
    assert own.usable() == [*STAGE_FORMATS._builtin, "mine"]
    assert [problem.reason for problem in own.problems] == ["its suffix does not begin with a dot."]
    assert own.get("mine").write(tmp_path / "a.my", [1, 2], unit="um").read_text() == "2 in um"
