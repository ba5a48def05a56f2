"""CZI in full: compressed tiles, overlaps, far and negative origins, pyramids and stage positions."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import czifile
import imagecodecs
import numpy as np
import pytest
from czi_files import Tile, write_czi
from pylibCZIrw import czi as zeiss

from microscope_qc.cli import main
from microscope_qc.core.geometry import Region
from microscope_qc.slides import Mosaic, open_slide, slide_info
from microscope_qc.slides.czi import metadata as czi_metadata
from microscope_qc.slides.czi import tiles as czi_tiles
from microscope_qc.slides.czi.directory import read_sub_blocks
from microscope_qc.slides.czi.stage import fit_stage

DICE = np.random.default_rng(8)
KINDS = {
    "Gray8": DICE.integers(0, 255, (130, 170, 1), np.uint8),
    "Gray16": DICE.integers(0, 65535, (130, 170, 1), np.uint16),
    "Bgr24": DICE.integers(0, 255, (130, 170, 3), np.uint8),
    "Bgr48": DICE.integers(0, 65535, (130, 170, 3), np.uint16),
}
PACKED = ("uncompressed:", "zstd0:ExplicitLevel=2", "zstd1:ExplicitLevel=2;PreProcess=HiLoByteUnpack")
JPEG_XR = 4


def whole(mosaic: Mosaic, *, level: int = 0) -> np.ndarray:
    return mosaic.read(Region(0, 0, *mosaic.levels[level].shape), level=level)


def by_libczi(path: Path, scene: int | None = None) -> np.ndarray:
    """What pylibCZIrw reads, as RGB or grey."""
    with zeiss.open_czi(str(path)) as czi:
        scenes = czi.scenes_bounding_rectangle_no_pyramid
        rectangle = czi.total_bounding_rectangle_no_pyramid if scene is None else scenes[scene]
        pixels = czi.read(roi=tuple(rectangle), scene=scene)
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if pixels.shape[2] == 3 else pixels[..., 0].copy()


@pytest.mark.parametrize("packed", PACKED)
@pytest.mark.parametrize("kind", KINDS)
def test_every_packing_of_every_kind(tmp_path: Path, kind: str, packed: str) -> None:
    path = tmp_path / "a.czi"
    pixels = KINDS[kind]
    with zeiss.create_czi(str(path), compression_options=packed) as czi:
        # 3 x 4 tiles that overlap by 30 pixels, from a negative corner; later tiles cover earlier ones
        for row in range(3):
            for column in range(4):
                czi.write(np.roll(pixels, 31 * row + 7 * column, axis=0), location=(140 * column - 333, 100 * row - 77))
    with open_slide(path) as slide:
        mosaic = slide.scene()
        assert mosaic.shape == (330, 590)
        assert mosaic.origin_px == (-77, -333)
        assert mosaic.dtype == pixels.dtype
        got = whole(mosaic)
        if (kind, packed) != ("Bgr48", PACKED[2]):  # which libCZI decodes wrongly
            np.testing.assert_array_equal(got, by_libczi(path))
        part = mosaic.read(Region(90, 130, 215, 300))
        np.testing.assert_array_equal(part, got[90:215, 130:300])
    expected = np.zeros((330, 590, pixels.shape[2]), pixels.dtype)
    for row in range(3):
        for column in range(4):
            tile = np.roll(pixels, 31 * row + 7 * column, axis=0)
            expected[100 * row : 100 * row + 130, 140 * column : 140 * column + 170] = tile
    np.testing.assert_array_equal(got, expected[..., ::-1] if mosaic.rgb else expected[..., 0])


def jpeg_xr(pixels: np.ndarray) -> bytes:
    """As ZEN writes it: colours marked as B, G, R (the last byte of the pixel format's ID)."""
    rgb, bgr = (bytes.fromhex(f"24c3dd6f034efe4bb1853d77768dc9{last}") for last in ("0d", "0c"))
    return imagecodecs.jpegxr_encode(pixels).replace(rgb, bgr)


@pytest.mark.parametrize("kind", ["Gray8", "Gray16", "Bgr24"])
def test_jpeg_xr(tmp_path: Path, kind: str) -> None:
    smooth = np.add.outer(np.arange(130), np.arange(170))[..., None] * np.ones(KINDS[kind].shape[2])
    pixels = np.squeeze((smooth * np.linspace(0.2, 0.8, KINDS[kind].shape[2])).astype(KINDS[kind].dtype))
    tiles = [
        Tile(pixels + column, -20, 150 * column, order=column, compression=JPEG_XR, pack=jpeg_xr) for column in range(3)
    ]
    path = write_czi(tmp_path / "a.czi", tiles)
    with open_slide(path) as slide:
        got = whole(slide.scene())
    np.testing.assert_array_equal(got, by_libczi(path))
    last = got[:, 300:].astype(int)
    expected = (pixels + 2).astype(int)
    if kind == "Bgr24":  # the header of JPEG-XR gives the order of its colours
        last, expected = np.sort(last, axis=2), np.sort(expected, axis=2)
    assert np.abs(last - expected).max() <= 3


@pytest.mark.parametrize("packed", PACKED)
def test_another_reader_sees_the_same(tmp_path: Path, packed: str) -> None:
    path = tmp_path / "a.czi"
    with zeiss.create_czi(str(path), compression_options=packed) as czi:
        for column in range(3):
            czi.write(KINDS["Gray16"] // (column + 1), location=(170 * column + 5, -4))
    try:
        with czifile.CziFile(path) as czi:
            other = np.squeeze(czi.asarray())
    except (ValueError, KeyError):  # it does not support zstd
        assert packed != PACKED[0]
        pytest.skip("czifile cannot decode it")
    with open_slide(path) as slide:
        np.testing.assert_array_equal(whole(slide.scene()), other)


@pytest.mark.parametrize("origin", [(2_000_000_000, 1_900_000_000), (-2_000_000_000, -1_900_000_000), (-5, 1_000_000)])
def test_origins_far_away(tmp_path: Path, origin: tuple[int, int]) -> None:
    path = tmp_path / "a.czi"
    pixels = KINDS["Bgr24"]
    with zeiss.create_czi(str(path)) as czi:
        czi.write(pixels, location=(origin[1], origin[0]))
        czi.write(pixels, location=(origin[1] + 900, origin[0] + 700))
    with open_slide(path) as slide:
        mosaic = slide.scene()
        assert mosaic.origin_px == origin
        assert mosaic.shape == (830, 1070)
        np.testing.assert_array_equal(mosaic.read(Region(700, 900, 830, 1070)), pixels[..., ::-1])
        assert not mosaic.read(Region(200, 200, 600, 800)).any()  # between the tiles nothing was recorded
        coarse = whole(mosaic, level=1)
        averaged = cv2.resize(np.ascontiguousarray(pixels[..., ::-1]), (85, 65), interpolation=cv2.INTER_AREA)
        np.testing.assert_allclose(coarse[350:, 450:], averaged, atol=1)


def test_scenes_are_slides_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "a.czi"
    with zeiss.create_czi(str(path), compression_options="zstd0:") as czi:
        for scene in range(3):
            czi.write(KINDS["Gray8"] // (scene + 1), location=(100 * scene - 50, 40 * scene), scene=scene)
    with open_slide(path) as slide:
        assert [mosaic.name for mosaic in slide.scenes] == ["0", "1", "2"]
        for scene, mosaic in enumerate(slide.scenes):
            assert mosaic.origin_px == (40 * scene, 100 * scene - 50)
            # the scenes overlap: each shows only its own tiles
            np.testing.assert_array_equal(whole(mosaic), KINDS["Gray8"][..., 0] // (scene + 1))
            np.testing.assert_array_equal(whole(mosaic), by_libczi(path, scene))


def test_overlapping_tiles_are_drawn_in_the_order_of_their_indices(tmp_path: Path) -> None:
    tiles = [
        Tile(np.full((50, 60), 10 * (number + 1), np.uint8), y=number * 20, x=-number * 15, order=number)
        for number in (2, 0, 3, 1)
    ]
    path = write_czi(tmp_path / "a.czi", tiles)
    expected = np.zeros((110, 105), np.uint8)
    for number in range(4):
        expected[number * 20 : number * 20 + 50, 45 - number * 15 : 105 - number * 15] = 10 * (number + 1)
    with open_slide(path) as slide:
        assert slide.scene().origin_px == (0, -45)
        np.testing.assert_array_equal(whole(slide.scene()), expected)
        np.testing.assert_array_equal(whole(slide.scene()), by_libczi(path))


@pytest.mark.parametrize("step", [2, 3])
@pytest.mark.parametrize("kind", ["Gray8", "Bgr24", "Gray16"])
def test_the_pyramid_of_the_file_is_used(tmp_path: Path, step: int, kind: str) -> None:
    """Layers whose pixels are not averages of full resolution: only reading the layer itself shows them."""
    depth = () if kind[0] == "G" else (3,)
    dtype = KINDS[kind].dtype
    origin = (-1001, 5003)
    shape = (step**2 * 300, step**2 * 400)
    layers = {f: DICE.integers(0, 200, (shape[0] // f, shape[1] // f, *depth), dtype) for f in (1, step, step**2)}
    tiles = []
    for factor, pixels in layers.items():
        for y in range(0, pixels.shape[0], 300):
            for x in range(0, pixels.shape[1], 400):
                part = pixels[y : y + 300, x : x + 400]
                tiles.append(Tile(part, origin[0] + y * factor, origin[1] + x * factor, factor, order=len(tiles)))
    path = write_czi(tmp_path / "a.czi", tiles)
    with open_slide(path) as slide:
        mosaic = slide.scene()
        assert mosaic.shape == shape
        assert mosaic.origin_px == origin
        assert mosaic.stored_levels == 3
        for level, (factor, pixels) in enumerate(layers.items()):
            assert mosaic.levels[level].downsample == (factor, factor)
            np.testing.assert_array_equal(whole(mosaic, level=level), pixels[..., ::-1] if depth else pixels)
            got = mosaic.read(Region(31, 57, 211, 299), level=level)
            np.testing.assert_array_equal(got, (pixels[..., ::-1] if depth else pixels)[31:211, 57:299])


def test_coarser_levels_than_the_file_has_are_made_from_its_coarsest(tmp_path: Path) -> None:
    full = np.full((2400, 3200), 50, np.uint8)
    layer = DICE.integers(100, 200, (1200, 1600), np.uint8)
    path = write_czi(tmp_path / "a.czi", [Tile(full, 0, 0), Tile(layer, 0, 0, 2)])
    with open_slide(path) as slide:
        mosaic = slide.scene()
        assert [level.shape for level in mosaic.levels] == [(2400, 3200), (1200, 1600), (600, 800), (300, 400)]
        assert mosaic.stored_levels == 2
        for level in (2, 3):
            averaged = cv2.resize(layer, mosaic.levels[level].shape[::-1], interpolation=cv2.INTER_AREA)
            np.testing.assert_array_equal(whole(mosaic, level=level), averaged)


def stage_of(x: float, y: float) -> tuple[float, float]:
    """A stage that is turned by 2 degrees and mirrored, 0.5 um per pixel."""
    turn = math.radians(2)
    return (
        1000 + 0.5 * (math.cos(turn) * x - math.sin(turn) * y),
        -700 - 0.5 * (math.sin(turn) * x + math.cos(turn) * y),
    )


def mosaic_tiles(rows: int, columns: int, *, wrong: tuple[int, ...] = (), jitter_um: float = 0.0) -> list[Tile]:
    dice = np.random.default_rng(1)
    tiles = []
    for number in range(rows * columns):
        y, x = 90 * (number // columns) - 5000, 110 * (number % columns) + 100_000
        place = np.array(stage_of(x + 60, y + 50)) + dice.normal(0, jitter_um, 2)
        if number in wrong:
            place += (400, -900)
        tiles.append(Tile(np.full((100, 120), 7, np.uint8), y, x, order=number, stage_um=(place[0], place[1])))
    return tiles


@pytest.mark.parametrize("wrong", [(), (7,), (1, 11, 19)])
def test_the_stage_is_fitted_to_the_pixels(tmp_path: Path, capsys: pytest.CaptureFixture, wrong: tuple) -> None:
    path = write_czi(tmp_path / "a.czi", mosaic_tiles(4, 5, wrong=wrong, jitter_um=0.1))
    assert main(["info", str(path), "--json"]) == 0
    stage = json.loads(capsys.readouterr().out)["scenes"][0]["stage"]
    assert stage["source"] == "CZI tiles"
    # the tiles that were moved are excluded, and hardly any others
    assert 18 - len(wrong) <= stage["tiles_used"] <= 20 - len(wrong)
    assert stage["residual_um"] == pytest.approx(0.14, abs=0.05)
    affine = np.array(stage["affine"])
    for x, y in ((0.0, 0.0), (560.0, 0.0), (300.5, 370.0)):
        # from pixels of the mosaic, whose first pixel is at (100000, -5000) in the file
        np.testing.assert_allclose(affine[:, :2] @ (x, y) + affine[:, 2], stage_of(x + 100_000, y - 5000), atol=0.3)


def test_without_errors_the_fit_is_exact(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "a.czi", mosaic_tiles(3, 3))
    stage = slide_info(path)["scenes"][0]["stage"]
    assert stage["residual_um"] < 1e-6
    turn = math.radians(2)
    expected = [[0.5 * math.cos(turn), -0.5 * math.sin(turn)], [-0.5 * math.sin(turn), -0.5 * math.cos(turn)]]
    np.testing.assert_allclose(np.array(stage["affine"])[:, :2], expected, atol=1e-9)
    first = stage["tiles"][0]
    assert first["center_px"] == [-5000 + 50, 100_000 + 60]


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (1, 3), (1, 40), (9, 1)])
def test_tiles_in_a_line_or_too_few_give_no_map(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = write_czi(tmp_path / "a.czi", mosaic_tiles(*shape, jitter_um=0.5))
    stage = slide_info(path)["scenes"][0]["stage"]
    assert stage["affine"] is None
    assert stage["residual_um"] is None
    assert len(stage["tiles"]) == shape[0] * shape[1]


def test_tiles_that_agree_on_nothing_give_a_residual_that_says_so() -> None:
    dice = np.random.default_rng(3)
    tiles = [
        {"center_px": [100.0 * (i // 5), 100.0 * (i % 5)], "center_um": list(dice.uniform(0, 1000, 2))}
        for i in range(25)
    ]
    fit = fit_stage(tiles, origin_px=(0, 0), tile_px=100)
    assert fit["affine"] is None or fit["residual_um"] > 20


def test_invalid_tile_metadata_costs_nothing_else(tmp_path: Path) -> None:
    tiles = mosaic_tiles(3, 4)
    bomb = b'<!DOCTYPE a [<!ENTITY b "c">]><METADATA><Tags><StageXPosition>&b;</StageXPosition></Tags></METADATA>'
    for number, note in enumerate((b"<METADATA>", b"\xff\xfe\0", bomb, b"<METADATA/>")):
        tiles[number].note = note
    tiles[4].stage_um = (math.nan, math.inf)
    stage = slide_info(write_czi(tmp_path / "a.czi", tiles))["scenes"][0]["stage"]
    assert len(stage["tiles"]) == stage["tiles_used"] == 7


def test_twenty_thousand_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.full((8, 8), 9, np.uint8)
    tiles = [
        Tile(pixels, 8 * (n // 200), 8 * (n % 200), order=n, stage_um=(4.0 * (n % 200), 4.0 * (n // 200)))
        for n in range(20_000)
    ]
    path = write_czi(tmp_path / "a.czi", tiles)
    looked_at = []
    position = czi_metadata.tile_positions.__globals__["_stage_position"]
    monkeypatch.setitem(
        czi_metadata.tile_positions.__globals__, "_stage_position", lambda xml: looked_at.append(1) or position(xml)
    )
    (scene,) = slide_info(path)["scenes"]
    assert scene["shape"] == [800, 1600]
    assert len(looked_at) <= 100
    np.testing.assert_allclose(scene["stage"]["affine"], [[0.5, 0, -2], [0, 0.5, -2]], atol=1e-6)


def test_the_directory_agrees_with_libczi(real_data: Path) -> None:
    for path in sorted((real_data / "slides/czi").glob("*.czi")):
        blocks = read_sub_blocks(path)
        found: list[tuple] = []

        def one(index: int, info: object, found: list = found) -> bool:
            rectangle, held = info.logicalRect, info.physicalSize
            found.append((rectangle.x, rectangle.y, rectangle.w, rectangle.h, held.w, held.h))
            return True

        with zeiss.open_czi(str(path)) as czi:
            czi.enumerate_subblocks(one)
        ours = zip(
            blocks.x, blocks.y, blocks.width, blocks.height, blocks.stored[:, 1], blocks.stored[:, 0], strict=True
        )
        assert sorted(found) == sorted(tuple(int(value) for value in row) for row in ours)


def test_sub_blocks_of_different_kinds(tmp_path: Path) -> None:
    tiles = [Tile(np.full((80, 90), 3, np.uint8), 0, 90 * n, order=n, scene=0) for n in range(3)]
    tiles.append(Tile(np.full((64, 90), 5, np.uint8), 0, 0, factor=2, scene=0))  # has no M: a shorter entry
    blocks = read_sub_blocks(write_czi(tmp_path / "a.czi", tiles))
    assert blocks.x.tolist() == [0, 90, 180, 0]
    assert blocks.full.tolist() == [True, True, True, False]
    assert blocks.layers(0) == [2]
    assert blocks.layers(1) == []


@pytest.mark.parametrize("damage", ["position", "count", "cut", "schema", "size"])
def test_a_damaged_directory_is_a_value_error(tmp_path: Path, damage: str) -> None:
    path = write_czi(tmp_path / "a.czi", mosaic_tiles(2, 2))
    content = bytearray(path.read_bytes())
    at = content.index(b"ZISRAWDIRECTORY")
    if damage == "position":
        content[84:92] = (at + 1).to_bytes(8, "little")
    elif damage == "count":
        content[at + 32 : at + 36] = (2**31 - 1).to_bytes(4, "little")
    elif damage == "cut":
        del content[at + 200 :]
    elif damage == "schema":
        content[at + 160 : at + 162] = b"??"
    else:
        where = content.index(b"X\0\0\0", at)
        content[where + 8 : where + 12] = (-5).to_bytes(4, "little", signed=True)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r".+"):
        read_sub_blocks(path)


def test_colour_of_16_bit_without_a_pyramid_is_averaged_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.czi"
    pixels = DICE.integers(0, 65535, (1200, 1600, 3), np.uint16)
    with zeiss.create_czi(str(path), compression_options=PACKED[2]) as czi:
        czi.write(pixels[:, :900], location=(0, 0))
        czi.write(pixels[:, 900:], location=(900, 0))
    monkeypatch.setattr(czi_tiles, "MAX_AVERAGED_PX", 10_000)
    with open_slide(path) as slide:
        got = whole(slide.scene(), level=1)
    averaged = cv2.resize(pixels, (800, 600), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(got, averaged[..., ::-1])


@pytest.mark.parametrize("scene", [0, 1])
def test_colour_of_16_bit_with_scenes_and_a_pyramid(tmp_path: Path, scene: int) -> None:
    """Tiles that this program assembles instead of libCZI."""

    def packed(pixels: np.ndarray) -> bytes:
        flat = np.ascontiguousarray(pixels).view(np.uint8).reshape(-1, 2)
        return b"\x03\x01\x01" + imagecodecs.zstd_encode(np.ascontiguousarray(flat.T).tobytes())

    full = DICE.integers(0, 65535, (1100, 1300, 3), np.uint16)
    layer = DICE.integers(0, 65535, (550, 650, 3), np.uint16)
    tiles = []
    for where, shift in ((0, 0), (1, 7)):
        for y in (0, 400):
            for x in (0, 500):
                part = full[y : y + 700, x : x + 800] + np.uint16(shift)
                tiles.append(Tile(part, y - 50, x - 90, order=len(tiles), scene=where, compression=6, pack=packed))
        tiles.append(Tile(layer + np.uint16(shift), -50, -90, 2, scene=where, compression=6, pack=packed))
    with open_slide(write_czi(tmp_path / "a.czi", tiles)) as slide:
        mosaic = slide.scenes[scene]
        shift = np.uint16(7 * scene)
        assert mosaic.shape == (1100, 1300)
        np.testing.assert_array_equal(whole(mosaic), (full + shift)[..., ::-1])
        np.testing.assert_array_equal(whole(mosaic, level=1), (layer + shift)[..., ::-1])
        got = mosaic.read(Region(390, 480, 720, 830))
        np.testing.assert_array_equal(got, (full + shift)[390:720, 480:830, ::-1])
