"""Pages of HTML as PDF: printed by the web engine that comes with the window, in a child process."""

from __future__ import annotations

import tempfile
from pathlib import Path

from microscope_qc.core.files import WriteError, atomic_path
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.workflows.child import CommandChild

LOOK_SECONDS = 0.1


def print_page(page: str, path: Path) -> Job[Path]:
    """Write a page as PDF. It can read nothing but itself.

    Raises
    ------
    WriteError
        When the engine cannot start here, or the file cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="microscope-qc-") as folder, atomic_path(path) as temporary:
        source = Path(folder, "page.html")
        source.write_text(page, encoding="utf-8")
        child = CommandChild(["print-page", str(source), str(temporary)], name="printing")
        try:
            while child.running:
                yield Progress(0, 0, "", f"printing {path.name}")
                child.wait(LOOK_SECONDS)
        finally:
            child.stop()
        if child.code != 0 or not temporary.stat().st_size:
            raise WriteError(
                f"{path.name} could not be printed: {child.last_words}",
                hint="Write the report as HTML, and print it to a PDF from a browser.",
            )
    return path
