"""particles, structure."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from microscope_qc.cli.parts import count, number, whole_number
from microscope_qc.core.errors import InputError

if TYPE_CHECKING:
    from microscope_qc.slides.volumes.volume import Volume

FILTERS = ("gaussian", "median", "none")
THRESHOLDS = ("otsu", "triangle", "multi-otsu", "sauvola")


def register(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands about volumes."""
    particles = subparsers.add_parser(
        "particles",
        description="Label and measure the particles of a volume of any size: filter, threshold, watershed. Labels, "
        "tables, sizes and plots go into a folder. What was killed is continued.",
    )
    add_volume(particles)
    particles.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="folder of the results")
    how = particles.add_argument_group("how particles are told from pores")
    how.add_argument("--filter", choices=FILTERS, default="gaussian", help="what smooths the grey values")
    how.add_argument(
        "--filter-size", type=number, default=1.0, metavar="VOXELS",
        help="standard deviation of the Gaussian, radius of the median (default 1)",
    )  # fmt: skip
    how.add_argument("--threshold", choices=THRESHOLDS, default="otsu", help="how the threshold is found")
    how.add_argument("--level", type=number, metavar="GREY", help="the threshold itself")
    how.add_argument(
        "--window", type=count, default=51, metavar="VOXELS", help="neighbourhood of Sauvola's local threshold"
    )
    how.add_argument("--dark", action="store_true", help="particles are darker than pores")
    how.add_argument("--opening", type=whole_number, default=0, metavar="VOXELS", help="radius of what is cut off")
    how.add_argument("--closing", type=whole_number, default=0, metavar="VOXELS", help="radius of what is closed")
    how.add_argument("--keep-holes", action="store_true", help="pores inside a particle do not belong to it")
    apart = particles.add_argument_group("how particles are told from each other")
    apart.add_argument(
        "--split-depth", type=number, default=1.5, metavar="VOXELS",
        help="by how much a neck is narrower than both sides, as a radius (default 1.5)",
    )  # fmt: skip
    apart.add_argument(
        "--split-share", type=number, default=0.0, metavar="SHARE", help="the same as a share of the smaller radius"
    )
    apart.add_argument(
        "--largest-radius", type=count, metavar="VOXELS", help="of a particle (default: estimated, at most 64)"
    )
    apart.add_argument("--smallest", type=count, default=64, metavar="VOXELS", help="fewer are no particle")
    counted = particles.add_argument_group("what counts")
    counted.add_argument("--count-border", action="store_true", help="count particles that the border cuts")
    counted.add_argument("--count-slices", action="store_true", help="count artefacts that are flat as a slice")
    counted.add_argument(
        "--flawed-void", type=number, default=0.02, metavar="SHARE",
        help="a particle with this share of dark voxels inside is flawed (default 0.02)",
    )  # fmt: skip
    particles.add_argument("--block", type=count, default=256, metavar="VOXELS", help="side of the blocks")
    particles.add_argument("--workers", type=count, metavar="N", help="blocks at a time (default: one for each core)")
    particles.add_argument("--fresh", action="store_true", help="begin again instead of continuing an unfinished run")
    particles.add_argument("--json", action="store_true", help="print one JSON document")
    particles.set_defaults(handler=_particles)

    structure = subparsers.add_parser(
        "structure",
        description="Describe the phases of a segmented volume: shares with intervals, specific surface, and how "
        "tortuous one of them is along each axis.",
    )
    add_volume(structure)
    structure.add_argument("--phase", type=whole_number, metavar="VALUE", help="the phase that conducts")
    structure.add_argument("--axes", default="zyx", metavar="AXES", help="along which (default zyx)")
    structure.add_argument("--out", type=Path, metavar="FILE.json", help="write the result here, too")
    structure.add_argument("--json", action="store_true", help="print one JSON document")
    structure.set_defaults(handler=_structure)


def add_volume(parser: argparse.ArgumentParser) -> None:
    """Add the volume, its voxel, and what a raw file does not say."""
    parser.add_argument(
        "volume", type=Path, metavar="VOLUME",
        help="a TIFF stack, a folder of slices, OME-Zarr, NRRD, MetaImage, MRC, or a raw file with its shape",
    )  # fmt: skip
    parser.add_argument(
        "--voxel", metavar="UM | ZxYxX", help="edge of a voxel in um, over what the file says; three where they differ"
    )
    parser.add_argument("--raw-shape", metavar="ZxYxX", help="voxels of a raw file; X runs fastest")
    parser.add_argument(
        "--raw-type", default="uint8", metavar="TYPE", help="uint8, uint16, float32 ... (default uint8)"
    )
    parser.add_argument("--raw-big-endian", action="store_true", help="the most significant byte comes first")
    parser.add_argument("--raw-offset", type=whole_number, default=0, metavar="BYTES", help="before the first voxel")


def opened_volume(args: argparse.Namespace) -> Volume:
    """Open the volume that :func:`add_volume` asked for."""
    from microscope_qc.slides.volumes.flat import RawLayout
    from microscope_qc.slides.volumes.opening import open_volume

    raw = None
    if args.raw_shape is not None:
        z, y, x = (int(side) for side in _three(args.raw_shape, r"\d{1,9}", "shape", "605x761x366"))
        raw = RawLayout((z, y, x), args.raw_type, args.raw_big_endian, args.raw_offset)
    voxel = None
    if args.voxel is not None:
        text = args.voxel if re.search("[x×]", args.voxel, re.I) else "x".join([args.voxel] * 3)
        z_um, y_um, x_um = (float(side.replace(",", ".")) for side in _three(text, _EDGE, "voxel", "0.064"))
        voxel = z_um, y_um, x_um
    return open_volume(args.volume, raw=raw, voxel_um=voxel)


_EDGE = r"\d{0,6}(?:[.,]\d{1,9})?"


def _three(text: str, one: str, what: str, example: str) -> tuple[str, str, str]:
    found = re.fullmatch(rf"\s*({one})\s*[x×]\s*({one})\s*[x×]\s*({one})\s*", text, re.IGNORECASE)
    if found is None or not all(found.groups()):
        raise InputError(f"'{text}' is not a {what}.", hint=f"Give {example}, as z x y x x where they differ.")
    return found[1], found[2], found[3]


def _particles(args: argparse.Namespace) -> int:
    from microscope_qc.analysis.particles.settings import Filter, ParticleSettings, Threshold
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.workflows.volumes.particle_results import ParticleCounting, write_results
    from microscope_qc.workflows.volumes.particles import find_particles

    assert get_args(Filter) == FILTERS and get_args(Threshold) == THRESHOLDS
    settings = ParticleSettings(
        filter=args.filter, filter_size=args.filter_size, threshold=args.threshold, level=args.level,
        window=args.window, dark=args.dark, opening=args.opening, closing=args.closing,
        fill_holes=not args.keep_holes, split_depth=args.split_depth, split_share=args.split_share,
        largest_radius=args.largest_radius, smallest=args.smallest, block=args.block,
    )  # fmt: skip
    counting = ParticleCounting(args.count_border, args.count_slices, args.flawed_void)
    with opened_volume(args) as volume:
        found = run(find_particles(volume, args.out, settings, fresh=args.fresh, workers=args.workers), args)
        document = run(write_results(found, args.out, counting), args)
    if args.json:
        print_json(document)
    else:
        print("\n".join(particle_lines(document, args.out)))
    return 0


def particle_lines(document: dict[str, Any], out: Path) -> list[str]:
    """What is said about the particles of a volume."""
    from microscope_qc.core.wording import count_text, significant_text
    from microscope_qc.slides.volumes.volume import voxel_words

    particles, flawed, volume = document["particles"], document["flawed"], document["volume"]
    unit = "um" if document["unit"] == "um" else "voxels"
    lines = [
        f"{volume['name']}: voxel {voxel_words(volume['voxel_um'])} ({volume['voxel_source']})",
        f"{count_text(particles['found'])} particles; {count_text(particles['kept'])} count, "
        f"{count_text(particles['at_border'])} at the border, {count_text(particles['slice_like'])} flat as a slice",
        f"particles fill {100 * document['fractions']['particles']:.1f} % of "
        f"{count_text(document['fractions']['voxels'])} voxels",
    ]
    sizes = document["sizes"]["volume"]
    if sizes is not None:
        limits = sizes["d50_interval"]
        known = "" if limits is None else f" ({significant_text(limits[0])} to {significant_text(limits[1])})"
        lines.append(f"half of their volume is in radii below {significant_text(sizes['d50'])}{known} {unit}")
    if flawed["share"] is not None:
        low, high = flawed["interval"]
        lines.append(
            f"{count_text(flawed['number'])} of {count_text(flawed['of'])} are dark inside: "
            f"{100 * flawed['share']:.1f} % ({100 * low:.1f} to {100 * high:.1f} %)"
        )
    return [*lines, *(str(out / name) for name in document["files"])]


def _structure(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json, run
    from microscope_qc.workflows.volumes.structure import structure, write_structure

    with opened_volume(args) as volume:
        document = run(structure(volume, phase=args.phase, axes=args.axes), args)
    if args.out is not None:
        write_structure(document, args.out)
    print_json(document) if args.json else print("\n".join(_structure_lines(document)))
    return 0


def _structure_lines(document: dict[str, Any]) -> list[str]:
    from microscope_qc.core.wording import significant_text
    from microscope_qc.slides.volumes.volume import voxel_words

    volume, unit = document["volume"], document["unit"]
    lines = [f"{volume['name']}: voxel {voxel_words(volume['voxel_um'])} ({volume['voxel_source']})"]
    for phase in document["phases"]:
        limits = phase["interval"]
        known = "" if limits is None else f" ({100 * limits[0]:.1f} to {100 * limits[1]:.1f} %)"
        surface = significant_text(phase[f"surface_per_{unit}"])
        lines.append(f"phase {phase['value']}: {100 * phase['share']:.1f} %{known}, surface {surface} per {unit}")
    for one in document.get("tortuosity", []):
        if one["factor"] is None:
            lines.append(f"along {one['axis']}: phase {one['phase']} does not reach from face to face")
        else:
            low, high = (significant_text(limit, 4) for limit in one["bounds"])
            lines.append(
                f"along {one['axis']}: tortuosity factor of phase {one['phase']} {significant_text(one['factor'], 4)} "
                f"(solved to {low} to {high}), {100 * one['share_through']:.1f} % of the volume goes through"
            )
    return lines
