"""Every action of the window in one table: menus, tool bar, command palette and shortcut page are made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from microscope_qc.app.session.session import Session

Check = Callable[["Session"], str]
"""Returns "" when the action can be used, otherwise why not."""


def always(session: Session) -> str:
    """Usable at any time."""
    return ""


def with_project(session: Session) -> str:
    """Needs a project."""
    return "" if session.project is not None else "Open a slide or a project first."


def with_slide(session: Session) -> str:
    """Needs a slide on screen."""
    return "" if session.slide is not None else "Open a slide first."


def writing(session: Session) -> str:
    """Needs a project that this window may change."""
    if session.project is None:
        return "Open a slide or a project first."
    return session.why_not_write()


def writing_slide(session: Session) -> str:
    """Needs a slide of a project that this window may change."""
    return with_slide(session) or writing(session)


def selected(session: Session) -> str:
    """Needs selected finds in a project that this window may change."""
    return writing(session) or ("" if len(session.selection) else "Select a find first.")


def has_selection(session: Session) -> str:
    """Needs selected finds."""
    return with_project(session) or ("" if len(session.selection) else "Select a find first.")


def copyable(session: Session) -> str:
    """Needs selected finds or a measured line."""
    if session.slide_view.measurement is not None:
        return ""
    return with_project(session) or ("" if len(session.selection) else "Select finds or measure a line first.")


def measured(session: Session) -> str:
    """Needs a measured line."""
    return "" if session.slide_view.measurement is not None else "Measure a line first."


def rgb_slide(session: Session) -> str:
    """Needs an RGB slide on screen."""
    return with_slide(session) or ("" if session.mosaic is not None and session.mosaic.rgb else "Only for RGB slides.")


def filtered(session: Session) -> str:
    """Needs a filter."""
    return with_project(session) or ("" if session.filter_active else "Nothing is filtered.")


def undoable(session: Session) -> str:
    """Needs something to undo."""
    if session.project is None or not session.project.history.can_undo:
        return "Nothing to undo."
    return writing(session)


def redoable(session: Session) -> str:
    """Needs something to do again."""
    if session.project is None or not session.project.history.can_redo:
        return "Nothing to do again."
    return writing(session)


@dataclass(frozen=True, slots=True)
class Action:
    """One thing a person can do.

    ``callback`` names a method of the window, or "dock:method" of a dock, which is then opened. ``menu`` is a path such
    as "View/Layers"; "" keeps the action out of the menus. ``group`` counts up where the menu draws a line.
    """

    id: str
    text: str
    menu: str
    callback: str
    shortcuts: tuple[str, ...] = ()
    icon: str = ""
    tooltip: str = ""
    when: Check = always
    argument: str | None = None
    group: int = 0
    toolbar: bool = False
    checkable: bool = False


def _class_keys() -> tuple[Action, ...]:
    return tuple(
        Action(
            f"class.{key}",
            f"Class with the key {key}",
            "Review/Class",
            "press_class_key",
            (key,),
            when=writing,
            argument=key,
            tooltip="Class of the selection, else class to draw",
        )
        for key in "1234567890"
    )


ACTIONS: tuple[Action, ...] = (
    Action(
        "file.open", "Open slide or project…", "File", "open_dialog", ("Ctrl+O",), "folder-open-outline", toolbar=True
    ),
    Action("file.sample", "Open the sample", "File", "open_sample", (), "flask-outline"),
    Action("file.add_slide", "Add slide…", "File", "add_slide_dialog", (), "image-plus-outline", when=writing, group=1),
    Action(
        "file.export",
        "Export and report…",
        "File",
        "export_dialog",
        ("Ctrl+E",),
        "file-export-outline",
        when=with_project,
        group=2,
    ),
    Action(
        "file.training",
        "Cut training pictures…",
        "File",
        "training_pictures",
        (),
        "scissors-cutting",
        when=with_project,
        group=2,
        tooltip="Pictures around confirmed finds, or tiles, with their boxes in any format",
    ),
    Action("file.import", "Import finds…", "File", "import_dialog", (), "file-import-outline", when=writing, group=2),
    Action(
        "file.import_folder",
        "Import a folder of annotations…",
        "File",
        "import_folder_dialog",
        (),
        "folder-arrow-left-outline",
        when=writing,
        group=2,
        tooltip="Formats with one file for each picture: Pascal VOC, YOLO, LabelMe",
    ),
    Action(
        "file.history",
        "History as a table…",
        "File",
        "export_history",
        (),
        "history",
        when=with_project,
        group=2,
        tooltip="Who changed what and when, before and after, as CSV",
    ),
    Action("file.close", "Close project", "File", "close_project", ("Ctrl+W",), "close", when=with_project, group=3),
    Action("file.quit", "Quit", "File", "close", ("Ctrl+Q",), "exit-to-app", group=3),
    Action("edit.undo", "Undo", "Edit", "undo", ("Ctrl+Z",), "undo", when=undoable, toolbar=True),
    Action("edit.redo", "Redo", "Edit", "redo", ("Ctrl+Shift+Z", "Ctrl+Y"), "redo", when=redoable, toolbar=True),
    Action(
        "edit.copy",
        "Copy finds",
        "Edit",
        "copy_table",
        ("Ctrl+C",),
        "content-copy",
        when=copyable,
        group=1,
        tooltip="As a table for other programs, as boxes for pasting; the measured length while a line is there",
    ),
    Action("edit.cut", "Cut finds", "Edit", "cut_boxes", ("Ctrl+X",), "content-cut", when=selected, group=1),
    Action(
        "edit.paste",
        "Paste finds",
        "Edit",
        "paste_boxes",
        ("Ctrl+V",),
        "content-paste",
        when=writing_slide,
        group=1,
        tooltip="At the mouse, on this slide or another one",
    ),
    Action(
        "edit.duplicate",
        "Duplicate finds",
        "Edit",
        "duplicate_boxes",
        ("Ctrl+J",),
        "content-duplicate",
        when=selected,
        group=1,
    ),
    Action(
        "edit.delete", "Delete finds", "Edit", "delete_selection", ("Delete",), "delete-outline", when=selected, group=1
    ),
    Action(
        "edit.select_all",
        "Select all shown finds",
        "Edit",
        "select_all",
        ("Ctrl+A",),
        "select-all",
        when=with_slide,
        group=2,
    ),
    Action("edit.select_none", "Select nothing", "Edit", "select_none", ("Esc",), "select-off", group=2),
    Action(
        "classes.manage",
        "Classes…",
        "Edit",
        "manage_classes",
        ("Ctrl+K",),
        "shape-outline",
        when=with_project,
        group=3,
        tooltip="Add, rename, merge, recolour, reorder; class sets",
    ),
    Action("edit.palette", "Command palette…", "Edit", "show_palette", ("Ctrl+P",), "console-line", group=3),
    Action("edit.shortcuts", "Change shortcuts…", "Edit", "show_shortcuts", (), "keyboard-settings-outline", group=3),
    Action("edit.settings", "Settings…", "Edit", "show_settings", ("Ctrl+,",), "cog-outline", group=3),
    Action(
        "tool.select",
        "Select and move",
        "Edit",
        "use_tool",
        ("V",),
        "cursor-default-outline",
        argument="select",
        when=with_slide,
        group=4,
        toolbar=True,
        checkable=True,
        tooltip="Click a find; drag to pan; Ctrl-drag selects an area",
    ),
    Action(
        "tool.draw",
        "Draw boxes",
        "Edit",
        "use_tool",
        ("B",),
        "vector-square-plus",
        argument="draw",
        when=writing_slide,
        group=4,
        toolbar=True,
        checkable=True,
        tooltip="Drag a box around a defect; a click makes one where the class has a size of its own",
    ),
    Action(
        "tool.mark",
        "Place a mark",
        "Edit",
        "use_tool",
        ("M",),
        "map-marker-plus-outline",
        argument="mark",
        when=writing_slide,
        group=4,
        toolbar=True,
        checkable=True,
        tooltip="Click a point that you will find again in the SEM",
    ),
    Action(
        "tool.length",
        "Measure a length",
        "Edit",
        "use_tool",
        ("L",),
        "arrow-expand-horizontal",
        argument="length",
        when=with_slide,
        group=4,
        toolbar=True,
        checkable=True,
        tooltip="Drag from end to end; Shift turns in steps of 15°; Ctrl C copies it, Esc takes it away",
    ),
    Action("edit.copy_length", "Copy measured length", "", "copy_length", (), "content-copy", when=measured),
    Action(
        "view.fit_selection",
        "Fit selection",
        "View",
        "fit_selection",
        ("F",),
        "fit-to-page-outline",
        when=has_selection,
    ),
    Action(
        "view.fit_slide",
        "Fit slide",
        "View",
        "fit_slide",
        ("Shift+F",),
        "fit-to-screen-outline",
        when=with_slide,
        toolbar=True,
    ),
    Action(
        "view.full_size",
        "One slide pixel per screen pixel",
        "View",
        "zoom_full",
        (),
        "numeric-1-box-outline",
        when=with_slide,
    ),
    Action("view.go_to", "Go to position…", "View", "go_to_dialog", ("G",), "crosshairs-gps", when=with_slide),
    Action(
        "bookmark.add",
        "Add bookmark…",
        "View/Bookmarks",
        "add_bookmark",
        ("Ctrl+B",),
        "bookmark-plus-outline",
        when=with_slide,
        tooltip="Keeps the view on screen under a name",
    ),
    Action(
        "bookmark.list",
        "Bookmarks",
        "View/Bookmarks",
        "show_dock",
        (),
        "bookmark-multiple-outline",
        argument="bookmarks",
        when=with_slide,
    ),
    Action(
        "view.display",
        "Brightness and contrast",
        "View",
        "show_dock",
        ("C",),
        "contrast-circle",
        argument="display",
        when=with_slide,
        group=5,
        tooltip="Black, white, gamma, channels, white balance; for looking only",
    ),
    Action(
        "view.auto_contrast",
        "Automatic contrast",
        "View",
        "auto_contrast",
        ("Shift+C",),
        "auto-fix",
        when=with_slide,
        group=5,
    ),
    Action(
        "view.reset_display", "Show as the file says", "View", "reset_display", (), "restore", when=with_slide, group=5
    ),
    Action(
        "view.grey_place",
        "Pick a grey place for the white balance",
        "",
        "pick_grey_place",
        (),
        "eyedropper-variant",
        when=rgb_slide,
    ),
    Action(
        "view.veil",
        "Veil what has not been looked at",
        "View",
        "toggle_veil",
        ("Shift+V",),
        "eye-check-outline",
        when=with_slide,
        group=6,
        checkable=True,
        tooltip="On the overview map; what was on screen for a moment, near enough to judge, counts as looked at",
    ),
    Action(
        "view.legend",
        "Legend",
        "View",
        "toggle_legend",
        ("Shift+L",),
        "map-legend",
        when=with_slide,
        group=6,
        checkable=True,
        tooltip="What colours and lines mean, on the canvas",
    ),
    Action(
        "view.forget_seen",
        "Forget what was looked at",
        "View",
        "forget_seen",
        (),
        "eye-off-outline",
        when=with_slide,
        group=6,
    ),
    Action(
        "view.filter", "Filter finds", "View", "focus_filter", ("Ctrl+F",), "filter-outline", when=with_project, group=1
    ),
    Action(
        "view.show_all",
        "Show all finds",
        "View",
        "clear_filter",
        ("Ctrl+Shift+F",),
        "filter-off-outline",
        when=filtered,
        group=1,
        tooltip="Takes the filter away",
    ),
    Action(
        "view.switch",
        "Canvas or gallery",
        "View",
        "switch_focus",
        ("Tab",),
        "swap-horizontal",
        when=with_slide,
        group=1,
    ),
    Action(
        "view.annotate",
        "Annotate workspace",
        "View",
        "use_workspace",
        ("Ctrl+1",),
        "draw",
        argument="annotate",
        group=2,
    ),
    Action(
        "view.review", "Review workspace", "View", "use_workspace", ("Ctrl+2",), "check-all", argument="review", group=2
    ),
    Action("view.sem", "SEM workspace", "View", "use_workspace", ("Ctrl+3",), "microscope", argument="sem", group=2),
    Action("view.zoom_in", "Zoom in", "View", "zoom_in", ("+", "="), "magnify-plus-outline", when=with_slide),
    Action("view.zoom_out", "Zoom out", "View", "zoom_out", ("-",), "magnify-minus-outline", when=with_slide),
    Action("theme.system", "Theme of the system", "View/Theme", "use_theme", argument="system"),
    Action("theme.light", "Light", "View/Theme", "use_theme", (), "white-balance-sunny", argument="light"),
    Action("theme.dark", "Dark", "View/Theme", "use_theme", (), "weather-night", argument="dark"),
    Action("view.reset", "Reset this workspace", "View", "reset_workspace", (), "restore", group=2),
    Action("slide.pixel_size", "Set pixel size…", "Slide", "pixel_size_dialog", (), "ruler", when=writing_slide),
    Action("slide.info", "About this slide", "Slide", "slide_info", (), "information-outline", when=with_slide),
    Action(
        "slide.convert",
        "Convert to a fast copy…",
        "Slide",
        "convert_slide",
        (),
        "layers-triple-outline",
        when=with_slide,
        tooltip="An OME-Zarr pyramid beside the slide, made in the background without losing a value",
    ),
    Action("slide.next", "Next slide", "Slide", "next_slide", ("Ctrl+PgDown",), "arrow-down", when=with_slide, group=1),
    Action(
        "slide.previous",
        "Previous slide",
        "Slide",
        "previous_slide",
        ("Ctrl+PgUp",),
        "arrow-up",
        when=with_slide,
        group=1,
    ),
    Action(
        "slide.remove",
        "Remove slide from the project…",
        "Slide",
        "remove_slide",
        (),
        "image-remove-outline",
        when=writing_slide,
        group=2,
    ),
    Action("detect.open", "Detect…", "Detect", "show_dock", ("Ctrl+D",), "radar", argument="detect", when=with_slide),
    Action(
        "review.confirm", "Confirm and next", "Review", "confirm_next", ("Return", "Enter", "Y"), "check", when=selected
    ),
    Action(
        "review.reject",
        "Reject with reason and next…",
        "Review",
        "reject_next",
        ("N",),
        "close",
        when=selected,
        tooltip="Then a letter: F false positive, P preparation artefact, D duplicate, …",
    ),
    Action("review.unreview", "Back to unreviewed", "Review", "unreview", ("U",), "backup-restore", when=selected),
    Action("review.choose", "Choose for the SEM", "Review", "toggle_chosen", ("S",), "star-outline", when=selected),
    Action(
        "review.similar",
        "Same for all like this…",
        "Review",
        "same_for_similar",
        ("E",),
        "content-duplicate",
        when=selected,
        tooltip="Shows which finds it would touch first",
    ),
    Action("review.next", "Next find", "Review", "next_find", ("Right",), "chevron-right", when=with_project, group=1),
    Action(
        "review.previous",
        "Previous find",
        "Review",
        "previous_find",
        ("Left",),
        "chevron-left",
        when=with_project,
        group=1,
    ),
    Action(
        "review.note", "Write a note", "Review", "focus_note", ("Ctrl+N",), "note-edit-outline", when=selected, group=1
    ),
    *_class_keys(),
    Action(
        "sem.open",
        "Marks and alignment",
        "SEM",
        "show_dock",
        (),
        "map-marker-radius-outline",
        argument="sem",
        when=with_slide,
    ),
    Action("models.list", "Models on this computer", "Models", "show_models", (), "brain"),
    Action("help.shortcuts", "Keys", "Help", "show_shortcuts", ("?",), "keyboard-outline"),
    Action("help.about", "About microscope-qc", "Help", "show_about", (), "information-outline"),
)

MENUS = ("File", "Edit", "View", "Slide", "Detect", "Review", "SEM", "Models", "Help")

FIXED_KEYS: tuple[tuple[str, str], ...] = (
    ("Space (hold)", "Pan"),
    ("Wheel", "Zoom at the cursor"),
    ("Ctrl + drag", "Select an area"),
    ("Shift + click", "Add to the selection"),
    ("Drag (several selected)", "Move them together"),
    ("Click (drawing)", "A box of the size that its class has"),
    ("Shift + drag (measuring)", "Turn in steps of 15°"),
    ("Ctrl + arrows", "Move the selection by 1 px (with Shift by 10 px)"),
)
"""Gestures that are not actions, for the shortcut page."""


def action_by_id(action_id: str) -> Action:
    """The action with this id.

    Raises
    ------
    KeyError
        When there is none.
    """
    for action in ACTIONS:
        if action.id == action_id:
            return action
    raise KeyError(action_id)
