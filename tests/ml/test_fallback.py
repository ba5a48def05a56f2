"""Memory that runs out at every stage: half the batch, half the tile, the CPU, and what the user is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from learning_toys import draw, untrained_model

from microscope_qc.core.errors import OutOfMemory
from microscope_qc.core.jobs import run_job
from microscope_qc.core.matching import iou_matrix
from microscope_qc.ml.architectures.loading import load_task
from microscope_qc.ml.devices import is_out_of_memory
from microscope_qc.ml.engine import run_model
from microscope_qc.ml.engine.batch_size import batch_size, by_trial, cache_file
from microscope_qc.ml.engine.fallback import MemoryFallback
from microscope_qc.ml.engine.streams import stream_count
from microscope_qc.ml.tasks.on_device import OnDevice, compiling_pays
from microscope_qc.project.runs.journal import read_journal, read_status
from microscope_qc.project.runs.plan import RunPlan

TILE = 256


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_model(tmp_path_factory.mktemp("models") / "toy", tile_px=TILE)


def run_folder(folder: Path, model: Path) -> Path:
    """A new run of nine tiles."""
    folder.mkdir()
    cv2.imwrite(str(folder / "slide.png"), draw(3, size=640, count=16)[0])
    card = {
        "slide": {"path": str(folder / "slide.png"), "scene": None, "pixel_size_um": [0.5, 0.5]}, "model": str(model),
        "region": [0, 0, 640, 640], "tile_px": TILE, "overlap_px": 64, "candidate_confidence": 0.2, "device": "cpu",
    }  # fmt: skip
    (folder / "card.json").write_text(json.dumps(card))
    return folder


class Card:
    """Simulates a GPU with memory for so many pixels: a run must not hold more until it has left the GPU."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, room: int, processor_room: int = 1 << 60) -> None:
        self.left = False
        real, move = OnDevice.compute, OnDevice.to_cpu

        def compute(task: OnDevice, slots: torch.Tensor, size: tuple[int, int]) -> Any:
            if slots[..., 0].numel() > (processor_room if self.left else room):
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            return real(task, slots, size)

        def to_cpu(task: OnDevice) -> None:
            self.left = True
            move(task)

        class Device:
            """The part of a device that the fallback uses."""

            @property
            def type(device) -> str:
                return "cpu" if self.left else "cuda"

        monkeypatch.setattr(OnDevice, "compute", compute)
        monkeypatch.setattr(OnDevice, "to_cpu", to_cpu)
        original = MemoryFallback.__init__

        def begin(fallback: MemoryFallback, task: Any, tell: Any) -> None:
            original(fallback, _Played(task, Device()), tell)

        monkeypatch.setattr(MemoryFallback, "__init__", begin)
        # only a processor begins with single tiles
        monkeypatch.setattr("microscope_qc.ml.engine.engine.with_first_singly", lambda batching, _group: batching)


class _Played:
    """A task that reports another device than the one it uses."""

    def __init__(self, task: Any, device: Any) -> None:
        self._task, self.device = task, device

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)


def boxes(folder: Path) -> dict[int, np.ndarray]:
    return dict(read_journal(folder)[0])


SLOT = TILE * TILE
PARTS = 192 * 192  # half a tile and half of the overlap


@pytest.mark.parametrize(
    ("room", "said"),
    [
        (4 * SLOT, []),
        (2 * SLOT, ["2 tiles"]),
        (SLOT, ["2 tiles", "one tile"]),
        (PARTS, ["2 tiles", "one tile", "in parts"]),
        (10, ["2 tiles", "one tile", "in parts", "processor"]),
    ],
)
def test_a_run_continues_when_memory_runs_out(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, said: list[str]
) -> None:
    undisturbed = run_folder(tmp_path / "undisturbed", model)
    run_job(run_model(undisturbed))
    played = Card(monkeypatch, room=room)
    folder = run_folder(tmp_path / "run", model)
    status = run_job(run_model(folder))
    assert status["state"] == "finished" and status["tiles_done"] == 9
    assert len(status["notes"]) == len(said) and read_status(folder)["notes"] == status["notes"]
    for note, words in zip(status["notes"], said, strict=True):
        assert words in note
    assert played.left == ("processor" in said)
    before, after = boxes(undisturbed), boxes(folder)
    assert set(before) == set(after)
    if "in parts" in said[-1:]:  # parts see less context; for a trained network see below
        return
    for tile, rows in before.items():
        assert len(rows) == len(after[tile])
        for name in ("y0", "x0", "y1", "x1"):
            np.testing.assert_allclose(after[tile][name], rows[name], atol=0.5)
        np.testing.assert_allclose(after[tile]["confidence"], rows["confidence"], atol=0.01)


def test_when_nothing_helps_the_user_is_told(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Card(monkeypatch, room=10, processor_room=10)
    folder = run_folder(tmp_path / "run", model)
    with pytest.raises(OutOfMemory, match=r"memory is not enough.*Close other programs"):
        run_job(run_model(folder))
    status = read_status(folder)
    assert status["state"] == "failed" and "memory" in status["message"]
    monkeypatch.undo()
    assert run_job(run_model(folder))["state"] == "finished"


def test_a_trained_detector_finds_the_same_in_parts() -> None:
    from microscope_qc.synthetic.electrode import ElectrodeSlide

    slide = ElectrodeSlide((1536, 1536), seed=11, defects=14)
    picture = cv2.resize(slide.read(0, 0, 1536, 1536), (512, 512), interpolation=cv2.INTER_AREA)
    task = load_task(RunPlan(model="li-ion-ssd", device="cpu", candidate_confidence=0.4))
    slots = torch.zeros((1, 512, 512, 3))
    task.prepare(picture, slots[0].numpy())
    told: list[str] = []
    fallback = MemoryFallback(task, told.append)
    (whole,) = fallback.results(fallback.compute(slots, (512, 512)), (512, 512))
    fallback._apart = True
    (parts,) = fallback.results(fallback.compute(slots, (512, 512)), (512, 512))
    assert len(whole.candidates) > 5
    corners = [
        np.stack([rows[name] for name in ("y0", "x0", "y1", "x1")], axis=1)
        for rows in (whole.candidates, parts.candidates)
    ]
    best = iou_matrix(*corners).max(axis=1)
    assert (best > 0.6).mean() >= 0.8 and abs(len(corners[0]) - len(corners[1])) <= 0.3 * len(corners[0])


def test_parts_of_a_tile_cover_it(model: Path) -> None:
    task = load_task(RunPlan(model=str(model), device="cpu", candidate_confidence=0.2))
    parts = task.parts((TILE, TILE))
    assert len(parts) == 4
    covered = np.zeros((TILE, TILE), bool)
    for part in parts:
        assert part.shape[0] % 64 == part.shape[1] % 64 == 0
        covered[part.y0 : part.y1, part.x0 : part.x1] = True
    assert covered.all()
    assert task.parts((64, 64)) == []


def test_which_errors_mean_a_lack_of_memory() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"))
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_a_batch_size_is_measured_once(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROSCOPE_QC_CACHE", str(tmp_path / "cache"))
    task = load_task(RunPlan(model=str(model), device="cpu"))
    best = batch_size(task, (TILE, TILE), tiles=1000)
    assert 1 <= best <= 8 and list(json.loads(cache_file().read_text()).values()) == [best]
    monkeypatch.setattr("microscope_qc.ml.engine.batch_size.by_trial", lambda *_: pytest.fail("tried again"))
    assert batch_size(task, (TILE, TILE), tiles=1000) == best
    assert batch_size(task, (TILE, TILE), tiles=3) == -(-3 // stream_count(task.device)), "a few: no trial"


def test_a_trial_ends_where_memory_does(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Card(monkeypatch, room=2 * SLOT)
    task = load_task(RunPlan(model=str(model), device="cpu"))
    assert by_trial(task, (TILE, TILE)) <= 2


def test_the_smallest_nearly_fastest_batch_is_used(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    each = {1: 1.0, 2: 0.99, 4: 0.80, 8: 0.79}  # four are faster than two, eight hardly faster than four
    monkeypatch.setattr(
        "microscope_qc.ml.engine.batch_size._seconds", lambda task, slots, shape: len(slots) * each[len(slots)]
    )
    assert by_trial(load_task(RunPlan(model=str(model), device="cpu")), (TILE, TILE)) == 4


@pytest.mark.parametrize("content", ["{", "[]", '{"x": "y"}', ""])
def test_a_damaged_cache_of_batch_sizes_is_ignored(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.setenv("MICROSCOPE_QC_CACHE", str(tmp_path))
    cache_file().write_text(content)
    monkeypatch.setattr("microscope_qc.ml.engine.batch_size.by_trial", lambda *_: 2)
    assert batch_size(load_task(RunPlan(model=str(model), device="cpu")), (TILE, TILE), tiles=1000) == 2


def test_a_network_that_cannot_be_compiled_is_run_uncompiled(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def compile(network: Any, **options: Any) -> Any:
        def fails(pictures: torch.Tensor) -> Any:
            calls.append(1)
            raise RuntimeError("no compiler was found")

        return fails

    calls: list[int] = []
    slots = torch.rand(2, TILE, TILE, 3)
    task = load_task(RunPlan(model=str(model), device="cpu", candidate_confidence=0.2))
    expected = task.results(task.compute(slots, (TILE, TILE)), (TILE, TILE))
    monkeypatch.setattr(torch, "compile", compile)
    task.compile()
    for _ in range(2):
        found = task.results(task.compute(slots, (TILE, TILE)), (TILE, TILE))
        assert all((a.candidates == b.candidates).all() for a, b in zip(found, expected, strict=True))
    assert len(calls) == 1, "it is not tried again"
    assert not compiling_pays(torch.device("cpu"), tiles=1_000_000)
    assert not compiling_pays(torch.device("cuda"), tiles=10)
