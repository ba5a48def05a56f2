"""Problems of the content of a database: a sentence for each, and its repair."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from sqlalchemy import Connection, text

from microscope_qc.core.boxes import OF_USER
from microscope_qc.core.composition import amounts_from_json
from microscope_qc.core.errors import ProjectError
from microscope_qc.core.outline import Outline
from microscope_qc.core.xray_spectrum import from_text
from microscope_qc.project.deltas import unpack
from microscope_qc.project.loading import area_content, standard_content
from microscope_qc.project.schema import DETAILS


def _count(connection: Connection, sql: str) -> int:
    return int(connection.execute(text(sql)).scalar() or 0)


def _say(sql: str, sentence: str) -> Callable[[Connection], str | None]:
    def problem(connection: Connection) -> str | None:
        count = _count(connection, sql)
        return sentence.format(count) if count else None

    return problem


def settle_history(connection: Connection) -> None:
    # the rows are no longer those that undo expects
    connection.execute(text("UPDATE log SET kind = 'kept' WHERE kind = 'command' AND undone = 0"))
    connection.execute(text("UPDATE log SET kind = 'dropped' WHERE kind = 'command' AND undone = 1"))


def _make_lost_slides(connection: Connection) -> str:
    rows = connection.execute(
        text(
            "SELECT slide_id, max(y1), max(x1) FROM boxes"
            " WHERE slide_id NOT IN (SELECT id FROM slides) GROUP BY slide_id"
        )
    ).all()
    for slide_id, height, width in rows:
        name = f"lost slide {slide_id}"
        connection.execute(
            text(
                "INSERT INTO slides (id, name, path, relative_path, fingerprint, height_px, width_px)"
                " VALUES (:id, :name, :name, '', '', :h, :w)"
            ),
            {"id": slide_id, "name": name, "h": max(1, int(height)), "w": max(1, int(width))},
        )
    settle_history(connection)
    return "They are on “lost slide” now; say where its file is."


def _make_lost_classes(connection: Connection) -> str:
    lost = connection.execute(
        text(
            "SELECT class_id FROM boxes WHERE class_id NOT IN (SELECT id FROM classes)"
            " UNION SELECT class_id FROM opinions WHERE class_id NOT IN (SELECT id FROM classes)"
        )
    ).scalars()
    for class_id in list(lost):
        connection.execute(
            text(
                "INSERT INTO classes (id, code, name, colour, key, description, weight, position)"
                " VALUES (:id, :code, :code, '#CC79A7', '', 'Made again by the check', 1.0, :id)"
            ),
            {"id": class_id, "code": f"lost {class_id}"},
        )
    if _count(connection, f"SELECT count(*) FROM boxes WHERE {_CLASSLESS}"):  # noqa: S608 - a constant
        number = _count(connection, "SELECT max(seq) FROM sqlite_sequence WHERE name = 'classes'") + 1
        connection.execute(
            text(
                "INSERT INTO classes (id, code, name, colour, key, description, weight, position)"
                " VALUES (:id, :code, :code, '#CC79A7', '', 'Made again by the check', 1.0, :id)"
            ),
            {"id": number, "code": f"lost {number}"},
        )
        connection.execute(text(f"UPDATE boxes SET class_id = :id WHERE {_CLASSLESS}"), {"id": number})  # noqa: S608
    settle_history(connection)
    return "They have a class “lost” now; rename it."


def _order_corners(connection: Connection) -> str:
    for table in ("boxes", "opinions"):
        connection.execute(
            text(f"UPDATE {table} SET y0 = min(y0, y1), y1 = max(y0, y1), x0 = min(x0, x1), x1 = max(x0, x1)"  # noqa: S608
                 " WHERE y0 > y1 OR x0 > x1")
        )  # fmt: skip
    settle_history(connection)
    return "Their corners were put in order."


def _drop_sizeless(connection: Connection) -> str:
    connection.execute(text(f"DELETE FROM opinions WHERE finding_id IN (SELECT id FROM boxes WHERE {_SIZELESS})"))  # noqa: S608
    connection.execute(text(f"DELETE FROM opinions WHERE {_SIZELESS}"))  # noqa: S608
    connection.execute(text(f"DELETE FROM boxes WHERE {_SIZELESS}"))  # noqa: S608 - a constant
    settle_history(connection)
    return "They were removed."


def _claim_findings(connection: Connection) -> str:
    """Findings of runs that do not exist become a user's, with what the runs said; nothing that was found is lost."""
    lost = f"SELECT finding_id FROM opinions WHERE {_WITHOUT_RUN}"  # noqa: S608 - a constant
    connection.execute(
        text(f"UPDATE boxes SET flags = flags | {int(OF_USER)} WHERE flags & 8 = 0 AND id IN ({lost})")  # noqa: S608
    )
    connection.execute(text(f"DELETE FROM opinions WHERE {_WITHOUT_RUN}"))  # noqa: S608 - a constant
    settle_history(connection)
    return "Their findings count as drawn by a user now."


def _drop_opinions(connection: Connection) -> str:
    lost = f"SELECT finding_id FROM opinions WHERE {_LOST_OPINION}"  # noqa: S608 - a constant
    connection.execute(
        text(f"UPDATE boxes SET flags = flags | {int(OF_USER)} WHERE flags & 8 = 0 AND id IN ({lost})")  # noqa: S608
    )
    connection.execute(text(f"DELETE FROM opinions WHERE {_LOST_OPINION}"))  # noqa: S608 - a constant
    settle_history(connection)
    return "They were removed; findings that there are count as drawn by a user now."


def _put_opinions_on_slide(connection: Connection) -> str:
    slide = "SELECT slide_id FROM boxes WHERE boxes.id = opinions.finding_id"
    connection.execute(text(f"UPDATE opinions SET slide_id = ({slide}) WHERE {_OTHER_SLIDE}"))  # noqa: S608
    settle_history(connection)
    return "They were put on the slides of their findings."


def _drop_lost(table: str) -> Callable[[Connection], str]:
    def fix(connection: Connection) -> str:
        connection.execute(text(f"DELETE FROM {table} WHERE id NOT IN (SELECT id FROM boxes)"))  # noqa: S608
        settle_history(connection)
        return "They were removed."

    return fix


def _put_on_slide(table: str) -> Callable[[Connection], str]:
    def fix(connection: Connection) -> str:
        connection.execute(
            text(f"UPDATE {table} SET slide_id = (SELECT slide_id FROM boxes WHERE boxes.id = {table}.id)")  # noqa: S608
        )
        settle_history(connection)
        return "They were put on the slides of their boxes."

    return fix


def _unreadable(connection: Connection) -> dict[str, list[int]]:
    """Ids of the boxes whose attributes or outline cannot be read, by table."""
    readers: tuple[tuple[str, Callable[[str], object]], ...] = (
        ("attributes", _read_attributes), ("outlines", Outline.from_json),
    )  # fmt: skip
    found = {table: _unreadable_rows(connection, f"SELECT id, data FROM {table}", read) for table, read in readers}  # noqa: S608
    return {table: numbers for table, numbers in found.items() if numbers}


def _unreadable_rows(connection: Connection, query: str, read: Callable[..., object]) -> list[int]:
    """Ids, the first column of a query, of the rows whose other columns ``read`` refuses with a ValueError."""
    found = []
    for number, *stored in connection.execute(text(query)):
        try:
            read(*stored)
        except (ValueError, RecursionError):
            found.append(int(number))
    return found


def _read_attributes(data: str) -> None:
    if not isinstance(json.loads(data), dict):
        raise ValueError("no object")


def _look_details(connection: Connection) -> str | None:
    parts = [f"{table} of {len(numbers)} boxes" for table, numbers in _unreadable(connection).items()]
    return f"The {' and the '.join(parts)} cannot be read." if parts else None


def _drop_unreadable(connection: Connection) -> str:
    for table, numbers in _unreadable(connection).items():
        _delete(connection, table, numbers)
    settle_history(connection)
    return "They were removed; the boxes are as they were."


def _delete(connection: Connection, table: str, numbers: Iterable[int]) -> None:
    for number in numbers:
        connection.execute(text(f"DELETE FROM {table} WHERE id = :n"), {"n": number})  # noqa: S608 - one of ours


def _unreadable_areas(connection: Connection) -> list[int]:
    """Declared areas that cannot be read, or whose classes do not exist; drawn ones may have none."""
    classes = set(connection.execute(text("SELECT id FROM classes")).scalars())

    def read(outline: str, ids: str, drawn: str) -> None:
        named = area_content(outline, ids)[1]
        if not named & classes and (named or not drawn):
            raise ValueError("no class that exists")

    return _unreadable_rows(connection, "SELECT id, outline, classes, drawn FROM areas", read)


def _look_areas(connection: Connection) -> str | None:
    count = len(_unreadable_areas(connection))
    return f"{count} declared areas cannot be read, or their classes are gone." if count else None


def _drop_areas(connection: Connection) -> str:
    _delete(connection, "areas", _unreadable_areas(connection))
    settle_history(connection)
    return "They were removed and count in no density; declare them again."


def _unreadable_standards(connection: Connection) -> list[int]:
    return _unreadable_rows(connection, "SELECT id, data FROM standards", standard_content)


def _look_standards(connection: Connection) -> str | None:
    count = len(_unreadable_standards(connection))
    return f"{count} profiles of severity, limits of charts, events or rules cannot be read." if count else None


def _drop_standards(connection: Connection) -> str:
    _delete(connection, "standards", _unreadable_standards(connection))
    settle_history(connection)
    return "They were removed; keep them again."


def _unreadable_amounts(connection: Connection) -> list[int]:
    return _unreadable_rows(connection, "SELECT id, amounts FROM measurements", amounts_from_json)


def _look_amounts(connection: Connection) -> str | None:
    count = len(_unreadable_amounts(connection))
    return f"The compositions of {count} measurements cannot be read." if count else None


def _empty_amounts(connection: Connection) -> str:
    for number in _unreadable_amounts(connection):
        connection.execute(text("UPDATE measurements SET amounts = '[]' WHERE id = :n"), {"n": number})
    settle_history(connection)
    return "They are empty now; import their tables again."


def _unreadable_spectra(connection: Connection) -> list[int]:
    found = set(_unreadable_rows(connection, "SELECT id, data FROM spectra", from_text))
    lost = connection.execute(text("SELECT id FROM spectra WHERE measurement_id NOT IN (SELECT id FROM measurements)"))
    return sorted(found.union(lost.scalars()))


def _look_spectra(connection: Connection) -> str | None:
    count = len(_unreadable_spectra(connection))
    return f"{count} spectra cannot be read, or belong to no measurement." if count else None


def _drop_spectra(connection: Connection) -> str:
    _delete(connection, "spectra", _unreadable_spectra(connection))
    settle_history(connection)
    return "They were removed; import them again."


def _drop_lost_links(connection: Connection) -> str:
    connection.execute(text(f"DELETE FROM measurement_links WHERE {_LOST_LINK}"))  # noqa: S608 - a constant
    settle_history(connection)
    return "They were removed; measurements that are left belong to no finding now."


def _drop_lost_areas(connection: Connection) -> str:
    connection.execute(text("DELETE FROM areas WHERE slide_id NOT IN (SELECT id FROM slides)"))
    settle_history(connection)
    return "They were removed."


def _drop_run_classes(connection: Connection) -> str:
    connection.execute(text(f"DELETE FROM run_classes WHERE {_LOST_LABEL}"))  # noqa: S608 - a constant
    settle_history(connection)
    return "They were removed; what these runs scanned does not count for those classes."


def _reset_limit(connection: Connection) -> str:
    connection.execute(text("DELETE FROM inclusion"))
    connection.execute(text("INSERT INTO inclusion (id, confidence_limit) VALUES (1, 0.0)"))
    return "It is 0 now: every finding counts. Set it again."


def _damaged_step(connection: Connection) -> int:
    rows = connection.execute(text("SELECT id, changes FROM log WHERE kind = 'command' ORDER BY id DESC"))
    for number, payload in rows:
        try:
            if payload is not None:
                unpack(payload)
        except ProjectError:
            return int(number)
    return 0


def _look_history(connection: Connection) -> str | None:
    return "A step of the history cannot be read." if _damaged_step(connection) else None


def _cut_history(connection: Connection) -> str:
    number = _damaged_step(connection)
    connection.execute(
        text("UPDATE log SET kind = CASE undone WHEN 1 THEN 'dropped' ELSE 'kept' END"
             " WHERE kind = 'command' AND (id <= :n OR undone = 1)"), {"n": number},
    )  # fmt: skip
    return "This step and those before it can no longer be undone."


_SIZELESS = "y0 >= y1 OR x0 >= x1 OR " + " OR ".join(
    f"abs({side}) > 1e15 OR typeof({side}) = 'text'" for side in ("y0", "x0", "y1", "x1")
)
_LOST_OPINION = (
    "NOT EXISTS (SELECT 1 FROM boxes WHERE boxes.id = opinions.finding_id AND boxes.slide_id = opinions.slide_id)"
)
_OTHER_SLIDE = (
    "EXISTS (SELECT 1 FROM boxes JOIN runs ON runs.slide_id = boxes.slide_id WHERE boxes.id = opinions.finding_id"
    " AND runs.id = opinions.run_id AND boxes.slide_id <> opinions.slide_id)"
)
_WITHOUT_RUN = "NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = opinions.run_id AND runs.slide_id = opinions.slide_id)"
_CLASSLESS = (
    "class_id IS NULL AND flags & 8 = 0 AND (flags <> 0 OR state <> 0) AND id NOT IN (SELECT finding_id FROM opinions)"
)
_LOST_LABEL = "run_id NOT IN (SELECT id FROM runs) OR class_id NOT IN (SELECT id FROM classes)"
_LOST_LINK = (
    "measurement_id NOT IN (SELECT id FROM measurements) OR NOT EXISTS (SELECT 1 FROM boxes"
    " WHERE boxes.id = measurement_links.finding_id AND boxes.slide_id = measurement_links.slide_id)"
)
CONTENT: list[tuple[Callable[[Connection], str | None], Callable[[Connection], str]]] = [
    (
        _say("SELECT count(*) FROM boxes WHERE slide_id NOT IN (SELECT id FROM slides)", "{} boxes are on no slide."),
        _make_lost_slides,
    ),
    (
        _say(
            f"SELECT (SELECT count(*) FROM boxes WHERE {_CLASSLESS})"  # noqa: S608 - a constant
            " + (SELECT count(*) FROM boxes WHERE class_id NOT IN (SELECT id FROM classes))"
            " + (SELECT count(*) FROM opinions WHERE class_id NOT IN (SELECT id FROM classes))",
            "{} boxes have no class.",
        ),
        _make_lost_classes,
    ),
    (
        _say(
            "SELECT (SELECT count(*) FROM boxes WHERE y0 > y1 OR x0 > x1) +"
            " (SELECT count(*) FROM opinions WHERE y0 > y1 OR x0 > x1)",
            "{} boxes are inside out.",
        ),
        _order_corners,
    ),
    (
        _say(
            f"SELECT (SELECT count(*) FROM boxes WHERE {_SIZELESS})"  # noqa: S608
            f" + (SELECT count(*) FROM opinions WHERE {_SIZELESS})",
            "{} boxes have no size.",
        ),
        _drop_sizeless,
    ),
    (
        _say(
            f"SELECT count(*) FROM opinions WHERE {_OTHER_SLIDE}",  # noqa: S608
            "{} opinions of runs are on another slide than their findings.",
        ),
        _put_opinions_on_slide,
    ),
    (
        _say(
            f"SELECT count(*) FROM opinions WHERE {_WITHOUT_RUN}",  # noqa: S608
            "{} boxes name a run that does not exist or is on another slide.",
        ),
        _claim_findings,
    ),
    (
        _say(
            f"SELECT count(*) FROM opinions WHERE {_LOST_OPINION}",  # noqa: S608
            "{} opinions of runs are about a finding that does not exist or is on another slide.",
        ),
        _drop_opinions,
    ),
    *(
        (_say(sql.format(table=table), sentence.format(table=table, count="{}")), fix(table))
        for table in DETAILS
        for sql, sentence, fix in (
            (
                "SELECT count(*) FROM {table} WHERE id NOT IN (SELECT id FROM boxes)",
                "The {table} of {count} boxes that do not exist are left.",
                _drop_lost,
            ),
            (
                "SELECT count(*) FROM {table} JOIN boxes USING (id) WHERE {table}.slide_id <> boxes.slide_id",
                "The {table} of {count} boxes are on another slide than their boxes.",
                _put_on_slide,
            ),
        )
    ),
    (_look_details, _drop_unreadable),
    (
        _say(
            "SELECT count(*) = 0 OR min(id) <> 1 OR max(id) <> 1 OR min(confidence_limit) NOT BETWEEN 0 AND 1"
            " FROM inclusion",
            "The confidence limit is missing or is not valid.",
        ),
        _reset_limit,
    ),
    (
        _say(
            "SELECT count(*) FROM areas WHERE slide_id NOT IN (SELECT id FROM slides)",
            "{} declared areas are on no slide.",
        ),
        _drop_lost_areas,
    ),
    (_look_areas, _drop_areas),
    (
        _say(
            f"SELECT count(*) FROM run_classes WHERE {_LOST_LABEL}",  # noqa: S608
            "{} labels of runs name a run or a class that does not exist.",
        ),
        _drop_run_classes,
    ),
    (_look_standards, _drop_standards),
    (_look_amounts, _empty_amounts),
    (_look_spectra, _drop_spectra),
    (
        _say(
            f"SELECT count(*) FROM measurement_links WHERE {_LOST_LINK}",  # noqa: S608
            "{} links of measurements name a measurement or a finding that does not exist.",
        ),
        _drop_lost_links,
    ),
    (_look_history, _cut_history),
]
