"""Slides that are converted in the tests, and a comparison of two pyramids."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import tifffile
import zarr


def micrograph(shape: tuple[int, ...], *, dtype: str = "uint8", seed: int = 0) -> np.ndarray:
    """Grains with noise, cheap to make: (h, w) or (h, w, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[: shape[0], : shape[1]]
    grains = (np.sin(x / 61) * np.cos(y / 47) > 0) * 70 + (x // 7 + y // 5) % 60 + 40
    noise = rng.integers(0, 16, (251, 257), dtype=np.uint8)
    tiled = np.tile(noise, (shape[0] // 251 + 1, shape[1] // 257 + 1))[: shape[0], : shape[1]]
    grey = (grains + tiled).astype(dtype)
    return np.stack([grey, grey // 2, 255 - grey], axis=-1) if len(shape) == 3 else grey


def write_tiff(path: Path, pixels: np.ndarray, **more) -> Path:
    """A tiled TIFF, compressed with deflate."""
    more = {"tile": (256, 256), "compression": "zlib", "metadata": None, **more}
    tifffile.imwrite(path, pixels, photometric="rgb" if pixels.ndim == 3 else "minisblack", **more)
    return path


def damage_tile(path: Path, index: int) -> None:
    """Overwrite the compressed bytes of one tile of a TIFF."""
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages[0].dataoffsets[index], file.pages[0].databytecounts[index]
    with path.open("rb+") as file:
        file.seek(offset)
        file.write(b"\xff" * count)


def mean_of_four(pixels: np.ndarray, level: int) -> np.ndarray:
    """Independent of the program: the mean over 2 x 2 of (y, x), at the edges over what is there."""
    height, width = pixels.shape
    rows, columns = np.arange(0, height, 2), np.arange(0, width, 2)
    wide = pixels.astype(object if pixels.dtype.itemsize == 8 and pixels.dtype.kind in "iu" else np.float64)
    sums = np.add.reduceat(np.add.reduceat(wide, rows, axis=0), columns, axis=1)
    counts = np.outer(np.minimum(2, height - rows), np.minimum(2, width - columns))
    if pixels.dtype.kind == "f":
        return (sums / counts).astype(pixels.dtype)
    # odd levels round half up, even ones down
    means = np.floor(sums / counts + 0.5) if level % 2 else np.ceil(sums / counts - 0.5)
    return means.astype(pixels.dtype)


def check_levels(store: Path, pixels: np.ndarray) -> None:
    """Every level, read by zarr-python, is the finer one averaged; level 0 is ``pixels`` (c, y, x)."""
    group = zarr.open_group(store, mode="r")
    paths = [entry["path"] for entry in group.attrs["ome"]["multiscales"][0]["datasets"]]
    np.testing.assert_array_equal(group[paths[0]][:], pixels)
    assert min(group[paths[-1]].shape[1:]) <= 512
    for number, path in enumerate(paths[1:], 1):
        finer = group[paths[number - 1]][:]
        expected = np.stack([mean_of_four(plane, number) for plane in finer])
        got = group[path][:]
        if pixels.dtype.kind == "f":
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-3)
        else:
            np.testing.assert_array_equal(got, expected)


def same_store(a: Path, b: Path) -> None:
    """Two pyramids have the same metadata and the same pixels on every level."""
    documents = sorted(path.relative_to(a) for path in a.rglob("zarr.json"))
    assert documents == sorted(path.relative_to(b) for path in b.rglob("zarr.json"))
    for document in documents:
        assert json.loads((a / document).read_text()) == json.loads((b / document).read_text())
    files = sorted(path.relative_to(a) for path in a.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(b) for path in b.rglob("*") if path.is_file())
    one, other = zarr.open_group(a, mode="r"), zarr.open_group(b, mode="r")
    for level in one.array_keys():
        np.testing.assert_array_equal(one[level][:], other[level][:])
