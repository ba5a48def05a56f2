"""Adding slides to the open project, one or ten thousand, while the user goes on working."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog

from microscope_qc.app.actions.action import Action
from microscope_qc.app.actions.checks import writing
from microscope_qc.app.base.slide_files import containing_slide, slide_filter
from microscope_qc.app.commands.save_as_new import may_leave
from microscope_qc.core.errors import InputError, MicroscopeQCError
from microscope_qc.core.jobs import Job, Progress
from microscope_qc.core.wording import count_text, plural, things

if TYPE_CHECKING:
    from microscope_qc.app.context import Context
    from microscope_qc.project import Project
    from microscope_qc.project.parts.adding import PendingSlides
    from microscope_qc.project.records import SlideRecord
    from microscope_qc.project.scenes import SceneFacts
    from microscope_qc.workflows.intake.adding import IntakePlan

WRITTEN_AT_ONCE = 1000
"""Fewer slides than this are written at once; more are written by a worker."""

AGAIN_MS = 200
DECLINED = "folder_declined"
"""Under this name a project remembers that the other pictures of the folder are not wanted."""

# -- adding ------------------------------------------------------------------------------------------------------------


def _add_slide(context: Context) -> None:
    """Ask for slides to add."""
    window = context.navigator.window
    chosen, _ = QFileDialog.getOpenFileNames(window, "Add slides", start_folder(context), slide_filter())
    add_slides(context, [containing_slide(Path(path)) for path in chosen])


def _add_folder(context: Context) -> None:
    """Ask for a folder, and add all slides in and below it."""
    window = context.navigator.window
    chosen = QFileDialog.getExistingDirectory(window, "Add a folder of slides", start_folder(context))
    if chosen:
        add_slides(context, [Path(chosen)])


def add_slides(context: Context, paths: Sequence[Path], *, masks: bool = False, subfolders: bool = True) -> None:
    """Add files and folders to the open project in one step of undo; the view stays where it is.

    Stopped before the end, nothing is added.
    """
    from microscope_qc.workflows.intake.adding import plan_intake

    session = context.session
    project = session.project
    if not paths or project is None:
        return
    if project.read_only:
        raise InputError("This project is open for reading only.", hint="Close it where it is open for writing.")
    what = paths[0].name if len(paths) == 1 else f"{things(len(paths), 'slide')}"
    context.jobs.run(
        plan_intake(list(paths), list(project.slides), masks=masks, subfolders=subfolders),
        f"Add {what}",
        on_done=lambda plan: _take(context, project, plan),
        on_failed=context.errors.take,
        on_cancelled=lambda: session.notice.emit("Stopped: nothing was added."),
    )


def _take(context: Context, project: Project, plan: IntakePlan) -> None:
    """Write what was read; later if something else is being written just now."""
    if context.session.project is not project:
        return  # another one was opened meanwhile
    if project.is_writing:
        QTimer.singleShot(AGAIN_MS, partial(_take, context, project, plan))
        return
    project.slides.note_contents(plan.contents)  # first: they tell slides apart
    _write(context, project, plan.files, done=lambda added: tell(context, added, plan))


def _write(
    context: Context,
    project: Project,
    files: Sequence[Sequence[SceneFacts]],
    *,
    done: Callable[[list[SlideRecord]], None],
    again: bool = False,
) -> None:
    pending = project.slides.prepare_adding(files, again=again)
    if len(files) < WRITTEN_AT_ONCE or context.jobs.running:
        pending.write()  # a running detection takes findings in and must not wait
        done(pending.finish())
        return

    def finish(_: None) -> None:
        if context.session.project is project:
            done(pending.finish())

    context.jobs.run(_write_job(pending), pending.command.title, on_done=finish, on_cancelled=pending.command.give_up)
    context.navigator.refresh_actions()


def _write_job(pending: PendingSlides) -> Job[None]:
    yield Progress(0, 0, "", "Writing")
    pending.write()


# -- saying what became of it ------------------------------------------------------------------------------------------


def tell(context: Context, added: Sequence[SlideRecord], plan: IntakePlan) -> None:
    """Say what was added and what was not, and offer to add what was left out on a guess."""
    from microscope_qc.workflows.intake.finding import Reason
    from microscope_qc.workflows.intake.summary import intake_words, problem_lines, same_words, scale_lines

    session, offer = context.session, context.navigator.offer
    project = session.project
    if len(added) == 1 and not plan.left_out and not plan.same:
        session.show_slide(added[0].id)  # just this one was wanted
    session.notice.emit(" ".join([intake_words(len(added), plan), *scale_lines(plan)]))
    problems = list(problem_lines(plan))
    if problems:
        left = sum(one.reason in (Reason.UNREADABLE, Reason.CHANGED) for one in plan.left_out)
        context.errors.take(MicroscopeQCError(f"{things(left, 'file')} could not be added.", hint=" ".join(problems)))
    if plan.same and project is not None:
        scenes = [same.scenes for same in plan.same]
        it, was = ("it", "It was") if len(scenes) == 1 else ("them", "They were")
        offer(
            f"{same_words(plan)} {was} left out.",
            f"Add {it} too",
            lambda: _add_again(context, project, scenes),
        )
    masks = [one.path for one in plan.left_out if one.reason == Reason.MASK]
    if masks:
        look = "looks like a mask of another and was" if len(masks) == 1 else "look like masks of others and were"
        offer(
            f"{count_text(len(masks))} {plural(len(masks), 'picture')} {look} left out.",
            "Add as slides too",
            lambda: add_slides(context, masks, masks=True),
        )


def _add_again(context: Context, project: Project, scenes: Sequence[Sequence[SceneFacts]]) -> None:
    if context.session.project is not project:
        return
    if project.is_writing:
        QTimer.singleShot(AGAIN_MS, partial(_add_again, context, project, scenes))
        return

    def say(added: list[SlideRecord]) -> None:
        context.session.notice.emit(f"{things(len(added), 'slide')} added.")

    _write(context, project, scenes, done=say, again=True)


# -- the folder of a picture -------------------------------------------------------------------------------------------


def offer_folder(context: Context, folder: Path) -> None:
    """Offer the slides of a folder that are not in the open project, unless that was declined before."""
    from microscope_qc.core.jobs import run_job
    from microscope_qc.workflows.intake.opening import other_slides

    session = context.session
    project = session.project
    if project is None or project.read_only or project.settings.get(DECLINED) == str(folder):
        return
    slides = list(project.slides)

    def on_found(others: list[Path]) -> None:
        if not others or session.project is not project:
            return
        which = "the other" if len(slides) == 1 else ""
        one = f"{which} picture".strip() if len(others) == 1 else f"{which} {things(len(others), 'picture')}".strip()
        context.navigator.offer(
            f"The folder {folder.name} holds {things(len(others), 'more picture')}.",
            f"Add {one} of this folder",
            lambda: _add_rest(context, project, folder),
            later=lambda: _decline(context, project, folder),
        )

    context.jobs.call(lambda: run_job(other_slides(folder, slides)), on_done=on_found, on_failed=lambda error: None)


def _decline(context: Context, project: Project, folder: Path) -> None:
    if context.session.project is project:
        project.settings.remember(DECLINED, str(folder))


def _add_rest(context: Context, project: Project, folder: Path) -> None:
    """Add the other slides of a folder; the project of its only slide becomes that of the folder."""
    session = context.session
    if session.project is not project:
        return
    if len(project.slides) != 1 or project.path.parent != folder or context.jobs.running:
        add_slides(context, [folder], subfolders=False)
        return
    place = project.path
    session.set_project(None)

    def on_opened(moved: Project) -> None:
        take_project(context, moved)
        if moved.path != place:
            context.settings.recent = [path for path in context.settings.recent if path != str(place)]
            context.navigator.save_settings()
        add_slides(context, [folder], subfolders=False)

    context.jobs.run(_moved(place, folder), f"Open {folder.name}", on_done=on_opened, on_failed=context.errors.take)


def _moved(place: Path, folder: Path) -> Job[Project]:
    from microscope_qc.workflows.open import become_folder_project, project_for

    yield Progress(0, 0, "", f"Opening {folder.name}")
    now = become_folder_project(place, folder)
    project = project_for(now, program="window")
    if now != place and not project.read_only:
        project.slides.note_places()
    return project


def take_project(context: Context, project: Project) -> None:
    """Show a project that was opened in the background."""
    session = context.session
    if not may_leave(context):
        project.close()
    elif session.project is not None and session.project.path == project.path:
        # opened twice in one window: the second one could only read
        project.close()
        session.notice.emit(f"{session.project.name} is already open.")
    else:
        session.set_project(project)
        context.settings.add_recent(project.path)
        context.navigator.save_settings()


def start_folder(context: Context) -> str:
    """Where a dialog for files begins."""
    project = context.session.project
    if project is not None:
        return str(project.path.parent)
    recent = context.settings.recent
    return str(Path(recent[0]).parent) if recent else str(Path.home())


ACTIONS = (
    Action("file.add_slide", "Add slide…", "File", _add_slide, (), "image-plus-outline", when=writing, group=1),
    Action(
        "file.add_folder", "Add a folder…", "File", _add_folder, (), "folder-plus-outline",
        tooltip="All slides in a folder and below it; masks and label files are left out", when=writing, group=1,
    ),
)  # fmt: skip
