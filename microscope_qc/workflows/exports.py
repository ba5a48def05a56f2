"""Exports of a project: what an export is, and the registry of those that are not a format.

The command line lists them in its help: nothing heavy is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from microscope_qc.core.errors import InputError
from microscope_qc.core.jobs import Job
from microscope_qc.core.plugins import Registry
from microscope_qc.workflows.stage.options import StageOptions

if TYPE_CHECKING:
    from microscope_qc.core.boxes import ReviewState
    from microscope_qc.correlation.stage_format import StageFormat
    from microscope_qc.exchange.format import AnnotationFormat
    from microscope_qc.project import Project

Need = Literal["project", "findings", "chosen", "marks", "travel list"]
"""What a project must have: nothing, findings, chosen findings, an alignment, or both of the last two."""


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """Which findings are exported, and how; an export takes some of these options.

    Attributes
    ----------
    slide_id
        Only this slide.
    states
        Only findings of these review states.
    chosen_only
        Only findings that are chosen for the SEM.
    shown_only
        Only findings that the view filter shows, of those that count.
    rejected
        Rejected findings too, where they are left out otherwise.
    stage
        How stage positions are written.
    slide_ids
        Only these slides, by exports of several.
    """

    slide_id: int | None = None
    states: tuple[ReviewState, ...] | None = None
    chosen_only: bool = False
    shown_only: bool = False
    rejected: bool = False
    stage: StageOptions = field(default_factory=StageOptions)
    slide_ids: tuple[int, ...] | None = None

    def given(self) -> list[str]:
        """Names of the options that are not at their defaults."""
        plain = ExportOptions()
        return [item.name for item in fields(self) if getattr(self, item.name) != getattr(plain, item.name)]

    def only(self, names: Collection[str]) -> ExportOptions:
        """Return these options with all others at their defaults."""
        plain = ExportOptions()
        return replace(self, **{name: getattr(plain, name) for name in self.given() if name not in names})


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes
    ----------
    files
        The files.
    words
        A sentence about them.
    warning
        A sentence about what could not be written, "" for none.
    facts
        Numbers for JSON.
    """

    files: tuple[Path, ...]
    words: str
    warning: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Export:
    """One kind of file that a project can be exported to.

    An instance is registered in the group ``microscope_qc.exports`` under its name.

    Attributes
    ----------
    name, title
        What the command line calls it, and what users read.
    suffix
        Of the file, with the dot.
    run
        Writes it: project (open for reading), path, options; see :meth:`write`.
    takes
        Names of the options that it uses.
    needs
        What the project must have.
    is_folder
        Whether it writes a folder.
    also
        Further suffixes that a user may give.
    file_name
        Default name of the file, without suffix; "" takes the name of the export.
    """

    name: str
    title: str
    suffix: str
    run: Callable[[Project, Path, ExportOptions], Job[Written]]
    takes: tuple[str, ...] = ()
    needs: Need = "findings"
    is_folder: bool = False
    also: tuple[str, ...] = ()
    file_name: str = ""

    def write(self, project: Project, path: Path | str, options: ExportOptions | None = None) -> Job[Written]:
        """Write the file.

        Raises
        ------
        InputError
            When an option is given that it does not take, or there is nothing to write.
        WriteError
            When the file cannot be written.
        """
        options = options or ExportOptions()
        ignored = [name for name in options.given() if name not in self.takes]
        if ignored:
            words = ", ".join(name.replace("_", " ") for name in ignored)
            raise InputError(f"{self.title} takes no such option: {words}.", hint="Leave it out.")
        return _run(self, project, Path(path), options)


def _run(export: Export, project: Project, path: Path, options: ExportOptions) -> Job[Written]:
    with EXPORTS.in_use(export.name):
        return (yield from export.run(project, path, options))


def _an_export(thing: object) -> Export:
    if not isinstance(thing, Export):
        raise TypeError(f"it is a {type(thing).__name__}, not an Export")
    if not thing.name or not thing.title:
        raise ValueError("it has no name or title")
    if not all(suffix.startswith(".") for suffix in (thing.suffix, *thing.also)):
        raise ValueError("a suffix begins with a dot")
    if not callable(thing.run):
        raise TypeError("it does not write files")
    known = {item.name for item in fields(ExportOptions)}
    unknown = [name for name in thing.takes if name not in known]
    if unknown:
        raise ValueError(f"there is no option {unknown[0]}; there are {', '.join(sorted(known))}")
    if thing.needs not in get_args(Need):
        raise ValueError(f"it needs {thing.needs!r}, which is not one of {', '.join(get_args(Need))}")
    return thing


STAGE = "stage:"
"""Before the name of a stage format: some have the name of an annotation format."""
_HERE = "microscope_qc.workflows.results.exports"

EXPORTS: Registry[Export] = Registry(
    "exports",
    _an_export,
    {
        "report": f"{_HERE}:REPORT",
        "overview": f"{_HERE}:OVERVIEW",
        "drive-sheet": f"{_HERE}:DRIVE_SHEET",
        "history": f"{_HERE}:HISTORY",
        "measurements": f"{_HERE}:MEASUREMENTS",
        "spectra": f"{_HERE}:SPECTRA",
    },
    what="export",
)


def export_names() -> list[str]:
    """Names of everything that ``export`` writes: annotation formats, then the other exports."""
    from microscope_qc.exchange.registry import FORMATS

    formats = FORMATS.usable()
    for name in EXPORTS.usable():
        if name in formats:
            EXPORTS.drop(name, ValueError(f"{name} is the name of an annotation format"))
    return [*formats, *EXPORTS.usable()]


def everything() -> list[Export]:
    """All exports: annotation formats, stage formats, and the others."""
    from microscope_qc.correlation.registry import STAGE_FORMATS

    positions = (f"{STAGE}{name}" for name, _ in STAGE_FORMATS.items())
    return [export_named(name) for names in (positions, export_names()) for name in names]


def export_named(name: str) -> Export:
    """Return the export of this name; annotation formats are exports, and so are stage formats, as "stage:csv".

    Raises
    ------
    InputError
        When there is none.
    """
    from microscope_qc.exchange.registry import FORMATS

    if name.startswith(STAGE):
        from microscope_qc.correlation.registry import STAGE_FORMATS

        return _of_stage_format(STAGE_FORMATS.get(name.removeprefix(STAGE)))
    if name in FORMATS:
        return _of_format(FORMATS.get(name))
    if name in EXPORTS:
        return EXPORTS.get(name)
    raise InputError(f"There is no export {name!r}.", hint=f"Choose one of: {', '.join(export_names())}.")


def _of_format(known: AnnotationFormat) -> Export:
    def run(project: Project, path: Path, options: ExportOptions) -> Job[Written]:
        from microscope_qc.core.wording import things
        from microscope_qc.workflows.exchange.export import export_boxes

        slides = options.slide_ids if options.slide_id is None else (options.slide_id,)
        done = yield from export_boxes(
            project,
            path,
            known.name,
            slide_ids=slides,
            states=options.states,
            chosen_only=options.chosen_only,
            shown=options.shown_only,
        )
        where = done.files[0] if len(done.files) == 1 else f"{len(done.files)} files in {_folder(done.files) or path}"
        words = f"{things(done.boxes, 'box', 'boxes')} of {things(done.slides, 'slide')} written to {where}"
        facts = {"boxes": done.boxes, "slides": done.slides, "loses": done.loses}
        return Written(done.files, words, f"The format cannot hold {done.loses}." if done.loses else "", facts)

    return Export(
        known.name,
        known.title,
        known.suffix,
        run,
        takes=("slide_id", "slide_ids", "states", "chosen_only", "shown_only"),
        is_folder=known.is_folder,
    )


def write_positions(project: Project, path: Path, format: str, options: ExportOptions) -> Job[Written]:
    """Write stage positions, or the drive sheet, with the newest alignment of the slide."""
    from microscope_qc.core.wording import things
    from microscope_qc.workflows.stage.stage import export_stage

    done = yield from export_stage(project, path, format=format, slide_id=options.slide_id, options=options.stage)
    return Written((done.path,), f"{things(done.positions, 'position')} written to {done.path}")


def _of_stage_format(known: StageFormat) -> Export:
    return Export(
        f"{STAGE}{known.name}",
        known.title,
        known.suffix,
        lambda project, path, options: write_positions(project, path, known.name, options),
        takes=("slide_id", "stage"),
        needs="marks" if known.marks_only else "travel list",
        file_name="positions",
    )


def _folder(files: tuple[Path, ...]) -> Path | None:
    """The folder of the first file."""
    return files[0].parent if files else None
