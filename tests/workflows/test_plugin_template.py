"""A package of one's own to begin with: installed as users would, offered by the program, its own tests pass."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from classifier_toys import class_folders
from example_package import install, use

from microscope_qc.cli import main
from microscope_qc.core.errors import InputError
from microscope_qc.workflows.plugin_template import new_plugin

NAMES = {
    ("network", "our-lab-net"), ("slide reader", "our-lab-slide"), ("statistic", "our-lab-distance"),
    ("panel", "our-lab-panel"),
}  # fmt: skip


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory):
    return new_plugin("our-lab", tmp_path_factory.mktemp("begun"))


@pytest.fixture(scope="module")
def installed(begun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(tmp_path_factory.mktemp("installed"), begun.folder)


def test_nothing_of_the_template_is_left_in_it(begun) -> None:
    assert (begun.distribution, begun.package) == ("microscope-qc-our-lab", "microscope_qc_our_lab")
    assert begun.folder.name == begun.distribution
    names = {path.relative_to(begun.folder).as_posix() for path in begun.files}
    assert {"pyproject.toml", "README.md", "microscope_qc_our_lab/panel.py", "tests/test_our_lab.py"} <= names
    for path in begun.files:
        text = path.read_text(encoding="utf-8")
        assert "template" not in text.casefold() and "template" not in path.name
        if path.suffix == ".py":
            compile(text, str(path), "exec")


def test_a_name_may_hold_the_words_of_the_template(tmp_path: Path) -> None:
    made = new_plugin("my-test-template", tmp_path)
    assert made.package == "microscope_qc_my_test_template"
    names = {path.relative_to(made.folder).as_posix() for path in made.files}
    assert {f"{made.package}/panel.py", "tests/test_my_test_template.py"} <= names
    for path in made.files:
        text = path.read_text(encoding="utf-8")
        used = set(re.findall(r"microscope_qc_\w+(?:-\w+)*", text))
        assert used <= {made.package} and "my-test-my" not in text
        if path.suffix == ".py":
            compile(text, str(path), "exec")
    assert '"my-test-template-net"' in (made.folder / made.package / "architecture.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["", "Our", "our_lab", "-lab", "lab-", "../lab", "1lab", "template", "a" * 41])
def test_a_name_that_cannot_be_one_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be the name"):
        new_plugin(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(begun) -> None:
    with pytest.raises(InputError, match="is there already"):
        new_plugin("our-lab", begun.folder.parent)


def test_its_own_tests_pass_where_it_is_installed(begun, installed: Path) -> None:
    path = os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:napari", "tests"],
        cwd=begun.folder, env=dict(os.environ, PYTHONPATH=path), capture_output=True, text=True, check=False,
        timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "7 passed" in done.stdout


def test_the_command_lists_it_and_trains_its_network(
    installed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    use(installed, monkeypatch)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")]))
    assert main(["plugin", "--json"]) == 0
    found = [one for one in json.loads(capsys.readouterr().out)["plugins"] if one["package"] == "microscope-qc-our-lab"]
    assert {(one["what"], one["name"]) for one in found} == NAMES
    assert {(one["refused"], one["version"], one["place"]) for one in found} == {("", "0.1", str(installed))}

    data = class_folders(tmp_path / "data", each=6, good=6)
    arguments = "--task classify --network our-lab-net --epochs 1 --crop 64 --batch 8 --device cpu --progress none"
    assert main(["train", str(data), "--out", str(tmp_path / "model"), *arguments.split()]) == 0
    card = json.loads((tmp_path / "model" / "model.json").read_text(encoding="utf-8"))
    assert card["architecture"] == "our-lab-net"


def test_what_is_refused_is_listed_with_the_reason(
    installed_example: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(installed_example, monkeypatch)
    assert main(["plugin", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("microscope-qc-example 1.0 (") for line in lines)
    assert "  statistic broken: refused. ModuleNotFoundError: No module named 'no_such_package_anywhere'." in lines
    assert "  panel elongation" in lines


def test_the_command_writes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugin", "new", "lab-two", "--out", str(tmp_path)]) == 0
    assert "microscope-qc-lab-two is written" in capsys.readouterr().out
    assert main(["plugin", "new", "lab-two", "--out", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err
