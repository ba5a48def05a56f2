"""info, convert, synth."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from microscope_qc.cli.parts import count, number, whole_number
from microscope_qc.cli.planes import add_plane_options, plane_choice
from microscope_qc.core.errors import InputError
from microscope_qc.core.numbers import short_text


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands about slide files."""
    info = subparsers.add_parser(
        "info",
        description="Say what a slide or a volume holds: format, size, levels, channels, pixel size, stage.",
    )
    info.add_argument("slide", type=Path, metavar="SLIDE")
    info.add_argument("--json", action="store_true", help="print one JSON document")
    info.set_defaults(handler=_info)

    convert = subparsers.add_parser(
        "convert",
        description="Copy a slide into an OME-Zarr pyramid, without losing a value. What was killed is continued.",
    )
    convert.add_argument("slide", type=Path, metavar="SLIDE")
    convert.add_argument("out", type=Path, metavar="OUT.ome.zarr")
    convert.add_argument("--scene", metavar="NAME", help="convert only this scene")
    convert.add_argument(
        "--pixel-size",
        metavar="UM",
        help="micrometres per pixel, over what the file says; WIDTHxHEIGHT where they differ",
    )
    convert.add_argument(
        "--as-stored", action="store_true", help="copy pixels as they are stored, though the file says to turn them"
    )
    add_plane_options(convert, "copy only", several=True)
    convert.add_argument("--no-verify", action="store_true", help="do not read everything back at the end")
    convert.add_argument("--fresh", action="store_true", help="begin again instead of continuing a stopped conversion")
    convert.add_argument("--keep", action="store_true", help="when stopped, leave what is done to be continued")
    convert.add_argument("--json", action="store_true", help="print one JSON document")
    convert.set_defaults(handler=_convert)

    synth = subparsers.add_parser("synth", description="Draw a synthetic cross-section with known defects.")
    synth.add_argument("kind", choices=("electrode", "magnet", "particles"))
    synth.add_argument(
        "out",
        type=Path,
        metavar="OUT.ome.zarr",
        help="its truth lies beside it as OUT.truth.json; OUT.virtual.json instead makes an electrode of any size "
        "that takes no space, is computed where it is read and has no truth file",
    )
    synth.add_argument("--size", metavar="N | HxW", help="pixels (default 8192), or voxels of a side")
    synth.add_argument("--seed", type=whole_number, default=0, metavar="N", help="same number, same slide (default 0)")
    synth.add_argument(
        "--defects", type=whole_number, metavar="N", help="default 150 on 8192 x 8192, scaled by the area"
    )
    synth.add_argument("--volume", action="store_true", help="particles as a volume of N x N x N voxels (default 256)")
    synth.add_argument("--particles", type=count, metavar="N", help="of a volume: about how many")
    synth.add_argument("--cracked", type=number, metavar="SHARE", help="of a volume: share of them (default 0.3)")
    synth.add_argument("--json", action="store_true", help="print one JSON document")
    synth.set_defaults(handler=_synth)


def parse_size(text: str) -> tuple[int, int]:
    """``8192`` -> (8192, 8192); ``4096x8192`` -> height 4096, width 8192.

    Raises
    ------
    InputError
        When it is neither.
    """
    match = re.fullmatch(r"(\d{1,9})(?:[xX×](\d{1,9}))?", text.strip())
    if not match:
        raise InputError(
            f"'{text}' is not a size.", hint="Give pixels such as 8192, or height x width such as 4096x8192."
        )
    height = int(match.group(1))
    return height, int(match.group(2) or height)


def _info(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json
    from microscope_qc.slides.info import describe_slide
    from microscope_qc.slides.volumes.opening import is_volume_only, volume_info

    if is_volume_only(args.slide):
        found = volume_info(args.slide)
        print_json(found) if args.json else print(_describe_volume(args.slide.name, found))
        return 0
    document, notes = describe_slide(args.slide)
    if args.json:
        print_json(document)
        return 0
    print(f"{args.slide.name}: {document['format']}")
    for scene, lines in zip(document["scenes"], notes, strict=True):
        print(_describe(scene, several=len(document["scenes"]) > 1))
        print("".join(f"  note      {line}\n" for line in lines), end="")
    return 0


def _describe_volume(name: str, found: dict[str, Any]) -> str:
    from microscope_qc.slides.volumes.volume import shape_words, voxel_words

    volume = found["volume"]
    return "\n".join(
        [
            f"{name}: {found['format']}",
            f"a volume of {shape_words(volume['shape'])} voxels, {volume['dtype']}",
            f"  voxel     {voxel_words(volume['voxel_um'])} ({volume['voxel_source']})",
            *(f"  note      {line}" for line in volume["notes"]),
        ]
    )


def _describe(scene: dict[str, Any], *, several: bool) -> str:
    from microscope_qc.core.orientation import AS_STORED, orientation_words
    from microscope_qc.core.wording import things

    height, width = scene["shape"]
    size = scene["pixel_size_um"]
    coarse = scene["levels"][-1]
    lines = [
        f"{'scene ' + scene['name'] + ': ' if several else ''}{width} x {height} pixels, "
        f"{scene['dtype']}{' RGB' if scene['rgb'] else ''}",
        f"  pixel     {pixel_words(size)}",
        f"  levels    {len(scene['levels'])}, down to {coarse[1]} x {coarse[0]}",
        f"  channels  {', '.join(_channel_words(scene))}",
    ]
    for axis in scene["stack"]:
        names = f": {', '.join(axis['names'])}" if any(axis["names"]) else ""
        lines.append(f"  stack     {things(axis['size'], axis['word'])} (--{axis['axis']}){names}")
    if size:
        lines.insert(1, f"  area      {width * size[1] / 1000:.4g} x {height * size[0] / 1000:.4g} mm")
    if any(scene["origin_px"]):
        lines.append(f"  origin    x {scene['origin_px'][1]}, y {scene['origin_px'][0]} pixels")
    if scene["orientation"] != AS_STORED:
        lines.append(f"  shown     {orientation_words(scene['orientation'])}, as the file says")
    stage = scene["stage"]
    if stage:
        fitted = stage.get("affine") and f"fitted to {stage['tiles_used']} tiles within {stage['residual_um']:.3g} um"
        left_out = ("tiles_used", "residual_um")
        numbers = {k: v for k, v in stage.items() if isinstance(v, int | float) and k not in left_out}
        if "center_um" in stage:
            numbers |= {"x_um": stage["center_um"][0], "y_um": stage["center_um"][1]}
        said = [*(f"{key} {short_text(value)}" for key, value in numbers.items()), *([fitted] if fitted else [])]
        lines.append(f"  stage     {', '.join(said) or stage['source']}")
    return "\n".join(lines)


def _channel_words(scene: dict[str, Any]) -> list[str]:
    """Names, with the colours of several."""
    if len(scene["channels"]) == 1:
        return list(scene["channels"])
    return [f"{name} {colour}" for name, colour in zip(scene["channels"], scene["colours"], strict=True)]


def pixel_words(size: Sequence[float] | None) -> str:
    """``0.5 um``, or both sides where they differ."""
    if size is None:
        return "size unknown"
    y, x = (short_text(side, 9) for side in size)
    return f"{x} um" if x == y else f"{x} um wide, {y} um high"


def _convert(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.cli.project_slides import parse_um
    from microscope_qc.slides.pyramid.write import damage_sentence, damaged_places
    from microscope_qc.workflows.conversion.convert import convert

    size = None if args.pixel_size is None else parse_um(args.pixel_size)
    job = convert(
        args.slide,
        args.out,
        scene=args.scene,
        pixel_size_um=size,
        as_stored=args.as_stored,
        choice=plane_choice(args),
        verify=not args.no_verify,
        resume=not args.fresh,
        keep_stopped=args.keep,
    )
    written = run(job, args)
    damaged = {path: places for path in written if (places := damaged_places(path))}
    for path, places in damaged.items():
        print(f"{path.name}: {damage_sentence(places)}.", file=sys.stderr)
    if args.json:
        listed = {str(path): [[p.y0, p.x0, p.y1, p.x1] for p in places] for path, places in damaged.items()}
        print_json({"written": written, **({"damaged": listed} if damaged else {})})
    else:
        print("\n".join(str(path) for path in written))
    _print_left_out(args, size)
    return 0


def _print_left_out(args: argparse.Namespace, size_um: tuple[float, float] | None) -> None:
    """Say what of the slide is not in the copy."""
    from microscope_qc.slides import open_slide

    with open_slide(args.slide, pixel_size_um=size_um) as slide:
        for scene in slide.scenes if args.scene is None else [slide.scene(args.scene)]:
            for line in scene.notes:
                print(f"{scene.name or args.slide.name}: {line}.", file=sys.stderr)


def _synth(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.workflows.samples.synth import make, written_by

    if args.volume:
        written = _draw_volume(args)
        print_json({"written": written}) if args.json else print("\n".join(map(str, written)))
        return 0
    if args.particles is not None or args.cracked is not None:
        raise InputError("Only a volume has so many particles, or so many cracked.", hint="Add --volume.")
    shape = parse_size(args.size or "8192")
    out = run(make(args.kind, args.out, shape=shape, seed=args.seed, defects=args.defects), args)
    if args.json:
        print_json({"written": written_by(out)})
    else:
        print("\n".join(str(path) for path in written_by(out)))
    return 0


def _draw_volume(args: argparse.Namespace) -> list[Path]:
    from microscope_qc.cli.progress import run
    from microscope_qc.workflows.volumes.drawing import draw_volume

    if args.kind != "particles" or args.defects is not None:
        raise InputError("Only particles are drawn as a volume, with a share of cracked ones.", hint="See --cracked.")
    height, width = parse_size(args.size or "256")
    if height != width:
        raise InputError("A synthetic volume is a cube.", hint="Give one number as its size.")
    cracked = 0.3 if args.cracked is None else args.cracked
    shape = (height, height, height)
    return run(draw_volume(args.out, shape, seed=args.seed, particles=args.particles, cracked=cracked), args)
