"""What an annotation format is, and what it is given of a file to recognise it.

The command line lists the formats in its help, without numpy: nothing that needs it is imported at the top.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from microscope_qc.core.errors import ExchangeError
from microscope_qc.core.plugins import Match

if TYPE_CHECKING:
    from microscope_qc.exchange.document import Document


class Candidate:
    """A file whose format is wanted; it is read and parsed once for all formats.

    Raises
    ------
    ExchangeError
        Where the file is damaged: it then has no format, and the message says what is wrong with it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def text(self) -> str:
        """Decoded as UTF-8 or UTF-16."""
        from microscope_qc.exchange.loading import read_text

        return read_text(self.path)

    @cached_property
    def head(self) -> bytes:
        """Its first bytes."""
        from microscope_qc.exchange.loading import read_head

        return read_head(self.path)

    @cached_property
    def json(self) -> Any:
        """The parsed JSON of the file."""
        from microscope_qc.exchange.loading import read_json

        return read_json(self.path)

    @cached_property
    def xml_root(self) -> str:
        """Name of the root element."""
        from microscope_qc.exchange.loading import read_xml

        return str(read_xml(self.path).tag)


class Reader(Protocol):
    """Reads a file or a folder; an ``ExchangeError`` of one sentence names the file and what is wrong with it."""

    def __call__(self, path: Path, *, sizes: Mapping[str, tuple[int, int]]) -> Document:
        """See :meth:`AnnotationFormat.read`."""
        ...


@dataclass(frozen=True, slots=True)
class AnnotationFormat:
    """One annotation format.

    An instance is registered in the group ``microscope_qc.annotation_formats`` under its name.

    Attributes
    ----------
    name, title
        What the command line calls it, and what users read.
    suffix
        Of the files it writes, with the dot.
    reader, writer
        The functions behind :meth:`read` and :meth:`write`.
    recognises
        Says how well a file fits. Only files with one of the suffixes are asked about.
    is_folder
        Whether it writes a folder with one file per picture.
    also
        Further suffixes of files that it reads.
    loses
        What it cannot hold, in words for users.
    """

    name: str
    title: str
    suffix: str
    reader: Reader
    writer: Callable[[Path, Document], list[Path]]
    recognises: Callable[[Candidate], Match]
    is_folder: bool = False
    also: tuple[str, ...] = ()
    loses: str = ""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Suffixes of the files it reads."""
        return (self.suffix, *self.also)

    def write(self, path: Path | str, document: Document) -> list[Path]:
        """Write the document; returns the files written.

        Raises
        ------
        ExchangeError
            When the format cannot hold it.
        """
        return self.writer(Path(path), document)

    def read(self, path: Path | str, *, sizes: Mapping[str, tuple[int, int]] | None = None) -> Document:
        """Read a file or folder.

        Parameters
        ----------
        sizes
            (h, w) of known pictures by file name without suffix, for formats with relative coordinates.

        Raises
        ------
        ExchangeError
            One sentence that names the file and what is wrong.
        """
        path = Path(path)
        if not path.exists():
            raise ExchangeError(f"{path} does not exist.", hint="Check the path.")
        return self.reader(path, sizes=sizes or {})
