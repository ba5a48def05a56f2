"""Make the sample that comes with the program: ``python -m tests.make_sample [DIR]`` (resources/sample).

A slide is drawn and stored as a small picture, and the bundled detector looks at that picture. To be repeated when
the detector is trained anew: tests/workflows/test_ready_sample.py says so.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from PIL import Image

from microscope_qc.core.files import atomic_path, atomic_write
from microscope_qc.core.geometry import Region
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.project.runs.journal import STATUS_NAME, read_status
from microscope_qc.project.runs.plan import SlidePlace, write_plan
from microscope_qc.slides import open_slide
from microscope_qc.workflows.detection.run import detect
from microscope_qc.workflows.samples import ready, synth
from microscope_qc.workflows.samples.demo import BUNDLED_DETECTOR, DEMO_SEED

SIDE_PX = 3072
QUALITY = 85
COUNTS = ("state", "tiles_done", "tiles_total", "tiles_damaged", "tiles_skipped", "share_skipped")
"""What is kept of the run's status: its speed is that of another computer."""
NOTE = "Found when the sample was made, on another computer."
RESOURCES = Path(__file__).resolve().parent.parent / "resources" / ready.FOLDER


def make(out: Path) -> None:
    """Write the sample into a folder."""
    with tempfile.TemporaryDirectory(prefix="make-sample-") as place:
        folder = Path(place)
        drawn = folder / "drawn" / ready.SLIDE_NAME  # the truth names it
        run_job(synth.make("electrode", drawn, shape=(SIDE_PX, SIDE_PX), seed=DEMO_SEED))
        with open_slide(drawn) as slide:
            scene = slide.scenes[0]
            pixels = scene.read_rgb8(Region(0, 0, SIDE_PX, SIDE_PX))
            pixel_size_um = scene.pixel_size_um
        with atomic_path(out / ready.PICTURE_NAME) as temporary:
            Image.fromarray(pixels).save(temporary, quality=QUALITY, subsampling=0, optimize=True)
        truth = json.loads(synth.truth_path(drawn).read_text(encoding="utf-8"))
        atomic_write(out / ready.TRUTH_NAME, json.dumps(truth))
        shown = run_job(
            ready.write_picture(out / ready.PICTURE_NAME, folder / ready.SLIDE_NAME, pixel_size_um=pixel_size_um)
        )
        with Project.create(folder / ready.PROJECT_NAME, slides=[shown]) as project:
            result = run_job(detect(project, project.slides[0].id, BUNDLED_DETECTOR, device="cpu"))
            run = project.runs.by_id(result.run_id)
            where = SlidePlace(path=ready.SLIDE_NAME, pixel_size_um=pixel_size_um)
            write_plan(out / ready.RUN_NAME, run.plan.model_copy(update={"slide": where, "device": "auto"}))
            for name in ready.RUN_FILES:
                atomic_write(out / ready.RUN_NAME / name, (run.folder / name).read_bytes())
            status = {name: value for name, value in read_status(run.folder).items() if name in COUNTS}
            atomic_write(out / ready.RUN_NAME / STATUS_NAME, json.dumps({**status, "notes": [NOTE]}))
        print(f"{result.findings} candidates, {result.shown} findings at the default confidence")


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="python -m tests.make_sample", description=__doc__.split("\n\n")[0])
    parser.add_argument("out", type=Path, nargs="?", default=RESOURCES, metavar="DIR")
    make(parser.parse_args().out)


if __name__ == "__main__":
    main()
