"""Every focus plane, time point, page and channel of a file is reached, whatever its format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from pylibCZIrw import czi as zeiss

from microscope_qc.core.errors import InputError, SlideError
from microscope_qc.core.geometry import Region
from microscope_qc.slides import Channel, Mosaic, open_slide, slide_info
from microscope_qc.slides.display import ChannelView, DisplaySettings, default_channels
from microscope_qc.slides.plane import FIRST, Plane, StackAxis, StackPlace
from microscope_qc.slides.plane_choice import PlaneChoice, default_plane, plane_words, shown_plane
from microscope_qc.slides.tile_cache import TileCache, TileSource

DICE = np.random.default_rng(11)
POLARISER = tuple(f"{15 * number} degrees" for number in range(7))


def whole(mosaic: Mosaic, **more) -> np.ndarray:
    return mosaic.read(Region(0, 0, *mosaic.shape), **more)


def axes(mosaic: Mosaic) -> list[tuple[str, int]]:
    return [(axis.key, axis.size) for axis in mosaic.stack]


def stack(shape: tuple[int, ...], dtype: str = "uint16") -> np.ndarray:
    return DICE.integers(0, np.iinfo(dtype).max, shape, dtype)


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["TZCYX", "CTZYX", "ZTCYX"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "tile": (16, 32)}])
def test_ome_tiff(tmp_path: Path, order: str, options: dict) -> None:
    sizes = {"T": 2, "Z": 3, "C": 4, "Y": 40, "X": 50}
    pixels = stack(tuple(sizes[axis] for axis in order))
    names = [f"dye {number}" for number in range(4)]
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, metadata={"axes": order, "Channel": {"Name": names}}, **options)
    with open_slide(tmp_path / "a.ome.tif") as slide:
        mosaic = slide.scene()
        assert axes(mosaic) == [("z", 3), ("t", 2)]
        assert [channel.name for channel in mosaic.channels] == names
        for t, z, c in np.ndindex(2, 3, 4):
            index = {"T": t, "Z": z, "C": c}
            expected = pixels[tuple(index[axis] for axis in order[:3])]
            np.testing.assert_array_equal(whole(mosaic, channel=c, place=StackPlace(z=z, t=t)), expected)


def test_colour_pictures_of_a_polariser_as_ome_tiff(tmp_path: Path) -> None:
    pixels = stack((7, 30, 40, 3), "uint8")
    metadata = {"axes": "CYXS", "Channel": {"Name": list(POLARISER)}}
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, photometric="rgb", metadata=metadata)
    with open_slide(tmp_path / "a.ome.tif") as slide:
        mosaic = slide.scene()
        assert mosaic.rgb
        assert mosaic.stack == (StackAxis("page", 7, "channel", POLARISER),)
        for number in range(7):
            np.testing.assert_array_equal(whole(mosaic, place=StackPlace(page=number)), pixels[number])


def test_pages_of_a_plain_tiff(tmp_path: Path, real_data: Path) -> None:
    pages = stack((2, 64, 50), "uint8")
    with tifffile.TiffWriter(tmp_path / "sem.tif") as file:
        for page, detector in zip(pages, ("SE2", "BSE"), strict=True):
            file.write(page, extratags=[(285, 2, None, detector, True)], metadata=None)
    with open_slide(tmp_path / "sem.tif") as slide:
        mosaic = slide.scene()
        assert mosaic.stack == (StackAxis("page", 2, "", ("SE2", "BSE")),)
        for number in range(2):
            np.testing.assert_array_equal(whole(mosaic, place=StackPlace(page=number)), pages[number])
    path = real_data / "cases/slides/two_pages.tif"
    with open_slide(path) as slide:
        for number in range(2):
            expected = tifffile.imread(path, key=number)
            np.testing.assert_array_equal(whole(slide.scene(), place=StackPlace(page=number)), expected)


def test_pages_of_other_sizes_are_scenes(tmp_path: Path) -> None:
    first, second = stack((3, 40, 50), "uint8"), stack((20, 30), "uint8")
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in (*first, second):
            file.write(page, contiguous=False, metadata=None)
    with open_slide(tmp_path / "a.tif") as slide:
        assert [(mosaic.shape, axes(mosaic)) for mosaic in slide.scenes] == [((40, 50), [("page", 3)]), ((20, 30), [])]
        np.testing.assert_array_equal(whole(slide.scenes[0], place=StackPlace(page=2)), first[2])
        np.testing.assert_array_equal(whole(slide.scenes[1]), second)


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr_with_five_axes(tmp_path: Path, version: int) -> None:
    pixels = stack((2, 3, 4, 30, 40))
    write_zarr(tmp_path / "a.zarr", [pixels, pixels[:, :, ::2, ::2, ::2]], "tczyx", version)
    with open_slide(tmp_path / "a.zarr") as slide:
        mosaic = slide.scene()
        assert axes(mosaic) == [("z", 4), ("t", 2)]
        for t, z, c in np.ndindex(2, 4, 3):
            place = StackPlace(z=z, t=t)
            np.testing.assert_array_equal(whole(mosaic, channel=c, place=place), pixels[t, c, z])
            coarse = mosaic.read(Region(0, 0, 15, 20), level=1, channel=c, place=place)
            np.testing.assert_array_equal(coarse, pixels[t, c, z // 2 * 2, ::2, ::2])  # half as many focus planes


def test_axes_of_other_programs_are_pages(tmp_path: Path) -> None:
    pixels = stack((2, 3, 30, 40))
    write_zarr(tmp_path / "a.zarr", [pixels], ["angle", "phase", "y", "x"], 3)
    with open_slide(tmp_path / "a.zarr") as slide:
        assert axes(slide.scene()) == [("page", 6)]
        for number, (angle, phase) in enumerate(np.ndindex(2, 3)):
            np.testing.assert_array_equal(whole(slide.scene(), place=StackPlace(page=number)), pixels[angle, phase])


@pytest.mark.parametrize("colour", [False, True])
def test_czi_with_every_dimension(tmp_path: Path, colour: bool) -> None:
    pixels = stack((7, 2, 3, 40, 50, *((3,) if colour else (1,))), "uint8")
    with zeiss.create_czi(str(tmp_path / "a.czi")) as czi:
        for c, t, z in np.ndindex(7, 2, 3):
            czi.write(pixels[c, t, z], plane={"C": c, "T": t, "Z": z})
        czi.write_metadata("a", channel_names=dict(enumerate(POLARISER)))
    with open_slide(tmp_path / "a.czi") as slide, zeiss.open_czi(str(tmp_path / "a.czi")) as reference:
        mosaic = slide.scene()
        if colour:
            assert axes(mosaic) == [("z", 3), ("t", 2), ("page", 7)]
            assert next(axis.names for axis in mosaic.stack if axis.key == "page") == POLARISER
        else:
            assert [channel.name for channel in mosaic.channels] == list(POLARISER)
        for c, t, z in np.ndindex(7, 2, 3):
            expected = pixels[c, t, z, ..., ::-1] if colour else pixels[c, t, z, ..., 0]
            np.testing.assert_array_equal(reference.read(plane={"C": c, "T": t, "Z": z}), pixels[c, t, z])
            place = StackPlace(z=z, t=t, page=c if colour else 0)
            np.testing.assert_array_equal(whole(mosaic, channel=0 if colour else c, place=place), expected)


def test_czi_with_colour_and_grey_channels_has_a_scene_for_each(tmp_path: Path) -> None:
    colour, grey = stack((40, 50, 3), "uint8"), stack((2, 40, 50, 1), "uint16")
    with zeiss.create_czi(str(tmp_path / "a.czi")) as czi:
        czi.write(colour, plane={"C": 0})
        czi.write(grey[0], plane={"C": 1})
        czi.write(grey[1], plane={"C": 2})
    with open_slide(tmp_path / "a.czi") as slide:
        assert [(mosaic.name, mosaic.rgb) for mosaic in slide.scenes] == [("colour", True), ("grey", False)]
        np.testing.assert_array_equal(whole(slide.scene()), colour[..., ::-1])
        for channel in range(2):
            np.testing.assert_array_equal(whole(slide.scene("grey"), channel=channel), grey[channel, ..., 0])


def test_both_detectors_of_a_real_czi(real_data: Path) -> None:
    path = real_data / "slides/czi/tiles.czi"
    with open_slide(path) as slide, zeiss.open_czi(str(path)) as reference:
        mosaic = slide.scene()
        assert [channel.name for channel in mosaic.channels] == ["Ch1", "T PMT"]
        for channel in range(2):
            np.testing.assert_array_equal(whole(mosaic, channel=channel), reference.read(plane={"C": channel})[..., 0])


def write_zarr(path: Path, arrays: list[np.ndarray], names, version: int, *, own: dict | None = None) -> None:
    group = zarr.open_group(path, mode="w", zarr_format=version)
    kinds = {"c": "channel", "t": "time", "z": "space", "y": "space", "x": "space"}
    for number, array in enumerate(arrays):
        group.create_array(str(number), data=array, chunks=tuple(min(side, 16) for side in array.shape))
    ome = {
        "multiscales": [
            {
                "axes": [{"name": name, **({"type": kinds[name]} if name in kinds else {})} for name in names],
                "datasets": [{"path": str(number)} for number in range(len(arrays))],
            }
        ]
    }
    group.attrs.update(ome if version == 2 else {"ome": {"version": "0.5", **ome}})
    if own:
        group.attrs["microscope_qc"] = own


# -- hostile files -----------------------------------------------------------------------------------------------------


def test_a_page_that_is_cut_off_costs_only_itself(tmp_path: Path) -> None:
    pages = stack((3, 40, 50), "uint8")
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for page in pages:
            file.write(page, contiguous=False, metadata=None)
    with tifffile.TiffFile(path) as file:
        tag = file.pages[1].tags["StripOffsets"]
        at, size = tag.valueoffset, path.stat().st_size
    with path.open("r+b") as file:
        file.seek(at)
        file.write((size + 9).to_bytes(4, "little"))
    with open_slide(path) as slide:
        mosaic = slide.scene()
        for number in (0, 2):
            np.testing.assert_array_equal(whole(mosaic, place=StackPlace(page=number)), pages[number])
        with pytest.raises(SlideError, match="damaged"):
            whole(mosaic, place=StackPlace(page=1))


def test_axes_that_promise_more_than_the_file_has(tmp_path: Path) -> None:
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        'DimensionOrder="XYZCT" Type="uint8" SizeX="50" SizeY="40" SizeZ="5" SizeC="1" SizeT="{}">'
        '<Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData/></Pixels></Image></OME>'
    )
    page = stack((2, 40, 50), "uint8")
    tifffile.imwrite(tmp_path / "a.ome.tif", page, description=xml.format(1), metadata=None)
    with open_slide(tmp_path / "a.ome.tif") as slide:
        mosaic = slide.scene()
        assert axes(mosaic) == [("z", 5)]
        assert mosaic.notes == ("3 pictures of the stack not in the file (shown black)",)
        np.testing.assert_array_equal(whole(mosaic, place=StackPlace(z=1)), page[1])
        assert not whole(mosaic, place=StackPlace(z=4)).any()
    tifffile.imwrite(tmp_path / "b.ome.tif", page, description=xml.format(900_000_000), metadata=None)
    with pytest.raises(SlideError):
        open_slide(tmp_path / "b.ome.tif")


def test_a_million_pages_that_are_not_there(tmp_path: Path) -> None:
    page = stack((4, 5), "uint8")
    said = "ImageJ=1.11a\nimages=1000000\nslices=1000000\nloop=false\n"
    tifffile.imwrite(tmp_path / "a.tif", page, description=said, metadata=None)
    with open_slide(tmp_path / "a.tif") as slide:
        mosaic = slide.scene()
        np.testing.assert_array_equal(whole(mosaic), page)
        if mosaic.stack:
            with pytest.raises(SlideError, match="damaged"):
                whole(mosaic, place=StackPlace(z=999_999))
    write_zarr(tmp_path / "a.zarr", [np.zeros((2, 4, 5), np.uint8)], "zyx", 3)
    document = tmp_path / "a.zarr/0/zarr.json"
    described = json.loads(document.read_text())
    document.write_text(json.dumps(described | {"shape": [10**12, 4, 5]}))
    with pytest.raises(SlideError, match="which cannot be right"):
        open_slide(tmp_path / "a.zarr")


def test_more_pages_than_this_program_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microscope_qc.slides.tiff.reader.MAX_PAGES", 3)
    tifffile.imwrite(tmp_path / "a.tif", stack((4, 20, 30), "uint8"), photometric="minisblack", metadata=None)
    with pytest.raises(SlideError, match="more than 3 pages"):
        open_slide(tmp_path / "a.tif")


@pytest.mark.parametrize(
    "listed",
    [
        [{"axis": "page", "size": 3, "along": "t"}],  # not what the array has
        [{"axis": "page", "size": "x", "along": "t"}],
        [{"axis": "page", "size": -2, "along": "t"}, {"axis": "t", "size": -2, "along": "t"}],
        [{"axis": "w", "size": 4, "along": "t"}],
        "nonsense",
    ],
)
def test_a_wrong_note_of_this_program_is_ignored(tmp_path: Path, listed: object) -> None:
    pixels = stack((4, 1, 20, 30))
    write_zarr(tmp_path / "a.zarr", [pixels], "tcyx", 3, own={"stack": listed})
    with open_slide(tmp_path / "a.zarr") as slide:
        assert axes(slide.scene()) == [("t", 4)]
        np.testing.assert_array_equal(whole(slide.scene(), place=StackPlace(t=3)), pixels[3, 0])


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def mosaic(tmp_path: Path):
    pixels = stack((2, 3, 2, 700, 600))
    pixels[:, :, 1] //= 2
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, metadata={"axes": "TZCYX"})
    with open_slide(tmp_path / "a.ome.tif") as slide:
        yield slide.scene()


def test_a_chosen_plane_is_the_same_slide(mosaic: Mosaic) -> None:
    chosen = mosaic.on(Plane(StackPlace(z=2, t=1), (1,)))
    assert [channel.name for channel in chosen.channels] == ["Channel 2"]
    assert chosen.fingerprint() == mosaic.fingerprint()
    assert chosen.window(0) == mosaic.window(1)
    expected = whole(mosaic, channel=1, place=StackPlace(z=2, t=1))
    np.testing.assert_array_equal(whole(chosen), expected)
    picture = chosen.read_rgb8(Region(0, 0, 50, 60))
    assert (picture == picture[..., :1]).all(), "one channel is shown in grey"
    assert mosaic.on(Plane()) is mosaic
    assert mosaic.on(Plane(channels=(0, 1))) is mosaic


@pytest.mark.parametrize(
    ("plane", "sentence"),
    [
        (Plane(StackPlace(z=3)), "has 3 focus planes; focus plane 4 does not exist"),
        (Plane(StackPlace(page=1)), "has 1 page; page 2 does not exist"),
        (Plane(channels=(0, 2)), "has 2 channels; channel 3 does not exist"),
        (Plane(channels=()), "does not exist"),
    ],
)
def test_planes_that_a_slide_does_not_have(mosaic: Mosaic, plane: Plane, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        mosaic.on(plane)
    if plane.channels is None:
        with pytest.raises(InputError, match=sentence):
            mosaic.read(Region(0, 0, 5, 5), place=plane.place)


def test_tiles_of_different_planes_are_kept_apart(mosaic: Mosaic) -> None:
    source = TileSource(mosaic, cache=TileCache(1 << 26))
    for t, z in np.ndindex(2, 3):
        place = StackPlace(z=z, t=t)
        assert source.peek(0, 1, 1, 1, place=place) is None
        expected = mosaic.read(source.region(0, 1, 1), channel=1, place=place)
        np.testing.assert_array_equal(source.tile(0, 1, 1, 1, place=place), expected)
    assert source.peek(0, 1, 1, 1, place=StackPlace(z=1, t=1)) is not None


def test_display_settings_say_which_plane_is_shown(mosaic: Mosaic) -> None:
    source = TileSource(mosaic, cache=TileCache(1 << 26))
    shown = DisplaySettings((ChannelView(visible=False), ChannelView(colour="#ffffff")), place=StackPlace(z=1))
    assert DisplaySettings.from_dict(shown.to_dict()) == shown
    assert not shown.neutral and not DisplaySettings(place=StackPlace(z=1)).neutral
    assert DisplaySettings(place=StackPlace(z=1)).plain
    picture = source.picture(0, 0, 0, display=shown)
    expected = mosaic.on(Plane(StackPlace(z=1), (1,))).read_rgb8(source.region(0, 0, 0))
    np.testing.assert_array_equal(picture, expected)
    scaled = source.read_scaled(Region(0, 0, 64, 64), (64, 64), display=shown)
    np.testing.assert_array_equal(scaled, expected[:64, :64])
    far = DisplaySettings(place=StackPlace(z=99, t=99, page=99))  # stored for a slide that was replaced
    np.testing.assert_array_equal(
        source.picture(0, 0, 0, display=far),
        source.picture(0, 0, 0, display=DisplaySettings(place=StackPlace(z=2, t=1))),
    )


def test_pages_have_their_own_windows(tmp_path: Path) -> None:
    pages = np.stack([stack((40, 50)) // 64, stack((40, 50))])
    tifffile.imwrite(tmp_path / "a.tif", pages, metadata=None)
    with open_slide(tmp_path / "a.tif") as slide:
        mosaic = slide.scene()
        second = mosaic.on(Plane(StackPlace(page=1)))
        assert mosaic.window(0)[1] < 1100
        assert second.window(0)[1] > 60_000
        assert mosaic.window(0, page=1) == second.window(0)


def test_the_document_of_a_slide_lists_axes_and_colours(tmp_path: Path) -> None:
    metadata = {"axes": "ZCYX", "Channel": {"Name": ["red", "blue"], "Color": [-16776961, 65535]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", stack((3, 2, 20, 30)), metadata=metadata)
    scene = slide_info(tmp_path / "a.ome.tif")["scenes"][0]
    assert scene["channels"] == ["red", "blue"]
    assert scene["colours"] == ["#ff0000", "#0000ff"]
    assert scene["stack"] == [{"axis": "z", "size": 3, "word": "focus plane", "names": []}]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_stored_planes_are_not_trusted(value: object) -> None:
    for field in ("z", "channels"):
        try:
            plane = Plane.from_dict({field: value})
        except ValueError:
            continue
        assert Plane.from_dict(plane.to_dict()) == plane
    assert Plane().to_dict() == {}
    assert Plane.from_dict({}) == Plane(FIRST, None)


@pytest.mark.parametrize(
    ("colours", "shown"),
    [
        (["#ffffff"], (0,)),
        (["#ff0000", "#00ff00", "#0000ff"], (0, 1, 2)),
        (["#00ffff", "#ff00ff", "#ffff00"], (0, 1, 2)),
        (["#ffffff", "#ffffff"], (0,)),  # two detectors
        (["#0000ff", "#00ff00", "#ff0000", "#ffffff"], (0, 1, 2, 3)),
        (["#00ffff", "#ff00ff", "#ffff00", "#ff0000"], (0,)),
        (["#ff0000", "#00ff00", "#0000ff", "#ffff00", "#ff00ff", "#00ffff", "#ffffff"], (0,)),  # a polariser
    ],
)
def test_channels_that_cannot_be_told_apart_are_not_blended(colours: list[str], shown: tuple[int, ...]) -> None:
    assert default_channels([Channel(colour, colour) for colour in colours]) == shown


def test_without_a_choice_a_model_sees_the_first_of_seven_channels(tmp_path: Path) -> None:
    pixels = stack((7, 60, 70), "uint8")
    metadata = {"axes": "CYX", "Channel": {"Name": list(POLARISER)}}
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels, metadata=metadata)
    with open_slide(tmp_path / "a.ome.tif") as slide:
        mosaic = slide.scene()
        grey = np.repeat(pixels[0][..., None], 3, axis=2)
        np.testing.assert_array_equal(mosaic.read_rgb8(Region(0, 0, 60, 70)), grey)
        plane = default_plane(mosaic)
        assert plane == Plane(channels=(0,))
        assert plane_words(mosaic, plane) == "channel 0 degrees"
        np.testing.assert_array_equal(mosaic.on(plane).read_rgb8(Region(0, 0, 60, 70)), grey)
        third = PlaneChoice(channels=("30 degrees",)).on(mosaic)
        assert third == Plane(channels=(2,))
        np.testing.assert_array_equal(mosaic.on(third).read_rgb8(Region(0, 0, 60, 70))[..., 1], pixels[2])
        both = PlaneChoice(channels=("1", "30 DEGREES")).on(mosaic)
        assert plane_words(mosaic, both) == "channels 0 degrees and 30 degrees blended in their colours"
        total = np.minimum(pixels[0].astype(int) + pixels[2], 255)
        every = PlaneChoice(channels=tuple(POLARISER)).on(mosaic)
        assert plane_words(mosaic, every) == "all 7 channels blended in their colours"
        assert mosaic.on(every).default_channels == tuple(range(7))
        channels = (mosaic.channels[0].colour, mosaic.channels[2].colour)
        blend = mosaic.on(both).read_rgb8(Region(0, 0, 60, 70))
        if channels == ("#ffffff", "#ffffff"):
            np.testing.assert_array_equal(blend[..., 0], total)
        assert (blend != grey).any()
        shown = DisplaySettings((ChannelView(visible=False), ChannelView(), ChannelView(visible=True)))
        assert shown_plane(mosaic, shown) == third
        assert shown_plane(mosaic, DisplaySettings()) == plane
