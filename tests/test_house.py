"""What holds for the whole repository: its root, what it must not name, fast help, resources in every installation."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

REQUIRED = {
    ".ci",
    ".gitignore",
    "LICENSE",
    "README.md",
    "installers",
    "microscope_qc",
    "pyproject.toml",
    "resources",
    "tests",
}
ALLOWED = REQUIRED

# in pieces, so that this file does not name them itself
FORBIDDEN = re.compile(
    "|".join(
        [
            r"(?<![\w.~*-])/" + r"work/",
            r"(?<![\w.~*-])/" + r"root/",
            r"(?<![\w.~*-])/" + r"tmp/[a-z]",
            r"(?<![\w.~*-])/" + r"opt/py",
            r"[A-Z]:\\Users" + r"\\[A-Za-z]",
            "farm" + "-",
            "pypi" + r"\.org",
            "python" + "hosted",
            "download" + r"\.pytorch",
            "microscope_qc[-_/]" + "brief",
        ]
    )
)
HEAVY = [
    "numpy",
    "scipy",
    "skimage",
    "sklearn",
    "matplotlib",
    "cv2",
    "torch",
    "torchvision",
    "napari",
    "PySide6",
    "qtpy",
    "vispy",
    "zarr",
    "tensorstore",
    "tifffile",
    "imagecodecs",
    "sqlalchemy",
    "shapely",
    "openpyxl",
    "pandas",
    "dask",
]
LONGEST_MODULE, LONGEST_FUNCTION = 500, 80
# to be cut
PICTURES = "resources/screenshots/"
NOT_IMPORTED = {
    # the Qt behind qtpy
    "pyside6",
    # declared ahead of use
    "pyqtgraph",
    "torchmetrics",
}


def tracked() -> list[str]:
    """Paths that git knows."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).exists()]


def test_the_root_holds_what_it_should_and_nothing_else():
    roots = {name.split("/")[0] for name in tracked()}
    assert roots <= ALLOWED
    assert roots >= REQUIRED


def test_no_file_names_a_machine_or_an_index():
    found = []
    for name in tracked():
        content = (ROOT / name).read_bytes()
        if b"\0" in content[:8000]:
            continue
        for number, line in enumerate(content.decode("utf-8").splitlines(), 1):
            match = FORBIDDEN.search(line)
            if match:
                found.append(f"{name}:{number}: {match.group()}")
    assert found == []


def test_the_guard_against_names_would_notice():
    for text in ("see /" + "work/x", 'open("/' + 'tmp/a")', "https://pypi" + ".org/simple", "C:\\Users" + "\\me"):
        assert FORBIDDEN.search(text)
    for text in ("framework/", "net/work/x", "~/tmp/a", "tests/home/a.py"):
        assert not FORBIDDEN.search(text)


def test_nothing_generated_is_kept():
    bad = re.compile(r"(^|/)(__pycache__|\.venv|build|dist|\.\w+_cache)(/|$)|\.(pyc|orig|rej|pt|pth|pkl|bak)$")
    assert [name for name in tracked() if bad.search(name)] == []


def plain_name(text: str) -> str:
    """Name of a distribution as indexes compare them, of a requirement or of its metadata."""
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", text).group()).lower()


def optional():
    """Packages of the extras that users may install."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    return {plain_name(line) for name, lines in extras.items() if name != "test" for line in lines}


def dependencies() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {plain_name(line) for line in project["dependencies"]}


def imports(source: str) -> set[str]:
    """Top-level modules of what a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                found |= {name.name for name in names}
            case ast.ImportFrom(module=str(module), level=0):
                found.add(module)
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(module)), *_]):
                found.add(module)
    return {name.split(".")[0] for name in found}


def flags_in_hints(source: str) -> list[str]:
    """Hints that name a flag of the command line without saying that it is one: the window shows them too."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg == "hint":
            words = [part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant)]
            text = "".join(word for word in words if isinstance(word, str))
            if re.search(r"(?<!\w)--[a-z]", text) and "command line" not in text:
                found.append(text)
    return found


def test_hints_that_the_window_shows_say_where_flags_belong():
    below = [path for path in (ROOT / "microscope_qc").rglob("*.py") if path.parts[-2] not in ("cli", "app")]
    found = {path.name: hints for path in below if (hints := flags_in_hints(path.read_text(encoding="utf-8")))}
    assert found == {}


def test_a_flag_in_a_hint_is_noticed():
    source = """
InputError(f"no {name}", hint="Give " f"one with --slide {name}.")
InputError("no", hint="Choose one (--slide on the command line).")
"""
    assert flags_in_hints(source) == ["Give one with --slide ."]


def foreign_imports() -> set[str]:
    """Top-level modules of others that the package imports."""
    found = set()
    for path in (ROOT / "microscope_qc").rglob("*.py"):
        found |= imports(path.read_text(encoding="utf-8"))
    return found - sys.stdlib_module_names - {"microscope_qc"}


def test_every_import_is_declared_and_every_dependency_imported():
    owners = packages_distributions()
    needed, undeclared = set(), []
    for module in sorted(foreign_imports()):
        if plain_name(module) in optional():
            continue
        own = {plain_name(name) for name in owners.get(module, [])} & dependencies()
        needed |= own
        if not own:
            undeclared.append(module)
    assert undeclared == []
    assert dependencies() - needed == NOT_IMPORTED


def test_every_kind_of_import_is_noticed():
    source = """
import a.b as c, d
from e.f import g
from . import h
def i():
    import j
    importlib.import_module("k.l")
    importlib.import_module(f"{m}.n")
"""
    assert imports(source) == {"a", "d", "e", "j", "k"}


def test_every_dependency_is_named_in_the_notices():
    notices = ROOT / "resources" / "licences" / "THIRD_PARTY_NOTICES.md"
    named = set(re.findall(r"[\w.-]+", notices.read_text(encoding="utf-8").lower()))
    assert dependencies() - named == set()


def test_the_constraints_pin_every_dependency_and_name_no_index():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = (ROOT / "installers" / "constraints.txt").read_text(encoding="utf-8")
    pins = {line.split("==")[0].lower() for line in text.splitlines() if re.match(r"[\w.-]+==[\w.]+( ;|$)", line)}
    assert all(line.startswith("#") or "==" in line for line in text.splitlines())
    assert "://" not in text
    for line in [*project["dependencies"], *project["optional-dependencies"]["test"]]:
        assert re.match(r"[\w.-]+", line).group().lower() in pins


def test_every_text_file_has_plain_line_ends():
    bad = []
    for name in tracked():
        content = (ROOT / name).read_bytes()
        if (
            b"\0" not in content[:8000]
            and Path(name).suffix in {".py", ".md", ".toml", ".txt", ""}
            and b"\r" in content
        ):
            bad.append(name)
    assert bad == []


def too_long(root: Path) -> set[str]:
    """Modules over 500 lines and functions over 80, docstrings included, as "module.py" and "module.py:function"."""
    found = set()
    for path in root.rglob("*.py"):
        name, text = path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")
        if len(text.splitlines()) > LONGEST_MODULE:
            found.add(name)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                if node.end_lineno - first + 1 > LONGEST_FUNCTION:
                    found.add(f"{name}:{node.name}")
    return found


def test_modules_and_functions_can_be_read_at_one_go():
    assert too_long(ROOT / "microscope_qc") == set()
    assert too_long(ROOT / "installers") == set()


def test_what_is_too_long_is_noticed(tmp_path):
    body = "    x = 1\n"
    (tmp_path / "a.py").write_text("def f():\n" + body * 79 + "\n\n@x\ndef g():\n" + body * 79)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.py").write_text("x = 1\n" * 500)
    assert too_long(tmp_path) == {"a.py:g"}
    (tmp_path / "b" / "c.py").write_text("x = 1\n" * 501)
    assert too_long(tmp_path) == {"a.py:g", "b/c.py"}


def test_help_imports_nothing_heavy():
    code = f"""
import contextlib, io, sys
from microscope_qc import cli
for arguments in [["--help"], ["--version"], *([name, "--help"] for name in cli.MODULE_OF)]:
    with contextlib.redirect_stdout(io.StringIO()):
        code = cli.main(arguments)
    heavy = [name for name in {HEAVY!r} if name in sys.modules]
    if code or heavy:
        print(arguments, code, heavy)
        break
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of this checkout."""
    pytest.importorskip("hatchling", reason="wheels are built by hatchling, which the test extra brings")
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=240,
    )
    (path,) = out.glob("*.whl")
    return path


def test_the_map_names_every_room_and_only_what_is_there():
    text = (ROOT / "microscope_qc" / "README.md").read_text(encoding="utf-8")
    rooms = {path.parent.name for path in (ROOT / "microscope_qc").glob("*/__init__.py")}
    assert set(re.findall(r"^\| `(\w+)/` \|", text, flags=re.MULTILINE)) == rooms
    paths = re.findall(r"\b((?:\w+/)+(?:\w+\.py)?)(?![\w/])", text)
    assert len(paths) > 20
    package = ROOT / "microscope_qc"
    bases = [ROOT, package, *(folder for folder in package.rglob("*") if folder.is_dir())]
    assert [path for path in paths if not any((base / path).exists() for base in bases)] == []


def resources() -> list[str]:
    """Files that every installation has; the README's pictures stay where they are."""
    return [name for name in tracked() if name.startswith("resources/") and not name.startswith(PICTURES)]


def test_the_wheel_holds_code_resources_and_licences(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert resources()
    assert {f"microscope_qc/{name}" for name in resources()} <= names
    pictures = re.findall(r"\((resources/[^)]+\.png)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert pictures
    assert all(name.startswith(PICTURES) for name in pictures)
    assert not [name for name in names if PICTURES in name]
    assert {name for name in tracked() if name.startswith("microscope_qc/")} <= names
    assert {name.rsplit("/", 1)[1] for name in names if "/licenses/" in name} == {"LICENSE", "THIRD_PARTY_NOTICES.md"}
    assert not [name for name in names if name.startswith(("tests", "installers", "resources"))]


def find_resource(name: str, **options) -> Path:
    code = (
        "import sys; from microscope_qc.core.resources import resource; "
        "print(resource(*sys.argv[1].split('/')[1:]), end='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, name], capture_output=True, text=True, check=False, timeout=120, **options
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout)


def test_resources_are_found_in_an_installed_wheel(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    for name in (resources()[0], resources()[-1]):
        found = find_resource(name, cwd=tmp_path)
        assert found == tmp_path / "microscope_qc" / name
        assert found.read_bytes() == (ROOT / name).read_bytes()


def test_resources_are_found_in_an_editable_install(tmp_path):
    name = resources()[0]
    found = find_resource(name, cwd=tmp_path)
    if not found.is_relative_to(ROOT):
        pytest.skip("the tests run on an installed package")
    assert found == ROOT / name
