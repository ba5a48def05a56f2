"""Makes ``version_0_1.zip`` and ``version_0_1.json``: a project written by version 0.1, and its content.

The files kept here were made with it, by the code of version 0.1 and never by a later one. Where V is a checkout of
that version and FOLDER a folder that does not exist yet, such as ``/srv/microscope``::

    PYTHONPATH=V:V/tests python make_version_0_1.py FOLDER

Slides and project are made in FOLDER, which is removed at the end. A project names its slides by their full paths
first, so FOLDER should be a path that no other machine has. Times, names of users and the machine's name are made up,
and the slides are the same each time; only the speed of the detections, the place where one of them is stopped, and
the last digit of a confidence differ from machine to machine.
"""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
import shutil
import socket
import sys
import time
import uuid
import zipfile
from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import tifffile
from anomaly_toys import blurring_autoencoder, waves
from microscope_qc.app.seen_map import SeenMap
from microscope_qc.ml.inference.heatmap import HeatMap
from microscope_qc.ml.inference.mask import AreaMask, open_mask, read_mask
from microscope_qc.ml.inference.plan import read_plan
from microscope_qc.ml.journal import JOURNAL_NAME, read_journal, read_status, read_tile_errors, write_status
from microscope_qc.workflows.detect import DetectionFailed, detect
from microscope_qc.workflows.edx import compositions, import_edx
from microscope_qc.workflows.importing import import_annotations
from microscope_qc.workflows.stored_area import CHANGED, DRAWN, area_setting, masks_to_dict, stored_masks

import microscope_qc
from microscope_qc.core.boxes import BoxFilter, ReviewState, make_rows
from microscope_qc.core.errors import ProjectError
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.core.outline import Outline
from microscope_qc.correlation.registration import Registration
from microscope_qc.project import Project, backups, migrations, owner
from microscope_qc.slides import open_slide
from microscope_qc.slides.display import ChannelView, DisplaySettings
from microscope_qc.slides.pyramid import write_ome_zarr
from microscope_qc.synthetic.electrode import ElectrodeSlide
from microscope_qc.workflows.child import Child
from microscope_qc.workflows.stage import find_registration, fit_registration

HERE = Path(__file__).resolve().parent
PROJECT = "cell S1.mqc"
MODEL = "li-ion-ssd"
SIDE = 1024
SHRUNK = 3
"""The electrode is drawn at 0.3 um per pixel and kept at 0.9 um, where the bundled model needs nine tiles for it."""
ELECTRODE, OVERVIEW, WAVES, PIECE_A, PIECE_B, LOST, THROWN_AWAY = range(1, 8)
"""Ids that the project gives to its slides."""
DROPPED = ("owner.lock", "owner.json", "writer.lock")
"""Files of the project's folder that say who has it open."""


# -- nothing of this machine -----------------------------------------------------------------------------------------


class Clock(datetime):
    """A clock that advances by a second at each call, in a time zone of its own."""

    asked = 0

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        """The next time."""
        Clock.asked += 1
        zone = timezone(timedelta(hours=1))
        return datetime(2026, 3, 2, 9, 30, 0, 250_000, tzinfo=zone) + timedelta(seconds=Clock.asked)


def be(user: str) -> None:
    """Let the history name this user from now on."""
    os.environ["LOGNAME"] = user


def forget_this_machine() -> None:
    """Replace times, names and the project's number by made-up ones."""
    os.environ["TZ"] = "Etc/GMT-1"
    time.tzset()
    be("user")
    socket.gethostname = lambda: "microscope"
    owner.datetime = Clock  # type: ignore[misc]
    backups.time = SimpleNamespace(time=lambda: Clock.now().timestamp())  # type: ignore[assignment]
    migrations.uuid.uuid4 = lambda: uuid.UUID("00000000-0000-4000-8000-000000000001")


# -- slides ----------------------------------------------------------------------------------------------------------


def write_slides(folder: Path) -> None:
    """One slide of every kind that a project distinguishes, as small as possible."""
    folder.mkdir(parents=True)
    drawn = ElectrodeSlide((SIDE * SHRUNK, SIDE * SHRUNK), seed=5, defects=30)
    pixels = drawn.read(0, 0, SIDE * SHRUNK, SIDE * SHRUNK)
    pixels = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    size = {"PhysicalSizeX": 0.9, "PhysicalSizeY": 0.9, "PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(
        folder / "S1 electrode.ome.tif", pixels, tile=(256, 256), photometric="rgb", compression="jpeg",
        compressionargs={"level": 25},
        metadata={"axes": "YXS", "UUID": "00000000-0000-4000-8000-000000000002", **size},
    )  # fmt: skip
    write_picture(folder / "S1 overview.png", shape=(90, 120))
    odd = waves(8, height=320, width=320, spots=((60, 70), (150, 200)))
    odd = cv2.medianBlur(odd, 5) // 8 * 8  # without its noise it takes a tenth of the space
    run_job(write_ome_zarr(
        folder / "S1 waves.ome.zarr", shape=odd.shape[:2], dtype="uint8", rgb=True, pixel_size_um=(0.5, 0.5),
        name="S1 waves", read=lambda region: odd[region.y0 : region.y1, region.x0 : region.x1],
    ))  # fmt: skip
    with tifffile.TiffWriter(folder / "S1 pieces.ome.tif", ome=True) as file:
        for name, start in (("left", 20), ("right", 120)):
            ramp = (np.add.outer(np.arange(64), np.arange(80)) + start).astype(np.uint8)
            metadata = {"axes": "YX", "Name": name, "UUID": "00000000-0000-4000-8000-000000000003"}
            file.write(ramp, compression="zlib", photometric="minisblack", metadata=metadata)
    write_picture(folder / "S1 lost.png", shape=(50, 60))
    write_picture(folder / "S1 thrown away.png", shape=(40, 70))


def write_picture(path: Path, *, shape: tuple[int, int]) -> None:
    """A small picture whose content depends on its size."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    cv2.imwrite(str(path), np.stack([x + shape[0], y * 2, x + y], axis=-1).astype(np.uint8))


# -- what a user does ------------------------------------------------------------------------------------------------


def draw(project: Project, slide_id: int, code: str, *boxes: tuple[float, float, float, float]) -> list[int]:
    """Draw boxes y0, x0, y1, x1, one command each, and return their ids."""
    class_id = project.class_by_code(code).id
    numbers = []
    for box in boxes:
        sides = dict(zip(("y0", "x0", "y1", "x1"), box, strict=True))
        numbers += project.add_boxes(slide_id, make_rows(1, class_id=class_id, **sides)).tolist()
    return numbers


def begin(folder: Path) -> None:
    """The first session of work: slides, classes, a few boxes."""
    names = ("S1 electrode.ome.tif", "S1 overview.png", "S1 waves.ome.zarr", "S1 pieces.ome.tif")
    with Project.create(folder / PROJECT, slides=[folder / name for name in names], program="window") as project:
        project.add_class("SCR", name="Scratch", colour="#123ABC", description="Fine line of the polishing")
        project.add_class("INC", name="Inclusion", weight=1.25, box_size_um=12.5)
        project.add_class("TMP")
        draw(project, ELECTRODE, "AOP", (100.25, 120.5, 140.75, 171.0), (300.0, 310.0, 333.5, 350.125))
        draw(project, ELECTRODE, "TMP", (500.0, 20.0, 540.0, 61.0), (620.0, 40.0, 640.0, 70.0))
        draw(project, OVERVIEW, "GEO", (10.0, 20.0, 34.0, 50.0))


def continue_by_hand(project: Project, folder: Path) -> None:
    """The second session of work: everything a user can do with slides, classes, boxes and marks."""
    by_code = {defect.code: defect.id for defect in project.classes}
    project.edit_class(by_code["SCR"], code="SCT")
    project.edit_class(by_code["PRA"], name="Trace of the preparation")
    project.edit_class(by_code["CRK"], weight=3.5, box_size_um=20.0, key="0", description="Crack through a coating")
    project.recolour_classes({by_code["ACP"]: "#FF8800", by_code["AFP"]: "#0088FF"})
    project.merge_classes([by_code["TMP"]], into=by_code["INC"])
    order = [defect.id for defect in project.classes]
    project.reorder_classes([order[-1], *order[:-1]])
    throw_away = project.add_class("NIL", name="Nothing at all")
    draw(project, ELECTRODE, "NIL", (700.0, 700.0, 720.0, 730.0))
    project.delete_class(throw_away.id)

    project.rename_slide(OVERVIEW, "Overview of S1")
    project.set_pixel_size(PIECE_A, (0.25, 0.26))
    (folder / "pictures").mkdir()
    moved = (folder / "S1 overview.png").rename(folder / "pictures" / "S1 overview.png")
    project.relocate_slide(OVERVIEW, moved)
    project.add_slide(folder / "S1 lost.png")
    lost = draw(project, LOST, "CRK", (5.0, 6.0, 25.0, 36.0))
    project.edit_boxes(lost, state=ReviewState.CONFIRMED)
    project.add_slide(folder / "S1 thrown away.png")
    draw(project, THROWN_AWAY, "CRK", (3.0, 3.0, 9.0, 9.0))
    project.remove_slide(THROWN_AWAY)

    cracks = draw(
        project, ELECTRODE, "CRK", (10.0, 10.0, 60.0, 22.0), (80.0, 30.0, 95.0, 90.0), (5.0, 400.0, 40.0, 460.0)
    )
    inclusions = draw(project, ELECTRODE, "INC", (900.5, 100.5, 930.5, 140.5), (950.0, 600.0, 990.0, 660.0))
    scratches = draw(project, ELECTRODE, "SCT", (400.0, 800.0, 404.0, 1000.0), (420.0, 800.0, 424.0, 990.0))
    project.edit_class(by_code["CRK"], example_box=cracks[0], example_picture="examples/crack.png")
    (project.path / "examples").mkdir()
    write_picture(project.path / "examples" / "crack.png", shape=(24, 32))

    project.edit_boxes(cracks[:1], y0=12.5, x0=11.0, y1=63.0, x1=23.25, title="Move box")
    project.edit_boxes(cracks[:1], y0=13.5, x0=12.0, y1=64.0, x1=24.25, title="Move box", amends=project.undo_entry)
    project.edit_boxes(cracks[:2], state=ReviewState.CONFIRMED)
    project.edit_boxes(scratches, state=ReviewState.REJECTED, reason="preparation artefact")
    project.edit_boxes(cracks[1:2], class_id=by_code["GEO"])
    project.edit_boxes(inclusions, chosen=True)
    project.edit_boxes(inclusions[:1], note="Überprüft: Al₂O₃, “bright”\nsecond line")
    project.edit_attributes(inclusions, {"material": "Al₂O₃", "depth_um": 2.5})
    project.edit_attributes(inclusions[:1], {"depth_um": None, "seen": [1, 2, {"by": "SEM"}], "sure": True})
    project.set_outline(
        inclusions[0],
        Outline.polygon([(900.5, 100.5), (930.5, 110.0), (920.0, 140.5)], [(910, 112), (915, 118), (912, 120)]),
    )
    project.set_outline(inclusions[1], Outline.ellipse(970.0, 630.0, 18.0, 28.0, angle_deg=15.0))
    project.set_outline(scratches[0], Outline.lines([[(402.0, 800.0), (401.0, 900.0), (403.5, 1000.0)]]))
    blob = np.zeros((6, 9), bool)
    blob[1:5, 2:8] = True
    project.set_outline(cracks[2], Outline.mask(blob, 10.0, 410.0))
    project.edit_boxes(inclusions[1:], y0=952.0, x0=603.0, y1=992.0, x1=663.0, title="Move box")  # its outline follows
    project.duplicate_boxes([inclusions[0], cracks[2]], dy_px=40.0, dx_px=8.5)
    project.duplicate_boxes(cracks[:1], dy_px=2.0, dx_px=3.0, slide_id=PIECE_A)
    draw(project, PIECE_B, "ACP", (1.0, 2.0, 30.0, 40.0))
    project.delete_boxes(scratches[1:])

    for name, y, x, stage in (
        ("M1", 20.0, 25.0, (10.0, 5.0)), ("M2", 30.5, 1000.0, (10.88, 5.01)),
        ("M3", 1000.0, 990.0, (10.87, 5.90)), ("M4", 980.0, 40.0, (10.02, 5.87)),
    ):  # fmt: skip
        project.add_mark(ELECTRODE, name, y, x, stage_x_mm=stage[0], stage_y_mm=stage[1])
    fit_registration(project, ELECTRODE, name="SEM", repeatability_um=1.5)
    m1 = project.marks(ELECTRODE)[0]
    project.edit_mark(m1.id, y_px=21.25, stage_x_mm=10.001)
    fit_registration(project, ELECTRODE, name="SEM", repeatability_um=1.5)
    fit_registration(project, ELECTRODE, name="Raman", mark_names=["M1", "M2", "M3"], model="similarity")
    project.add_mark(OVERVIEW, "corner", 1.5, 2.5)
    gone = project.add_mark(OVERVIEW, "wrong", 3.0, 4.0)
    project.delete_mark(gone.id)


def detect_on(project: Project, folder: Path) -> None:
    """Runs: finished, stopped, of a region, under a mask, with a map of scores, failed, and killed with the program."""
    run_job(detect(project, ELECTRODE, MODEL))  # 1
    judge(project)
    interrupt(project, fresh=True)  # 2 hides 1
    project.show_run(1, True)
    run_job(detect(project, ELECTRODE, MODEL, region=Region(200, 300, 700, 900), everything=True))  # 3
    project.show_run(3, False)
    masks, _ = stored_masks(project, project.slide_by_id(ELECTRODE))
    run_job(detect(project, ELECTRODE, MODEL, mask=masks[DRAWN]))  # 4
    project.add_class("ODD", name="Odd place")
    run_job(detect(project, WAVES, blurring_autoencoder(folder / "models" / "toy")))  # 5
    with contextlib.suppress(ProjectError):
        project.undo()  # the class is kept: findings rely on it
    with contextlib.suppress(DetectionFailed):
        run_job(detect(project, ELECTRODE, MODEL, region=Region(0, 0, 512, 512), device="cuda:97"))  # 6
    stop, Child.stop = Child.stop, lambda child: child._process.kill()  # type: ignore[method-assign]
    interrupt(project, everything=True)  # 7
    Child.stop = stop  # type: ignore[method-assign]
    with (project.run(7).folder / JOURNAL_NAME).open("ab") as file:
        file.write(b'{"tile":8,"candidates":[[1')
    project.finish_run(7, "running")
    for run in project.runs:
        status = read_status(run.folder)
        if status.get("device_name"):
            write_status(run.folder, {**status, "device_name": "processor"})


def judge(project: Project) -> None:
    """Judgements of a user about findings."""
    rows = project.boxes(ELECTRODE).rows
    findings = rows[rows["run_id"] == 1]
    best = findings["id"][np.argsort(-findings["confidence"], kind="stable")].tolist()
    project.edit_boxes(best[:3], state=ReviewState.CONFIRMED)
    project.edit_boxes(best[3:5], state=ReviewState.REJECTED, reason="out of focus")
    project.edit_boxes(best[5:6], note="ask the others", chosen=True)
    project.edit_boxes(best[6:7], class_id=project.class_by_code("INC").id)
    project.edit_attributes(best[:1], {"measured": 3})
    project.delete_boxes(best[-2:])


def interrupt(project: Project, **how: bool) -> None:
    """Close a detection as soon as it has done something."""
    job = detect(project, ELECTRODE, MODEL, wait_s=0.02, **how)
    for progress in job:
        if progress.done:
            break
    job.close()
    run = project.runs[-1]
    tiles = len(read_journal(run.folder)[0])
    if not (run.state == "stopped" and run.found and 0 < tiles < read_status(run.folder)["tiles_total"]):
        raise SystemExit("The detection was not stopped in the middle; run this again.")


def paint_areas(project: Project) -> None:
    """Scan areas: the one that the user changed, and the one that the user drew."""
    record = project.slide_by_id(ELECTRODE)
    changed, drawn = open_mask(record.shape_px, look=True), open_mask(record.shape_px, look=False)
    changed.look[:5, 3:9] = False
    drawn.look[2:8, 3:9] = True
    drawn.look[9, 25] = True
    project.set_setting(area_setting(ELECTRODE), masks_to_dict({CHANGED: changed, DRAWN: drawn}))


def bring_in(project: Project, folder: Path) -> None:
    """Import annotations and compositions from files."""
    coco = {
        "images": [{"id": 1, "file_name": "S1 electrode.ome.tif", "width": SIDE, "height": SIDE}],
        "categories": [{"id": 1, "name": "INC"}, {"id": 2, "name": "DUST"}],
        "annotations": [
            {
                "id": 1, "image_id": 1, "category_id": 2, "bbox": [200, 720, 30, 24],
                "segmentation": [[200, 720, 230, 722, 228, 744, 204, 740]],
                "attributes": {"state": "confirmed", "note": "from the other program", "colour": "grey"},
            },
            {"id": 2, "image_id": 1, "category_id": 1, "bbox": [260.5, 730, 12, 14.25], "score": 0.625},
        ],
    }  # fmt: skip
    source = folder / "import.json"
    source.write_text(json.dumps(coco), encoding="utf-8")
    run_job(import_annotations(project, source))

    rows = project.boxes(ELECTRODE).rows
    chosen = rows[rows["chosen"]]["id"].tolist()
    _, _, fitted = find_registration(project, "SEM")
    aimed = rows[rows["id"] == 1][0]
    middle = np.array([[(aimed["y0"] + aimed["y1"]) / 2, (aimed["x0"] + aimed["x1"]) / 2]])
    ((x_mm, y_mm),) = fitted.to_stage(middle).tolist()
    table = folder / "edx.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(["label", "stage x (mm)", "stage y (mm)", "Al at%", "O at%", "Ni at%"])
        out.writerow([f"D{chosen[0]}", "", "", 40.1, 59.9, ""])
        out.writerow([f"D{chosen[0]} again", "", "", 39.5, 60.0, 0.5])
        out.writerow(["Spectrum 7", round(x_mm, 5), round(y_mm, 5), 1.5, 20.0, 78.5])
        out.writerow(["Spectrum 8", 99.0, 99.0, 1.0, 2.0, 97.0])
    run_job(import_edx(project, table, registration="SEM"))
    for file in (source, table):
        file.unlink()


def keep_settings(project: Project, folder: Path) -> None:
    """Settings that the window stores with a project."""
    confirmed = frozenset({ReviewState.CONFIRMED})
    inclusion = project.class_by_code("INC").id
    project.save_filter("Sure", BoxFilter(min_confidence=0.6, max_confidence=0.99, states=confirmed))
    project.save_filter("Large inclusions", BoxFilter(class_ids=frozenset({inclusion}), size_um=(20.0, math.inf)))
    project.save_filter("by hand", BoxFilter(found_by=frozenset({0}), text="Al₂O₃"))
    project.save_filter("not needed", BoxFilter(only_chosen=True))
    project.delete_filter("not needed")
    project.set_filter(BoxFilter(min_confidence=0.25, states=frozenset({ReviewState.UNREVIEWED, *confirmed})))

    project.set_setting("asked_pixel_size", [OVERVIEW, PIECE_A, PIECE_B])
    project.set_setting("last_slide", ELECTRODE)
    project.set_setting("gallery_order", "largest")
    project.set_setting("export_folder", str(folder / "exports"))
    project.set_setting("own_models", [str(folder / "models" / "toy")])
    display = DisplaySettings(
        (ChannelView(window=(10.0, 200.0), gamma=0.8), ChannelView(visible=False)), (1.1, 1.0, 0.9)
    )
    bookmark = {"name": "Edge of the foil", "y": 512.5, "x": 300.25, "zoom": 2.0}
    view = {"display": display.to_dict(), "bookmarks": [bookmark], "no_conversion": True}
    project.set_setting(f"view:{ELECTRODE}", view)
    seen = SeenMap((SIDE, SIDE))
    seen.mark(0.0, 0.0, 600.0, 800.0)
    project.set_setting(f"seen:{ELECTRODE}", seen.to_dict())


def step_back_and_forth(project: Project) -> None:
    """Undo and redo: one step undone and redone, one replaced by another, two left to be redone."""
    ids = project.boxes(ELECTRODE).rows["id"].tolist()
    project.edit_boxes(ids[:1], note="taken back and written again")
    project.undo()
    project.redo()
    project.edit_boxes(ids[:1], note="taken back for good")
    project.undo()
    be("colleague")
    project.edit_boxes(ids[1:2], chosen=True, note="the last step that counts")
    project.delete_boxes(ids[:1])
    project.add_mark(ELECTRODE, "M5", 500.0, 500.0)
    project.undo()
    project.undo()


# -- what the project holds ------------------------------------------------------------------------------------------


def contents(project: Project) -> dict[str, Any]:
    """Everything that a later version must read."""
    return {
        "project": project.name,
        "classes": [asdict(defect) for defect in project.classes],
        "slides": [slide_contents(project, record) for record in project.slides],
        "alignments": [alignment_contents(record) for record in project.registrations],
        "runs": [run_contents(project, run) for run in project.runs],
        "settings": {key: project.setting(key) for key in sorted(project._settings)},
        "filter": filter_contents(project.filter),
        "saved_filters": {name: filter_contents(known) for name, known in project.saved_filters.items()},
        "history": [history_contents(project, entry) for entry in project.history(limit=100_000)],
        "undo": project.undo_title,
        "redo": project.redo_title,
    }


def slide_contents(project: Project, record: Any) -> dict[str, Any]:
    """A slide with everything on it."""
    rows = project.boxes(record.id).rows
    return {
        "id": record.id,
        "name": record.name,
        "relative_path": record.relative_path,
        "scene": record.scene,
        "fingerprint": record.fingerprint,
        "shape_px": list(record.shape_px),
        "pixel_size_um": record.pixel_size_um and list(record.pixel_size_um),
        "missing": record.missing,
        "mean_colour": None if record.missing else mean_colour(record),
        "boxes": [box_contents(project, row) for row in rows],
        "shown": rows["id"][project.shown(record.id)].tolist(),
        "attributes": {str(number): found for number, found in project.slide_attributes(record.id).items()},
        "outlines": {str(n): json.loads(found.to_json()) for n, found in project.slide_outlines(record.id).items()},
        "marks": [[m.id, m.name, m.y_px, m.x_px, m.stage_x_mm, m.stage_y_mm] for m in project.marks(record.id)],
        "areas": {
            kind: None if mask is None else mask_contents(mask)
            for kind, mask in stored_masks(project, record)[0].items()
        },
        "compositions": {str(n): found for n in rows["id"].tolist() if (found := compositions(project, n))},
    }  # fmt: skip


def box_contents(project: Project, row: Any) -> list[Any]:
    """Id, class, y0, x0, y1, x1, confidence, state, run, chosen, reason and note."""
    confidence = None if np.isnan(row["confidence"]) else round(float(row["confidence"]), 4)
    return [
        int(row["id"]), project.class_by_id(int(row["class_id"])).code,
        *(round(float(row[side]), 3) for side in ("y0", "x0", "y1", "x1")), confidence,
        ReviewState(row["state"]).word, int(row["run_id"]), bool(row["chosen"]), row["reason"], row["note"],
    ]  # fmt: skip


def mean_colour(record: Any) -> list[float]:
    """Mean of each colour of a slide."""
    with open_slide(record.path) as slide:
        pixels = slide.scene(record.scene).read_rgb8(Region(0, 0, *record.shape_px))
    return [round(float(value), 2) for value in pixels.reshape(-1, 3).mean(axis=0)]


def alignment_contents(record: Any) -> dict[str, Any]:
    """An alignment as it is stored, and the stage position of a place of the slide."""
    ((x_mm, y_mm),) = Registration.from_dict(record.data).to_stage(np.array([[100.0, 200.0]])).tolist()
    return {
        "id": record.id, "slide": record.slide_id, "name": record.name, "data": record.data,
        "stage_mm_of_100_200": [round(x_mm, 6), round(y_mm, 6)],
    }  # fmt: skip


def mask_contents(mask: AreaMask) -> dict[str, Any]:
    """A mask in numbers."""
    region = mask.region
    return {
        "region": [region.y0, region.x0, region.y1, region.x1], "cell_px": list(mask.cell_px),
        "looked_at_by_row": mask.look.sum(axis=1).tolist(), "looked_at_by_column": mask.look.sum(axis=0).tolist(),
    }  # fmt: skip


def run_contents(project: Project, run: Any) -> dict[str, Any]:
    """A run with the content of its folder."""
    tiles, _ = read_journal(run.folder)
    status, plan, mask, heat = (
        read_status(run.folder),
        read_plan(run.folder),
        read_mask(run.folder),
        HeatMap.open(run.folder),
    )
    return {
        "id": run.id, "slide": run.slide_id, "state": run.state, "shown": run.shown, "found": run.found,
        "started": run.started, "finished": run.finished, "settings": run.settings, "card": run.card,
        "tiles": [[tile, len(candidates)] for tile, candidates in tiles],
        "tile_errors": {str(tile): said for tile, said in read_tile_errors(run.folder).items()},
        "status": {name: status.get(name) for name in ("state", "tiles_done", "tiles_total", "device", "message")},
        "plan": None if plan is None else asdict(plan),
        "mask": None if mask is None else mask_contents(mask),
        "heat": None if heat is None else heat_contents(heat),
    }  # fmt: skip


def heat_contents(heat: HeatMap) -> dict[str, Any]:
    """A map of scores in numbers."""
    scores = heat.read()
    return {
        "classes": list(heat.card.classes), "shape": list(scores.shape), "cell_px": list(heat.card.cell_px),
        "looked_at": int(np.isfinite(scores).sum()), "mean": round(float(np.nanmean(scores)), 4),
        "highest": round(float(np.nanmax(scores)), 4),
    }  # fmt: skip


def filter_contents(box_filter: BoxFilter) -> dict[str, Any]:
    """A filter as plain values."""
    size = box_filter.size_um
    return {
        "min_confidence": box_filter.min_confidence,
        "max_confidence": box_filter.max_confidence,
        "class_ids": box_filter.class_ids and sorted(box_filter.class_ids),
        "states": box_filter.states and sorted(state.word for state in box_filter.states),
        "hidden_runs": sorted(box_filter.hidden_runs),
        "found_by": box_filter.found_by and sorted(box_filter.found_by),
        "only_chosen": box_filter.only_chosen,
        "size_um": size and [limit if math.isfinite(limit) else None for limit in size],
        "text": box_filter.text,
    }


def history_contents(project: Project, entry: Any) -> list[Any]:
    """Id, time, user, title, kind, undone, slide, run, count of its boxes and of the rows it changed."""
    return [
        entry.id, entry.time, entry.user, entry.title, entry.kind, entry.undone, entry.slide_id, entry.run_id,
        entry.box_count, len(project.changes_of(entry)),
    ]  # fmt: skip


def outline_of(project: Project) -> dict[str, Any]:
    """Enough of a project to tell whether all of it was undone, or whether an older copy is complete."""
    return {
        "classes": [[defect.code, defect.name, defect.colour, defect.position] for defect in project.classes],
        "slides": {
            str(record.id): {
                "name": record.name, "boxes": project.boxes(record.id).rows["id"].tolist(),
                "marks": [mark.name for mark in project.marks(record.id)],
                "attributes": sorted(project.slide_attributes(record.id)),
                "outlines": sorted(project.slide_outlines(record.id)),
            }
            for record in project.slides
        },
        "alignments": [record.name for record in project.registrations],
    }  # fmt: skip


def everything_undone(folder: Path) -> dict[str, Any]:
    """What is left when every step is undone, on a copy; and how many steps there were."""
    copy = folder / "copy.mqc"
    shutil.copytree(folder / PROJECT, copy)
    with Project.open(copy) as project:
        steps = 0
        while project.can_undo:
            project.undo()
            steps += 1
        found = {"steps": steps, **outline_of(project)}
    shutil.rmtree(copy)
    return found


def oldest_copy(folder: Path) -> dict[str, Any]:
    """Content of the backup that the program made of the project by itself."""
    (backup,) = backups.backup_files(folder / PROJECT)
    copy = folder / "copy.mqc"
    (copy / "runs").mkdir(parents=True)
    shutil.copyfile(backup, copy / "project.sqlite")
    with Project.open(copy) as project:
        found = outline_of(project)
    shutil.rmtree(copy)
    return found


# -- files -----------------------------------------------------------------------------------------------------------


def pack(folder: Path, target: Path) -> None:
    """Everything in the folder into one archive, in order and without the times of this machine."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name not in DROPPED:
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (2026, 3, 2, 12, 0, 0))
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                archive.writestr(entry, path.read_bytes(), compresslevel=9)


def written(value: Any, indent: int = 0) -> str:
    """Readable JSON: what fits into a line is written as one."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not isinstance(value, dict | list) or not value or len(text) + indent <= 118:
        return text
    pad = " " * (indent + 1)
    if isinstance(value, dict):
        parts = [f"{json.dumps(key, ensure_ascii=False)}: {written(part, indent + 1)}" for key, part in value.items()]
    else:
        parts = [written(part, indent + 1) for part in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}\n{pad}" + f",\n{pad}".join(parts) + f"\n{' ' * indent}{closing}"


def main() -> None:
    """Make both files beside this one."""
    folder = Path(sys.argv[1]).absolute()
    if microscope_qc.__version__ != "0.1.0" or folder.exists():
        raise SystemExit(f"Version 0.1 is needed, and a folder that does not exist yet; not {folder}.")
    forget_this_machine()
    try:
        write_slides(folder)
        begin(folder)
        be("colleague")
        with Project.open(folder / PROJECT, program="window") as project:
            continue_by_hand(project, folder)
            be("user")
            paint_areas(project)
            detect_on(project, folder)
            bring_in(project, folder)
            keep_settings(project, folder)
            step_back_and_forth(project)
        (folder / "S1 lost.png").unlink()
        (folder / "S1 thrown away.png").unlink()
        with Project.open(folder / PROJECT, write=False) as project:
            expected = contents(project)
        expected |= {"everything_undone": everything_undone(folder), "oldest_copy": oldest_copy(folder)}
        pack(folder, HERE / "version_0_1.zip")
        (HERE / "version_0_1.json").write_text(written(expected) + "\n", encoding="utf-8")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
