"""Real pixels through the whole program: train on steel surfaces, detect on a mosaic, review, export.

NEU-DET (1800 pictures of 200 x 200 px, six classes of defects of hot-rolled steel) has no mosaic, so one is laid out:
a fixed fifth of each class side by side is the slide, their boxes are its truth, and the rest, laid out the same way,
is what the detector learns from. Everything after that is the program's own command line.

    python tests/benchmarks/real_steel.py --data NEU_DET_FOLDER --out steel-out
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import tifffile
from defusedxml import ElementTree
from PIL import Image

SIDE_PX = 200
PIXEL_SIZE_UM = 1.0  # the data set does not say; lengths in the results are in units of a pixel
FOLDERS = (("IMAGES", "ANNOTATIONS"), ("Validation_Images", "Validation_Annotations"))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", type=Path, default=None, help="the NEU-DET folder")
    arguments.add_argument("--out", type=Path, required=True)
    arguments.add_argument("--minutes", type=float, default=20.0, help="how long it learns")
    arguments.add_argument("--network", default="lite0")
    arguments.add_argument("--model", type=Path, help="one that learned from the same pictures: that of neu_det")
    arguments.add_argument("--seed", type=int, default=0)
    args = arguments.parse_args()
    data = args.data or Path(os.environ.get("MICROSCOPE_QC_DATA", "")) / "detection" / "neu-det"
    if not (data / "IMAGES").is_dir():
        sys.exit("Name the NEU-DET folder with --data, or its parent's parent with MICROSCOPE_QC_DATA.")
    args.out.mkdir(parents=True, exist_ok=True)

    train, test = split(read_pictures(data))
    print(f"{len(train)} pictures to learn from, {len(test)} in the slide")
    training, slide_folder = args.out / "training", args.out / "slide"
    rng = np.random.default_rng(args.seed)
    for number, part in enumerate(np.array_split(rng.permutation(len(train)), 4)):
        lay_out([train[i] for i in part], training, f"steel-{number}")
    lay_out([test[i] for i in rng.permutation(len(test))], slide_folder, "steel-test")
    merge_truth(training, training / "annotations.json")
    merge_truth(slide_folder, slide_folder / "annotations.json")

    model, project = args.model or args.out / f"steel-{args.network}", args.out / "steel.mqc"
    started = time.monotonic()
    if not (model / "model.json").exists():
        command(
            "train", training, "--task", "detect", "--network", args.network, "--out", model,
            "--minutes", args.minutes, "--pixel-size", PIXEL_SIZE_UM, "--crop", 256, "--seed", args.seed,
            "--trained-on", "Trained on hot-rolled steel surfaces (NEU-DET)",
        )  # fmt: skip
        print(f"trained in {time.monotonic() - started:.0f} s")
    if not project.exists():
        command("new", project, slide_folder / "steel-test.ome.tif")
    started = time.monotonic()
    command("detect", project, "--model", model)
    print(f"detected in {time.monotonic() - started:.0f} s")
    review_and_export(project, args.out, slide_folder / "annotations.json")
    print(command("evaluate", model, slide_folder, "--json"))


def read_pictures(data: Path) -> list[tuple[str, str, np.ndarray, list[tuple[str, int, int, int, int]]]]:
    """Name, class, pixels and boxes (code, y0, x0, y1, x1; half-open) of every picture, ordered by class and number."""
    found = []
    for images, labels in FOLDERS:
        for file in (data / labels).glob("*.xml"):
            picture = data / images / f"{file.stem}.jpg"
            if not picture.exists():
                continue
            boxes = []
            for item in ElementTree.parse(file).getroot().iter("object"):
                x0, y0, x1, y1 = (
                    int(float(item.find("bndbox").find(k).text)) for k in ("xmin", "ymin", "xmax", "ymax")
                )
                boxes.append((item.find("name").text, y0, x0, min(y1, SIDE_PX), min(x1, SIDE_PX)))
            kind, _, number = file.stem.rpartition("_")
            found.append((int(number), kind, np.asarray(Image.open(picture).convert("RGB")), boxes))
    found.sort(key=lambda entry: (entry[1], entry[0]))
    return [(f"{kind}_{number}", kind, pixels, boxes) for number, kind, pixels, boxes in found]


def split(pictures: list) -> tuple[list, list]:
    """Every fifth picture of each class is kept from training."""
    by_class = defaultdict(list)
    for picture in pictures:
        by_class[picture[1]].append(picture)
    test = [p for group in by_class.values() for p in group[::5]]
    names = {p[0] for p in test}
    return [p for p in pictures if p[0] not in names], test


def lay_out(pictures: list, folder: Path, name: str) -> None:
    """Write pictures side by side as one OME-TIFF with tiles, and its boxes as COCO."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = int(np.ceil(np.sqrt(len(pictures))))
    rows = -(-len(pictures) // columns)
    mosaic = np.full((rows * SIDE_PX, columns * SIDE_PX, 3), 128, np.uint8)
    annotations = []
    for place, (_, _, pixels, boxes) in enumerate(pictures):
        y, x = place // columns * SIDE_PX, place % columns * SIDE_PX
        mosaic[y : y + SIDE_PX, x : x + SIDE_PX] = pixels
        annotations += [
            {"bbox": [x + x0, y + y0, x1 - x0, y1 - y0], "category": code} for code, y0, x0, y1, x1 in boxes
        ]
    tifffile.imwrite(
        folder / f"{name}.ome.tif", mosaic, photometric="rgb", tile=(512, 512), compression="zlib", ome=True,
        metadata={"axes": "YXS", "PhysicalSizeX": PIXEL_SIZE_UM, "PhysicalSizeXUnit": "µm",
                  "PhysicalSizeY": PIXEL_SIZE_UM, "PhysicalSizeYUnit": "µm"},
    )  # fmt: skip
    part = {"file_name": f"{name}.ome.tif", "height": mosaic.shape[0], "width": mosaic.shape[1], "boxes": annotations}
    (folder / f"{name}.part").write_text(json.dumps(part), encoding="utf-8")


def merge_truth(folder: Path, target: Path) -> None:
    """One COCO file for all mosaics of a folder."""
    parts = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.part"))]
    codes = sorted({box["category"] for part in parts for box in part["boxes"]})
    document: dict = {
        "images": [],
        "annotations": [],
        "categories": [{"id": i, "name": c} for i, c in enumerate(codes, 1)],
    }
    for number, part in enumerate(parts, 1):
        size = {"height": part["height"], "width": part["width"]}
        document["images"].append({"id": number, "file_name": part["file_name"], **size})
        for box in part["boxes"]:
            entry = {"id": len(document["annotations"]) + 1, "image_id": number, "bbox": box["bbox"], "iscrowd": 0}
            entry |= {"category_id": codes.index(box["category"]) + 1, "area": box["bbox"][2] * box["bbox"][3]}
            document["annotations"].append(entry)
    target.write_text(json.dumps(document), encoding="utf-8")


def review_and_export(project_path: Path, out: Path, truth: Path) -> None:
    """Choose the worst as the gallery shows them, place marks, write every export, and score."""
    from microscope_qc.core.jobs import run_job
    from microscope_qc.project import Project
    from microscope_qc.workflows.samples.demo import (
        choose_worst,
        place_simulated_marks,
        score_against_truth,
        write_results,
    )

    with Project.open(project_path) as project:
        slide = project.slides[0]
        if not project.boxes.rows(slide.id)["chosen"].any():
            choose_worst(project, slide.id, 20)
        if not project.marks.of_slide(slide.id):
            place_simulated_marks(project, slide.id, seed=1)
        for path in run_job(write_results(project, slide.id, out)):
            print(f"wrote {path.name}")
        score = score_against_truth(project, slide.id, truth)
        limit = project.inclusion.current.confidence_limit
        print(
            f"{len(project.boxes.rows(slide.id))} findings at confidence {limit:.2f} and above: "
            f"precision {score['precision']:.3f}, recall {score['recall']:.3f}"
        )
        for code, row in sorted(score["classes"].items()):
            print(f"  {code:<16} precision {row['precision'] or 0:.3f}  recall {row['recall'] or 0:.3f}")


def command(*words: object) -> str:
    """Run one command of the program; its answer."""
    line = [sys.executable, "-m", "microscope_qc", *map(str, words)]
    print("$ microscope-qc", *line[3:], flush=True)
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"ended with {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    main()
