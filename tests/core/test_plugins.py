"""Registries: built-ins are imported late, plugins that fail, lie or clash are named and left out."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import EntryPoint

import pytest

from microscope_qc.core import plugins
from microscope_qc.core.errors import Cancelled, InputError, PluginError
from microscope_qc.core.plugins import Registry


@dataclass(frozen=True)
class Tool:
    """What the registry under test holds."""

    name: str


HAMMER = Tool("hammer")
SAW = Tool("saw")
LIAR = Tool("somebody else")
NOT_A_TOOL = 7


def a_tool(thing: object) -> Tool:
    if not isinstance(thing, Tool):
        raise TypeError(f"a {type(thing).__name__} is not a tool")
    return thing


@pytest.fixture
def registry(monkeypatch):
    """Make a registry beside which these entry points are installed."""

    def make(*points: tuple[str, str]) -> Registry[Tool]:
        found = tuple(EntryPoint(name, value, "microscope_qc.tools") for name, value in points)
        monkeypatch.setattr(plugins, "_entry_points", lambda group: found if group == "microscope_qc.tools" else ())
        return Registry("tools", a_tool, {"hammer": f"{__name__}:HAMMER"}, what="tool")

    return make


def test_built_ins_come_first_and_plugins_beside_them(registry):
    tools = registry(("saw", f"{__name__}:SAW"))
    assert tools.names() == ["hammer", "saw"] == list(tools)
    assert tools.values() == [HAMMER, SAW]
    assert "saw" in tools
    assert len(tools) == 2
    assert tools.problems == []
    assert tools.package_of("hammer") == ""
    assert tools.package_of("saw") == __name__


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_module_anywhere:x", "ModuleNotFoundError"),
        (f"{__name__}:no_such_attribute", "AttributeError"),
        (f"{__name__}:NOT_A_TOOL", "a int is not a tool."),
        (f"{__name__}:LIAR", "it is registered as saw but calls itself somebody else."),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named_and_left_out(registry, value, reason):
    tools = registry(("saw", value))
    assert tools.values() == [HAMMER]
    assert tools.names() == ["hammer"]
    (problem,) = tools.problems
    assert (problem.name, problem.group) == ("saw", "microscope_qc.tools")
    assert reason in problem.reason
    with pytest.raises(InputError, match="There is no tool 'saw'") as raised:
        tools.get("saw")
    assert str(problem) in raised.value.hint
    assert len(tools.problems) == 1  # said once


def test_one_that_fails_in_use_is_left_out_from_then_on(registry, caplog):
    tools = registry(("axe", "no_such_module_anywhere:x"), ("saw", f"{__name__}:SAW"))
    assert tools.usable() == ["hammer", "saw"]
    tools.drop("saw", ZeroDivisionError("blunt"))
    assert tools.usable() == ["hammer"] == tools.names()
    assert [problem.reason for problem in tools.problems][1:] == ["ZeroDivisionError: blunt."]
    assert str(tools.problems[1]) in caplog.messages
    with pytest.raises(InputError, match="There is no tool 'saw'"):
        tools.get("saw")
    with pytest.raises(ZeroDivisionError):
        tools.drop("hammer", ZeroDivisionError("blunt"))


def test_what_goes_wrong_in_a_plugin_is_said_to_be_its_fault(registry):
    tools = registry(("saw", f"{__name__}:SAW"))
    with pytest.raises(PluginError) as said, tools.in_use("saw"):
        1 / 0  # noqa: B018
    assert said.value.message == f"The tool saw of {__name__} failed: ZeroDivisionError: division by zero."
    assert said.value.hint
    for name, error in (("hammer", ZeroDivisionError), ("saw", InputError), ("saw", Cancelled), ("axe", KeyError)):
        with pytest.raises(error) as raised, tools.in_use(name):
            raise error("so")
        assert type(raised.value) is error


def test_threads_name_a_plugin_once(registry):
    points = [(f"tool{number:02}", f"no_such_module_{number}:x") for number in range(40)]
    tools = registry(*points, ("saw", f"{__name__}:SAW"))
    start = threading.Barrier(4)

    def look() -> list[str]:
        start.wait()
        return tools.usable()

    with ThreadPoolExecutor(4) as pool:
        found = [future.result() for future in [pool.submit(look) for _ in range(4)]]
    assert found == [["hammer", "saw"]] * 4
    assert sorted(problem.name for problem in tools.problems) == [name for name, _ in points]


def test_a_name_in_use_stays_with_whoever_had_it(registry):
    tools = registry(("hammer", f"{__name__}:SAW"), ("saw", f"{__name__}:SAW"), ("saw", "zebra.tools:SAW"))
    assert tools.values() == [HAMMER, SAW]
    assert [(problem.name, problem.package, problem.reason) for problem in tools.problems] == [
        ("hammer", __name__, "hammer is the name of a built-in tool."),
        ("saw", "zebra.tools", f"{__name__} uses the same name."),
    ]


def test_an_unknown_name_lists_the_known_ones(registry):
    with pytest.raises(InputError, match=r"There is no tool 'axe'. Choose one of: hammer, saw."):
        registry(("saw", f"{__name__}:SAW")).get("axe")


def test_a_built_in_is_imported_when_it_is_first_used():
    code = (
        "import sys; from microscope_qc.core.plugins import Registry\n"
        "tools = Registry('x', lambda thing: thing, {'a': 'wave:open'})\n"
        "assert tools.names() == ['a'] and 'wave' not in sys.modules\n"
        "assert tools.get('a') is sys.modules['wave'].open\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_broken_built_in_is_a_fault_of_the_program_and_is_not_hidden():
    with pytest.raises(AttributeError):
        Registry("x", a_tool, {"a": f"{__name__}:nothing"}).get("a")
