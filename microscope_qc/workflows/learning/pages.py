"""Pages of HTML about data sets and models."""

from __future__ import annotations

from pathlib import Path

from microscope_qc.core.wording import count_text
from microscope_qc.reports.charts import bars_by_class
from microscope_qc.reports.page import Page, Section, write_page
from microscope_qc.workflows.learning.card import DataCard


def write_card_page(path: Path | str, card: DataCard) -> Path:
    """Write the card of a data set.

    Raises
    ------
    WriteError
        When the file cannot be written.
    """
    boxes = card.counted() == "boxes"
    chart = bars_by_class([code for code, _ in card.classes], card.distribution(), unit=card.counted())
    counts = {name: part.boxes if boxes else part.whole for name, part in card.parts.items()}
    by_class = [
        [f"{code}  {name}" if name != code else code, *(count_text(known.get(code, 0)) for known in counts.values())]
        for code, name in card.classes
    ]
    by_part = [
        [name, *(count_text(value) for value in (
            part.pictures, part.background, sum(part.boxes.values()), part.rejected, part.open,
        ))]
        for name, part in card.parts.items()
    ]  # fmt: skip
    sections = [
        Section("What it is", rows=card.facts(), head=("", "")),
        Section(
            "Parts", rows=by_part,
            head=("Part", "Pictures", "Without a defect", "Boxes", "Rejected, as background", "Nobody has judged"),
        ),
        Section(
            "Classes", head=("Class", *(f"{card.counted().capitalize()}, {name}" for name in counts)), rows=by_class,
            charts=[chart] if chart else [],
        ),
    ]  # fmt: skip
    dropped = card.dropped()
    if dropped:
        sections.append(Section("Left out", rows=dropped, head=("What", "Why")))
    numbers = [(count_text(card.pictures), "pictures"), (count_text(card.boxes), "boxes"),
               (count_text(len(card.classes)), "classes")]  # fmt: skip
    title = ", ".join(Path(source).name for source in card.sources)
    return write_page(path, Page(title, "Card of a data set", sections, warnings=card.sentences, numbers=numbers))
