"""What all tests share: real slides, the long counts, and repeatable wild inputs. Nothing here imports Qt."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# read by numpy and torch when they are loaded, and by child processes: pictures are so small here that threads only
# wait for each other, seconds at a time where the cores are busy
os.environ.setdefault("OMP_NUM_THREADS", "1")

settings.register_profile(
    "ci", derandomize=True, max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("long", derandomize=True, max_examples=500, deadline=None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--long`` runs the full counts."""
    parser.addoption("--long", action="store_true", default=False, help="run the full counts too (much longer)")


def pytest_configure(config: pytest.Config) -> None:
    """Choose how many wild inputs are tried."""
    settings.load_profile("long" if config.getoption("--long") else "ci")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked ``long`` unless asked for."""
    if config.getoption("--long"):
        return
    skip = pytest.mark.skip(reason="full counts: run with --long")
    for item in items:
        if "long" in item.keywords:
            item.add_marker(skip)


def pytest_report_collectionfinish(items: list[pytest.Item]) -> str:
    """Say how many tests this process has: installers/test.py compares the sum with all there are."""
    return f"{len(items)} tests collected"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real slides and annotations, named by MICROSCOPE_QC_DATA."""
    folder = os.environ.get("MICROSCOPE_QC_DATA")
    if not folder:
        pytest.skip("set MICROSCOPE_QC_DATA to the folder of real data")
    path = Path(folder)
    if not path.is_dir():
        pytest.skip(f"MICROSCOPE_QC_DATA names {folder}, which is not there")
    return path


@pytest.fixture(scope="session")
def installed_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder in which the example of another package is installed; tests/example_package.py uses it."""
    import example_package

    return example_package.install(tmp_path_factory.mktemp("example"))
