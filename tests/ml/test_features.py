"""Features of a slide: the same in every chunk, whatever was killed, damaged or evicted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from feature_toys import CHUNK, blurred, embedded, store_in, trunk, whole
from tile_toys import ToyMosaic, halves

from microscope_qc.core.errors import InputError, ProjectError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import HoldOff, run_job
from microscope_qc.ml.features.embedding import WAITING, embed
from microscope_qc.ml.features.grid import CHANNELS, COARSE, FINE, FeatureGrid
from microscope_qc.ml.features.room import make_room
from microscope_qc.ml.features.store import CARD_NAME

STRIDES = (FINE, COARSE)


def unlike(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference, as a share of the spread."""
    return float(np.abs(one - other).max() / other.std())


def test_chunks_are_what_the_network_sees_of_the_whole_slide(tmp_path: Path) -> None:
    mosaic = ToyMosaic(blurred())
    chunks = embedded(tmp_path, mosaic)
    assert len(chunks.grid.places) == 9 and chunks.grid.shape == (32, 35)
    pixels = np.pad(blurred(), ((0, 12), (0, 0), (0, 0)), mode="edge")
    fine = trunk().fine(pixels)
    assert unlike(whole(chunks, FINE), fine.astype(float)) < 0.01
    assert unlike(whole(chunks, COARSE), trunk().coarse(fine).astype(float)) < 0.01


def test_features_do_not_depend_on_where_the_grid_begins(tmp_path: Path) -> None:
    picture = blurred((1060, 1060))
    # cells from 96 px on, so far from all borders that none of them sees one
    cut = ToyMosaic(picture[96:, 96:])
    one = embedded(tmp_path, ToyMosaic(picture), chunk=40)
    other = embedded(tmp_path, cut, chunk=40, slide="cut")
    for stride, far in ((FINE, 192 // FINE), (COARSE, 432 // COARSE)):
        step = 96 // stride
        shifted, here = whole(other, stride), whole(one, stride)[step:, step:]
        inner = (slice(far, -far),) * 2
        assert shifted[inner].size > 0
        assert unlike(shifted[inner], here[inner]) < 0.01


def test_a_slide_is_read_at_the_pixel_size_of_the_network() -> None:
    picture = blurred((512, 768))
    mosaic = ToyMosaic(*halves(picture, 2))
    grid = FeatureGrid.of(mosaic, (0.3, 0.3))
    assert (grid.level, grid.cell_px, grid.shape) == (1, (24, 24), (11, 16))
    assert grid.cell_slide_px == (48, 48)
    assert FeatureGrid.of(mosaic, (2.0, 2.0)) == FeatureGrid.of(mosaic, None), "no slide is enlarged"
    box = np.array([[48.0, 96.0, 96.0, 144.0]])
    assert grid.from_slide(box, stride=FINE).tolist() == [[1, 2, 2, 3]]
    assert grid.on_slide(grid.from_slide(box)).tolist() == box.tolist()
    assert FeatureGrid.from_document(grid.document()) == grid


@pytest.mark.parametrize("count", [0, 4, 12])
def test_what_was_killed_is_continued(tmp_path: Path, count: int) -> None:
    here = Path(__file__).parent.parent
    paths = os.pathsep.join([str(here), str(here.parent)])
    script = [sys.executable, str(here / "feature_toys.py"), str(tmp_path / "killed"), str(count)]
    done = subprocess.run(script, env={**os.environ, "PYTHONPATH": paths}, check=False, timeout=300)
    assert done.returncode == 9
    mosaic = ToyMosaic(blurred())
    store = store_in(tmp_path / "killed", mosaic)
    kept = {path: path.stat().st_mtime_ns for path in store.folder.glob("*.safetensors")}
    assert not store.complete and len(kept) >= count
    run_job(embed(mosaic, store, trunk()))
    assert store.complete and all(path.stat().st_mtime_ns == when for path, when in kept.items())
    straight = embedded(tmp_path / "straight", mosaic)
    assert all(np.array_equal(whole(store, stride), whole(straight, stride)) for stride in STRIDES)


def test_a_stopped_one_keeps_what_it_has_and_lets_the_next_one_in(tmp_path: Path) -> None:
    mosaic = ToyMosaic(blurred())
    store = store_in(tmp_path, mosaic)
    job = embed(mosaic, store, trunk())
    next(step for step in job if step.done > 1)
    with pytest.raises(ProjectError, match="Another process"):
        run_job(embed(mosaic, store_in(tmp_path, mosaic), trunk()))
    job.close()
    assert list(store.folder.glob("16_*")) and not store.complete
    steps = list(embed(mosaic, store, trunk()))
    assert store.complete and steps[1].done > 0 and steps[-1].fraction == pytest.approx(1)
    assert [step.done for step in steps] == sorted(step.done for step in steps)


def test_it_waits_in_the_middle_of_a_tile_while_it_is_asked_to(tmp_path: Path) -> None:
    mosaic, clock = ToyMosaic(blurred()), [0.0]
    store, hold_off = store_in(tmp_path, mosaic), HoldOff(lambda: clock[0])
    hold_off.ask(1000.0)
    job = embed(mosaic, store, trunk(), hold_off=hold_off)
    steps = [next(job) for _ in range(6)]
    assert [step.done for step in steps[1:]] == [0] * 5 and {step.note for step in steps[1:]} == {WAITING}
    assert not list(store.folder.glob("16_*"))
    job.close()  # though the wait is long

    class AskedOnce(HoldOff):
        """Asked in the middle of the first tile, for one look."""

        looks = 0

        @property
        def seconds_left(self) -> float:
            self.looks += 1
            return 0.01 if 3 <= self.looks < 6 else 0.0

    once = AskedOnce()
    run_job(embed(mosaic, store, trunk(), hold_off=once))
    assert store.complete and once.looks > 100, "it looks between the layers"


def test_damaged_and_foreign_chunks_are_made_again(tmp_path: Path) -> None:
    mosaic = ToyMosaic(blurred())
    store = embedded(tmp_path, mosaic)
    before = {stride: whole(store, stride) for stride in STRIDES}
    foreign = embedded(tmp_path, ToyMosaic(blurred(seed=1)), slide="other")
    content = bytearray(store.path((1, 1), FINE).read_bytes())
    content[-1000] ^= 1
    store.path((1, 1), FINE).write_bytes(content)
    store.path((0, 2), COARSE).write_bytes(foreign.path((0, 2), COARSE).read_bytes())
    store.path((2, 2), COARSE).write_bytes(b"short")
    store.path((2, 0), FINE).unlink()

    again = store_in(tmp_path, mosaic)
    assert again.read((1, 1), FINE) is None and again.read((0, 2), COARSE) is None
    assert not again.complete and whole(again, FINE)[20, 20].tolist() == [0] * CHANNELS[FINE]
    run_job(embed(mosaic, again, trunk()))
    assert all(np.array_equal(whole(again, stride), before[stride]) for stride in STRIDES)


def test_what_cannot_be_read_is_counted_and_tried_again(tmp_path: Path) -> None:
    mosaic = ToyMosaic(blurred())
    parts = [(0, y, x) for y in range(0, 500, 16) for x in range(0, 560, 16)]
    mosaic.broken = set(parts)
    store = store_in(tmp_path, mosaic)
    assert run_job(embed(mosaic, store, trunk())) > 0
    assert store.complete and store.unread > 0
    mosaic.broken = set()
    assert run_job(embed(mosaic, store, trunk())) == store.unread == 0
    assert all(np.array_equal(whole(store, k), whole(embedded(tmp_path / "b", mosaic), k)) for k in STRIDES)


def test_the_store_that_was_used_the_longest_ago_makes_room(tmp_path: Path) -> None:
    mosaic = ToyMosaic(blurred((200, 200)))
    old, used, written, new = (store_in(tmp_path, mosaic, slide=name) for name in ("old", "used", "written", "new"))
    for number, store in enumerate((used, old, written), 1):
        run_job(embed(mosaic, store, trunk()))
        os.utime(store.folder / CARD_NAME, (number, number))
    used.used()
    each = sum(new.grid.nbytes(place) for place in new.grid.places)
    make_room(tmp_path, new, limit_bytes=5 * each)
    assert old.complete and used.complete
    written.begin()
    os.utime(written.folder / CARD_NAME, (0, 0))
    make_room(tmp_path, new, limit_bytes=3 * each + each // 2)
    written.end()
    assert not old.folder.exists() and used.complete and written.complete
    with pytest.raises(InputError, match="may be used"):
        make_room(tmp_path, new, limit_bytes=each - 1)


def test_a_window_is_the_part_of_the_map(tmp_path: Path) -> None:
    store = embedded(tmp_path, ToyMosaic(blurred()))
    part = store.window(Region(-2, 10, 20, 40), FINE)
    assert part.shape == (22, 30, CHANNELS[FINE]) and not part[:2].any() and not part[:, 25:].any()
    assert np.array_equal(part[2:, :25], whole(store, FINE)[:20, 10:35])
    assert store.grid.cells((2, 2)).shape == (32 - 2 * CHUNK, 35 - 2 * CHUNK)
