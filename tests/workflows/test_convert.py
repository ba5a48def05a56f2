"""Conversion: nothing is lost or left incomplete, whatever happens to source, disk or a second conversion."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorstore
import tifffile
from conversion_toys import check_levels, damage_tile, micrograph, same_store, write_tiff
from filelock import FileLock

from microscope_qc.cli import main
from microscope_qc.core.errors import Cancelled, InputError, SlideError
from microscope_qc.core.files import WriteError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import CancelToken, Progress, run_job
from microscope_qc.slides import Channel, open_slide
from microscope_qc.slides.base import Mosaic
from microscope_qc.slides.pixels import Level
from microscope_qc.slides.pyramid.part import LOCK_NAME, Resuming, part_folder
from microscope_qc.slides.pyramid.source import PixelSource, merged
from microscope_qc.slides.pyramid.write import damaged_places, write_ome_zarr
from microscope_qc.workflows.conversion.convert import convert


@pytest.fixture
def tiff(tmp_path: Path) -> Path:
    return write_tiff(tmp_path / "cell.tif", micrograph((1500, 1300, 3)))


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((1201, 1347, 3), "uint8"),
        ((1201, 1347), "int8"),
        ((1025, 1029), "uint16"),
        ((1300, 901), "int16"),
        ((1111, 1024), "float32"),
        ((1023, 1111), "float64"),
        ((777, 1031), "uint32"),
        ((4099, 5), "uint8"),
    ],
)
def test_every_level_is_the_mean_of_the_finer_one(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(5)
    kind = np.dtype(dtype)
    if kind.kind == "f":
        pixels = rng.normal(0, 500, shape).astype(kind)
    else:
        limits = np.iinfo(kind)
        pixels = rng.integers(limits.min, limits.max, shape, dtype=kind, endpoint=True)
    (out,) = run_job(convert(write_tiff(tmp_path / "a.tif", pixels), tmp_path / "a.ome.zarr"))
    check_levels(out, np.moveaxis(pixels, 2, 0) if pixels.ndim == 3 else pixels[None])


def test_binary_pixels_take_the_majority(tmp_path: Path) -> None:
    pixels = np.random.default_rng(3).random((1100, 700)) > 0.4
    job = write_ome_zarr(
        tmp_path / "a.ome.zarr",
        shape=pixels.shape,
        dtype="bool",
        rgb=False,
        read=lambda r: pixels[r.y0 : r.y1, r.x0 : r.x1],
        verify=True,
    )
    check_levels(run_job(job), pixels[None])


def test_noise_is_not_brightened_on_coarser_levels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(90, 160, (4096, 4096), dtype=np.uint8)
    job = write_ome_zarr(
        tmp_path / "a.ome.zarr",
        shape=pixels.shape,
        dtype="uint8",
        rgb=False,
        read=lambda r: pixels[r.y0 : r.y1, r.x0 : r.x1],
    )
    with open_slide(run_job(job)) as slide:
        mosaic = slide.scene()
        for level in range(len(mosaic.levels)):
            part = mosaic.read(Region(0, 0, *mosaic.levels[level].shape), level=level)
            assert abs(float(part.mean()) - float(pixels.mean())) < 0.15


def test_wide_strips_are_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from microscope_qc.slides.tiff.pages import PageReader

    pixels = micrograph((2300, 9000))
    tiff = write_tiff(tmp_path / "a.tif", pixels, tile=None, rowsperstrip=64)
    unpacked: list[int] = []
    decode = PageReader._decode

    def counted(self, page, keyframe, index, *args):
        unpacked.append(index)
        return decode(self, page, keyframe, index, *args)

    monkeypatch.setattr(PageReader, "_decode", counted)
    monkeypatch.setattr(
        "microscope_qc.slides.tiff.reader.CACHE_BYTES", 2 * 512 * 9000
    )  # two rows of tiles, as of a wide slide
    (out,) = run_job(convert(tiff, tmp_path / "a.ome.zarr"))
    assert sorted(unpacked) == list(range(36))
    check_levels(out, pixels[None])


def test_the_store_names_its_source_and_keeps_its_metadata(tmp_path: Path) -> None:
    pixels = np.stack([micrograph((600, 700), dtype="uint16", seed=i) for i in range(2)])
    channels = [Channel("SE", "#ff0000", (10, 200)), Channel("BSE", "#00ff00")]
    first = run_job(
        write_ome_zarr(
            tmp_path / "first.ome.zarr",
            shape=(600, 700),
            dtype="uint16",
            rgb=False,
            read=lambda r: pixels[:, r.y0 : r.y1, r.x0 : r.x1],
            channels=channels,
            pixel_size_um=(0.5, 0.25),
            origin_px=(-5, 70_000),
            stage={"x_mm": 1.5},
            name="Cell 7",
        )
    )
    (out,) = run_job(convert(first, tmp_path / "second.ome.zarr"))
    with open_slide(first) as old, open_slide(out) as new:
        before, after = old.scene(), new.scene()
        for name in ("channels", "pixel_size_um", "origin_px", "stage", "name", "dtype", "shape", "notes"):
            assert getattr(after, name) == getattr(before, name), name
        fingerprint = before.fingerprint()
        assert after.fingerprint() == fingerprint
    own = json.loads((out / "zarr.json").read_text())["attributes"]["microscope_qc"]
    assert own["source"] == {"name": "first.ome.zarr", "fingerprint": fingerprint, "scene": "Cell 7"}
    assert "damaged" not in own


def test_the_window_of_a_colour_picture_is_kept(tmp_path: Path) -> None:
    pixels = micrograph((300, 400, 3), dtype="uint16")
    job = write_ome_zarr(
        tmp_path / "a.ome.zarr",
        shape=(300, 400),
        dtype="uint16",
        rgb=True,
        read=lambda r: pixels[r.y0 : r.y1, r.x0 : r.x1],
        channels=[Channel("RGB", window=(100.0, 3000.0))],
    )
    (out,) = run_job(convert(run_job(job), tmp_path / "b.ome.zarr"))
    with open_slide(out) as slide:
        assert slide.scene().channels == (Channel("RGB", window=(100.0, 3000.0)),)


def test_the_check_is_a_phase_of_its_own_and_can_be_left_out(tiff: Path, tmp_path: Path) -> None:
    for verify, units in ((True, ["tiles", "files"]), (False, ["tiles"])):
        seen: list[Progress] = []
        run_job(convert(tiff, tmp_path / "a.ome.zarr", verify=verify), seen.append)
        assert list(dict.fromkeys(progress.unit for progress in seen)) == units
        assert all(progress.done <= progress.total for progress in seen)
        assert seen[-1].done == seen[-1].total


def test_what_the_drive_changed_is_not_published_and_only_that_is_rewritten(tmp_path: Path) -> None:
    tiff = write_tiff(tmp_path / "a.tif", micrograph((1000, 9000)))
    job = convert(tiff, tmp_path / "a.ome.zarr")
    shard = tmp_path / ".a.ome.zarr.part/0/c/0/0/1"
    for progress in job:
        if progress.unit == "files" and progress.done == 0:
            content = bytearray(shard.read_bytes())
            content[5000] ^= 4
            shard.write_bytes(content)
            break
    with pytest.raises(WriteError, match="1 of 5 files differ .the first on level 0 at x 4096, y 0"):
        run_job(job)
    assert not (tmp_path / "a.ome.zarr").exists()
    seen: list[Progress] = []
    (out,) = run_job(convert(tiff, tmp_path / "a.ome.zarr"), seen.append)
    assert 0 < seen[0].done < seen[0].total and "continuing" in seen[0].note
    check_levels(out, tifffile.imread(tiff)[None])
    assert hidden(tmp_path) == []


def test_other_pixels_with_a_good_checksum_are_noticed_too(tiff: Path, tmp_path: Path) -> None:
    other = write_tiff(tmp_path / "other.tif", micrograph((1500, 1300, 3), seed=9))
    (wrong,) = run_job(convert(other, tmp_path / "wrong.ome.zarr"))
    job = convert(tiff, tmp_path / "a.ome.zarr")
    for progress in job:
        if progress.unit == "files" and progress.done == 0:
            (tmp_path / ".a.ome.zarr.part/1/c/0/0/0").write_bytes((wrong / "1/c/0/0/0").read_bytes())
            break
    with pytest.raises(WriteError, match="not stored as it was written"):
        run_job(job)
    assert not (tmp_path / "a.ome.zarr").exists()


# ---------------------------------------------------------------- damaged sources


def test_a_damaged_tile_is_filled_and_its_place_reported(
    tiff: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = tifffile.imread(tiff)
    damage_tile(tiff, 8)  # the second row of tiles of 256 px, the third of its six
    pixels[256:512, 512:768] = 0
    out = tmp_path / "a.ome.zarr"
    assert main(["convert", str(tiff), str(out), "--progress", "none", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"written": [str(out)], "damaged": {str(out): [[256, 512, 512, 768]]}}
    assert "One place of the source could not be read" in said.err and "x 512, y 256" in said.err
    check_levels(out, np.moveaxis(pixels, 2, 0))
    assert damaged_places(out) == [Region(256, 512, 512, 768)]
    with open_slide(out) as slide:
        assert slide.scene().notes == ("1 damaged place of its source, filled with background",)
    assert json.loads((out / "zarr.json").read_text())["attributes"]["microscope_qc"]["source"]["fingerprint"] is None
    notes = []
    run_job(convert(tiff, tmp_path / "b.ome.zarr"), lambda progress: notes.append(progress.note))
    assert "One place of the source could not be read" in notes[-1]


class Patient(Mosaic):
    """Pixels that can be read except where they are damaged, on a drive that can be disconnected."""

    def __init__(self, path: Path, pixels: np.ndarray, damaged: dict[int, Region], **more) -> None:
        channels = [Channel(str(i)) for i in range(len(pixels))]
        shape = pixels.shape[1:]
        super().__init__(path=path, levels=[Level(shape, (1, 1))], dtype=pixels.dtype, channels=channels, **more)
        self._pixels, self._damaged = pixels, damaged

    def _read(self, region: Region, level: int, channel: int) -> np.ndarray:
        bad = self._damaged.get(channel, Region(0, 0, 0, 0))
        if max(bad.y0, region.y0) < min(bad.y1, region.y1) and max(bad.x0, region.x0) < min(bad.x1, region.x1):
            raise SlideError("cannot be decoded")
        return self._pixels[channel, region.y0 : region.y1, region.x0 : region.x1]


def test_damage_of_one_channel_costs_only_that_channel(tmp_path: Path) -> None:
    pixels = np.stack([micrograph((1300, 1700), dtype="uint16", seed=i) for i in range(3)])
    mosaic = Patient(tmp_path, pixels, {1: Region(1000, 1500, 1200, 1530)}, background=7)
    job = write_ome_zarr(
        tmp_path / "a.ome.zarr",
        shape=mosaic.shape,
        dtype=mosaic.dtype,
        rgb=False,
        channels=mosaic.channels,
        source=PixelSource(background=mosaic.background),
        read=[lambda region, i=i: mosaic.read(region, channel=i) for i in range(3)],
    )
    out = run_job(job)
    expected = pixels.copy()
    expected[1, 896:1280, 1408:1536] = 7  # squares of 128 px on the grid, no more
    check_levels(out, expected)
    assert damaged_places(out) == [Region(896, 1408, 1280, 1536)]


def test_too_much_damage_is_an_error_and_names_the_first_cause(tiff: Path, tmp_path: Path) -> None:
    for index in range(6, 18):
        damage_tile(tiff, index)
    with pytest.raises(SlideError, match="More than .* of cell.tif cannot be read"):
        run_job(convert(tiff, tmp_path / "a.ome.zarr"))
    for index in [*range(6), *range(18, 36)]:
        damage_tile(tiff, index)
    with pytest.raises(SlideError, match="A part of cell.tif cannot be decoded"):
        run_job(convert(tiff, tmp_path / "a.ome.zarr"))
    assert [path.name for path in tmp_path.iterdir()] == ["cell.tif"]


@pytest.mark.parametrize("silent", [True, False])
def test_a_source_that_is_disconnected_is_continued_when_it_is_back(tmp_path: Path, silent: bool) -> None:
    pixels = micrograph((1100, 8400))
    there = threading.Event()
    there.set()
    reads = []

    def read(region: Region) -> np.ndarray:
        reads.append(region)
        if len(reads) == 13:
            there.clear()
        if there.is_set():
            return pixels[region.y0 : region.y1, region.x0 : region.x1]
        if silent:  # as a store on a disconnected drive does
            return np.zeros(region.shape, np.uint8)
        raise SlideError("gone")

    def job(name: str):
        return write_ome_zarr(
            tmp_path / name,
            shape=pixels.shape,
            dtype="uint8",
            rgb=False,
            read=read,
            source=PixelSource({"name": "a.tif"}, is_there=there.is_set),
            resuming=Resuming({"fingerprint": "x"}),
        )

    with pytest.raises(SlideError, match=r"a\.tif is no longer there"):
        run_job(job("a.ome.zarr"))
    assert [path.name for path in tmp_path.iterdir()] == [".a.ome.zarr.part"]
    there.set()
    reads[:] = [None] * 50  # it is not disconnected again
    out = run_job(job("a.ome.zarr"))
    asked = [region for region in reads if region is not None]
    assert 0 < len(asked) < 18, "what was stored is not read again"
    check_levels(out, pixels[None])
    assert hidden(tmp_path) == [] and damaged_places(out) == []


def test_what_could_not_be_read_is_retried(tmp_path: Path) -> None:
    pixels = micrograph((1000, 9000))
    state = {"bad": True, "reads": 0}

    def read(region: Region) -> np.ndarray:
        state["reads"] += 1
        if state["bad"] and region.x0 < 300 and region.y0 < 300:
            raise SlideError("a cable is loose")
        if state["bad"] and region.x0 >= 8192:
            raise InputError("stop here")
        return pixels[region.y0 : region.y1, region.x0 : region.x1]

    def job():
        key = {"fingerprint": "x"}
        shape = pixels.shape
        return write_ome_zarr(
            tmp_path / "a.ome.zarr",
            shape=shape,
            dtype="uint8",
            rgb=False,
            read=read,
            resuming=Resuming(key),
            verify=True,
        )

    with pytest.raises(InputError):
        run_job(job())
    assert '"damaged"' in (tmp_path / ".a.ome.zarr.part/journal.jsonl").read_text()
    state.update(bad=False, reads=0)
    out = run_job(job())
    assert state["reads"] == 5, "the damaged shard and the one that was not finished"
    check_levels(out, pixels[None])
    assert damaged_places(out) == []


@pytest.mark.parametrize("listed", ["x", 5, {"a": 1}, [1, 2], [["a", 0, 1, 2]], [[1, 2, 3]]])
def test_places_from_an_untrusted_file_are_skipped(tmp_path: Path, listed: object) -> None:
    document = {"zarr_format": 3, "node_type": "group", "attributes": {"microscope_qc": {"damaged": listed}}}
    (tmp_path / "zarr.json").write_text(json.dumps(document))
    assert damaged_places(tmp_path) == []


def test_neighbouring_places_are_reported_as_one() -> None:
    assert merged([]) == []
    squares = [Region(y, x, y + 128, x + 128) for y in (0, 128) for x in (256, 384, 640)]
    assert merged([*squares, *squares]) == [Region(0, 256, 256, 512), Region(0, 640, 256, 768)]


# ---------------------------------------------------------------- continuing, locks, disks, links


def stopped(tiff: Path, out: Path, tiles: int) -> None:
    """What a kill leaves: a writer that ended abruptly (tests with real kills are in test_convert_killed.py)."""
    code = f"""
        import os
        from microscope_qc.workflows.conversion.convert import convert
        for progress in convert({str(tiff)!r}, {str(out)!r}):
            if progress.done >= {tiles}:
                os._exit(9)
    """
    assert subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False).returncode == 9


def test_only_the_same_source_and_settings_are_continued(tmp_path: Path) -> None:
    tiff = write_tiff(tmp_path / "a.tif", micrograph((1100, 9000)))
    other = write_tiff(tmp_path / "b.tif", micrograph((1100, 9000), seed=4))
    out = tmp_path / "out.ome.zarr"

    def first_progress(source: Path, **more) -> Progress:
        seen: list[Progress] = []
        run_job(convert(source, out, **more), seen.append)
        return seen[0]

    stopped(tiff, out, 14)
    assert hidden(tmp_path) == [".out.ome.zarr.part"] and not out.exists()
    assert first_progress(other).done <= 1
    check_levels(out, tifffile.imread(other)[None])
    stopped(tiff, out, 14)
    assert first_progress(tiff, resume=False).done <= 1
    stopped(tiff, out, 14)
    with tiff.open("ab") as file:  # another program writes to the slide
        file.write(b"x")
    assert first_progress(tiff).done <= 1
    stopped(tiff, out, 14)
    assert first_progress(tiff, pixel_size_um=0.7).done >= 4, "the pixels are the same"
    with open_slide(out) as slide:
        assert slide.scene().pixel_size_um == (0.7, 0.7)
    check_levels(out, tifffile.imread(tiff)[None])
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("strips", [False, True])
def test_a_journal_or_a_file_damaged_by_a_crash_does_no_harm(tmp_path: Path, strips: bool) -> None:
    more = {"tile": None, "rowsperstrip": 128} if strips else {}
    tiff = write_tiff(tmp_path / "a.tif", micrograph((1100, 9000)), **more)
    (whole,) = run_job(convert(tiff, tmp_path / "whole.ome.zarr"))
    part = tmp_path / ".out.ome.zarr.part"

    def incomplete_line() -> None:
        with (part / "journal.jsonl").open("ab") as file:
            file.write(b'{"shard": [0, 0')

    def no_journal() -> None:
        (part / "journal.jsonl").write_bytes(b"\x00\xff")

    def lost_file() -> None:
        (part / "0/c/0/0/0").unlink()

    def lost_level() -> None:
        (part / "1/zarr.json").unlink()

    for harm in (incomplete_line, lost_file) if strips else (no_journal, lost_level):
        stopped(tiff, tmp_path / "out.ome.zarr", 48 if strips else 14)  # tiles are smaller for strips
        harm()
        (out,) = run_job(convert(tiff, tmp_path / "out.ome.zarr"))
        same_store(out, whole)


def test_what_was_damaged_in_the_meantime_is_rewritten(tmp_path: Path) -> None:
    tiff = write_tiff(tmp_path / "a.tif", micrograph((1100, 9000)))
    out = tmp_path / "out.ome.zarr"
    stopped(tiff, out, 14)
    shard = tmp_path / ".out.ome.zarr.part/0/c/0/0/0"
    content = bytearray(shard.read_bytes())
    for i in range(100, len(content) - 400, 5000):
        content[i] ^= 255
    shard.write_bytes(content)
    with pytest.raises(WriteError, match="cannot be read back"):
        run_job(convert(tiff, out))
    run_job(convert(tiff, out))
    check_levels(out, tifffile.imread(tiff)[None])


def test_two_conversions_to_one_place_are_refused(tiff: Path, tmp_path: Path) -> None:
    job = convert(tiff, tmp_path / "a.ome.zarr")
    next(job)
    with pytest.raises(WriteError, match=r"Another conversion is writing a\.ome\.zarr"):
        run_job(convert(tiff, tmp_path / "a.ome.zarr"))
    run_job(job)
    check_levels(tmp_path / "a.ome.zarr", np.moveaxis(tifffile.imread(tiff), 2, 0))
    assert hidden(tmp_path) == []
    (tmp_path / ".b.ome.zarr.part").mkdir()
    with (
        FileLock(tmp_path / ".b.ome.zarr.part" / LOCK_NAME),
        pytest.raises(WriteError, match="Another conversion"),
    ):
        run_job(convert(tiff, tmp_path / "b.ome.zarr"))


def test_cancelling_keeps_nothing_in_either_phase(tiff: Path, tmp_path: Path) -> None:
    for unit, done in (("tiles", 2), ("files", 1)):
        token = CancelToken()

        def on_progress(progress: Progress, token=token, unit=unit, done=done) -> None:
            if progress.unit == unit and progress.done >= done:
                token.cancel()

        with pytest.raises(Cancelled):
            run_job(convert(tiff, tmp_path / "a.ome.zarr"), on_progress, token)
        assert [path.name for path in tmp_path.iterdir()] == ["cell.tif"]


def test_stopped_by_closing_the_window_it_continues_where_it_was(tmp_path: Path) -> None:
    tiff = write_tiff(tmp_path / "cell.tif", micrograph((1100, 9000)))
    job = convert(tiff, tmp_path / "a.ome.zarr", keep_stopped=True)
    while next(job).done < 14:
        pass
    job.close()
    assert part_folder(tmp_path / "a.ome.zarr").is_dir()
    seen: list[Progress] = []
    run_job(convert(tiff, tmp_path / "a.ome.zarr"), seen.append)
    assert seen[0].done > 0, "it began again"
    check_levels(tmp_path / "a.ome.zarr", tifffile.imread(tiff)[None])
    assert hidden(tmp_path) == []


def test_a_kill_between_the_last_two_renames_loses_nothing(tiff: Path, tmp_path: Path) -> None:
    (out,) = run_job(convert(tiff, tmp_path / "a.ome.zarr"))
    out.rename(tmp_path / ".a.ome.zarr.old")
    job = convert(tiff, tmp_path / "a.ome.zarr")
    next(job)
    check_levels(out, np.moveaxis(tifffile.imread(tiff), 2, 0))  # the previous one is back while the new one is made
    run_job(job)
    assert hidden(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of a POSIX system")
def test_a_disk_that_fills_leaves_what_was_there(tiff: Path, tmp_path: Path) -> None:
    (before,) = run_job(convert(write_tiff(tmp_path / "old.tif", micrograph((300, 300))), tmp_path / "a.ome.zarr"))
    code = """
        import resource, signal, sys
        from microscope_qc.cli import main
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        sys.exit(main(sys.argv[1:]))
    """
    command = [sys.executable, "-c", textwrap.dedent(code), "convert", str(tiff), str(before), "--progress", "none"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stdout == ""
    assert len(ended.stderr.strip().splitlines()) == 1 and "cannot be written" in ended.stderr
    check_levels(before, micrograph((300, 300))[None])
    assert hidden(tmp_path) == []


def test_a_full_disk_is_named(tiff: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self, parts):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("microscope_qc.slides.pyramid.shards._ShardFile.append", full)
    with pytest.raises(WriteError, match="The disk is full"):
        run_job(convert(tiff, tmp_path / "a.ome.zarr"))
    assert [path.name for path in tmp_path.iterdir()] == ["cell.tif"]


def test_links_are_followed(tiff: Path, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to(tmp_path / "far", target_is_directory=True)
    (tmp_path / "link.tif").symlink_to(tiff)
    (out,) = run_job(convert(tmp_path / "link.tif", tmp_path / "near" / "a.ome.zarr"))
    assert out == tmp_path / "near" / "a.ome.zarr"
    assert [path.name for path in (tmp_path / "far").iterdir()] == ["a.ome.zarr"]
    # a link in place of the target: what it points to is replaced, the link stays
    (tmp_path / "pointer.ome.zarr").symlink_to(tmp_path / "far" / "a.ome.zarr", target_is_directory=True)
    small = write_tiff(tmp_path / "small.tif", micrograph((300, 300)))
    run_job(convert(small, tmp_path / "pointer.ome.zarr"))
    assert (tmp_path / "pointer.ome.zarr").is_symlink()
    check_levels(tmp_path / "far" / "a.ome.zarr", micrograph((300, 300))[None])
    (tmp_path / "round").symlink_to(tmp_path / "round")
    with pytest.raises(WriteError, match="cannot be written"):
        run_job(convert(small, tmp_path / "round"))


def test_a_slide_is_not_written_into_or_over_itself(tiff: Path, tmp_path: Path) -> None:
    (out,) = run_job(convert(tiff, tmp_path / "a.ome.zarr"))
    (tmp_path / "link.ome.zarr").symlink_to(out, target_is_directory=True)
    for target in (out, tmp_path / "link.ome.zarr", out / "inner.ome.zarr"):
        with pytest.raises(InputError, match="into itself"):
            run_job(convert(out, target))
    inner = out / "inner.ome.zarr"
    run_job(convert(tiff, inner))
    with pytest.raises(InputError, match="into itself"):
        run_job(convert(inner, out))
    check_levels(inner, np.moveaxis(tifffile.imread(tiff), 2, 0))


def test_a_read_only_folder_is_reported_in_one_sentence(
    tiff: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbid(self, *args, **kwargs):
        if self.name.endswith(".part"):
            raise PermissionError(13, "Permission denied")
        return mkdir(self, *args, **kwargs)

    mkdir = Path.mkdir
    monkeypatch.setattr(Path, "mkdir", forbid)
    with pytest.raises(WriteError, match="read-only"):
        run_job(convert(tiff, tmp_path / "a.ome.zarr"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of the memory from /proc")
@pytest.mark.parametrize(
    ("shape", "planes", "dtype", "strip_px"),
    [
        pytest.param((4096, 4096), 3, "uint8", 0),
        pytest.param((40_000, 30_000), 3, "uint8", 0, marks=pytest.mark.long),
        pytest.param((9000, 80_000), 3, "uint8", 80_000, marks=pytest.mark.long),
        pytest.param((9000, 9000), 30, "uint16", 0, marks=pytest.mark.long),
    ],
)
def test_memory_is_bounded(tmp_path: Path, shape: tuple[int, int], planes: int, dtype: str, strip_px: int) -> None:
    code = f"""
        import numpy as np
        from pathlib import Path
        from microscope_qc.core.jobs import run_job
        from microscope_qc.slides import Channel
        from microscope_qc.slides.pyramid.source import PixelSource
        from microscope_qc.slides.pyramid.write import write_ome_zarr
        rgb = {planes} == 3
        def read(region):
            ramp = np.arange(region.shape[1], dtype={dtype!r})
            shape = (*region.shape, 3) if rgb else region.shape
            return np.broadcast_to(ramp[:, None] if rgb else ramp, shape).copy()
        job = write_ome_zarr({str(tmp_path / "a.ome.zarr")!r}, shape={shape}, dtype={dtype!r}, rgb=rgb,
                             read=read if rgb else [read] * {planes}, channels=[Channel("a")] * {planes},
                             source=PixelSource(strip_px={strip_px}), workers=8, verify=True)
        run_job(job)
        print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    """
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, capture_output=True, text=True)
    assert int(ended.stdout) / 1e3 < 1500


# ---------------------------------------------------------------- other programs


def test_the_reference_library_and_napari_open_every_level(tmp_path: Path) -> None:
    from napari_builtins.io import napari_get_reader
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    pixels = micrograph((2049, 1555, 3))
    (out,) = run_job(convert(write_tiff(tmp_path / "a.tif", pixels), tmp_path / "a.ome.zarr"))
    check_levels(out, np.moveaxis(pixels, 2, 0))
    expected = [np.moveaxis(pixels, 2, 0)]
    for level in (1, 2):
        expected.append(np.stack([mean for mean in map(_halver(level), expected[-1])]))
    location = parse_url(out)
    assert location is not None
    node = next(iter(Reader(location)()))
    reader = napari_get_reader(str(out))
    assert reader is not None
    ((layer, *_),) = reader(str(out))
    for opened in (node.data, layer):
        assert len(opened) == len(expected)
        for level, want in zip(opened, expected, strict=True):
            np.testing.assert_array_equal(np.asarray(level), want)


def _halver(level: int):
    from conversion_toys import mean_of_four

    return lambda plane: mean_of_four(plane, level)


def test_tensorstore_and_the_metadata_schema_accept_it(tiff: Path, tmp_path: Path) -> None:
    (out,) = run_job(convert(tiff, tmp_path / "a.ome.zarr"))
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{out}/0/"}}
    array = tensorstore.open(spec, read=True, open=True).result()
    np.testing.assert_array_equal(array.read().result(), np.moveaxis(tifffile.imread(tiff), 2, 0))
    models = pytest.importorskip("ome_zarr_models")
    import zarr

    models.open_ome_zarr(zarr.open_group(out, mode="r"), version="0.5")
