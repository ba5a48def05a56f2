"""How many CPU cores a model uses."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest
import torch

from microscope_qc.ml.devices import use_threads


@pytest.fixture(autouse=True)
def six_cores(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 12 if logical else 6)
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda self: list(range(12)), raising=False)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_all_cores_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    use_threads()
    assert torch.get_num_threads() == 6
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda self: [3, 4], raising=False)
    use_threads()
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(("said", "threads"), [("1", 1), ("3", 3), ("2,4", 2), ("all", 6), ("0", 6), ("", 6)])
def test_omp_num_threads_is_respected(monkeypatch: pytest.MonkeyPatch, said: str, threads: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    use_threads()
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(("share", "threads"), [(1, 6), (2, 3), (4, 1), (9, 1)])
def test_workers_of_one_computer_share_its_cores(monkeypatch: pytest.MonkeyPatch, share: int, threads: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as dask sets it for every worker
    use_threads(share=share)
    assert torch.get_num_threads() == threads
