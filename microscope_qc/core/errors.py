"""Errors the user can act on: one clear sentence, and what to do next."""

from __future__ import annotations


class MicroscopeQCError(Exception):
    """A problem that the user can understand and fix.

    Parameters
    ----------
    message
        One sentence that says what happened.
    hint
        One sentence that says what to do.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class InputError(MicroscopeQCError, ValueError):
    """Invalid input from the user (a wrong argument, an impossible number)."""


class ChangedSlideError(InputError):
    """The file of a slide holds something else than the findings of the slide were made on.

    ``slide_ids`` are those slides.
    """

    def __init__(self, message: str, *, hint: str = "", slide_ids: tuple[int, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.slide_ids = slide_ids


class SlideError(MicroscopeQCError, OSError):
    """A slide cannot be opened, decoded or written."""


class ProjectError(MicroscopeQCError, OSError):
    """A project cannot be opened, read or written."""


class ReadOnlyProjectError(ProjectError):
    """The project is open for reading only, because another program owns it."""


class DisplacedProjectError(ProjectError):
    """The files of an open project are no longer where they were opened, so that nothing may be written."""


class OlderProjectError(ProjectError):
    """The project was made by an older version and must be opened for writing first."""


class ExchangeError(MicroscopeQCError, ValueError):
    """An annotation file cannot be read or written."""


class ModelError(MicroscopeQCError, ValueError):
    """A model or a data set cannot be used."""


class OutOfMemory(MicroscopeQCError, MemoryError):
    """Not even the smallest part of the work fits into the computer's memory."""


class RegistrationError(MicroscopeQCError, ValueError):
    """The marks do not determine the position of the slide on the stage."""


class PluginError(MicroscopeQCError, RuntimeError):
    """What another package brought has failed."""


class Cancelled(Exception):
    """The user stopped the work."""
