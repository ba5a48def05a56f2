"""The report as one document: what it says is what the project and the other commands say, in every kind of file."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from pathlib import Path

import pytest
from grouping_toys import detect, make
from PIL import Image

from microscope_qc import api
from microscope_qc.cli import main
from microscope_qc.core.boxes import ReviewState
from microscope_qc.core.errors import InputError
from microscope_qc.core.files import WriteError
from microscope_qc.core.jobs import run_job
from microscope_qc.project import Project
from microscope_qc.project.parts.standards import CHART
from microscope_qc.reports.document import CONTENTS, ReportDocument, of_uri
from microscope_qc.workflows.child import CommandChild
from microscope_qc.workflows.exports import export_named
from microscope_qc.workflows.results.batches import read_limits
from microscope_qc.workflows.results.counted_findings import count_findings
from microscope_qc.workflows.results.printing import print_page
from microscope_qc.workflows.results.process_control import freeze_limits, note_event, process_control
from microscope_qc.workflows.results.report import write_report
from microscope_qc.workflows.results.report_content import ReportChoice, collect
from microscope_qc.workflows.results.where import where_found
from microscope_qc.workflows.review.severity import severity_records

PAGES = re.compile(rb"/Type\s*/Page\b")


@pytest.fixture
def cells(tmp_path: Path):
    """Four slides of two batches, some findings judged, some chosen."""
    with make(tmp_path / "cells.mqc", slides=4) as project:
        for number, slide in enumerate(list(project.slides)):
            ids = detect(project, number, 10 + 8 * number)
            project.boxes.edit(ids[:6].tolist(), state=ReviewState.CONFIRMED)
            project.boxes.edit(ids[6:8].tolist(), state=ReviewState.REJECTED, reason="false positive")
            project.boxes.edit(ids[:1].tolist(), chosen=True, note="see {{ title }}")
            project.fields.set({slide.id: {"batch": "AB"[number // 2], "specimen": str(number)}})
        yield project


def test_the_document_is_what_its_schema_says(cells: Project) -> None:
    report = run_job(collect(cells))
    again = ReportDocument.model_validate_json(report.model_dump_json())
    assert again == report and again.version == 1
    schema = ReportDocument.model_json_schema()
    assert set(schema["properties"]) == set(json.loads(report.model_dump_json()))
    kept = sum(8 + 8 * number for number in range(4))
    assert report.total.kept == kept == sum(sheet.shown for sheet in report.gallery)
    assert [len(one.findings) for one in report.worst] == [4, 4, 4]
    sizes = {one.code: one.findings for one in report.worst}
    assert all(of_uri(item.picture).startswith(b"\xff\xd8") for found in sizes.values() for item in found)
    assert len(report.chosen) == 4 and report.chosen[0].note == "see {{ title }}"
    assert [value.text for value in report.slides[3].specimen] == ["3", "B"]
    assert report.people[0].steps > 10 and report.hashes is not None
    assert report.models[0].name == "m" and [run.slide for run in report.models[0].runs][-1] == report.slides[3].name


def test_every_part_can_be_left_out(cells: Project, tmp_path: Path) -> None:
    for part in CONTENTS:
        report = run_job(collect(cells, ReportChoice(frozenset({part}), maps=1, gallery=3, worst=1)))
        assert part not in report.contents and len(report.contents) == len(CONTENTS) - 1
    bare = run_job(collect(cells, ReportChoice(frozenset(CONTENTS))))
    assert not any(slide.map for slide in bare.slides)
    assert not (bare.worst or bare.gallery or bare.plots or bare.chosen or bare.people or bare.hashes)
    assert not (bare.where or bare.control or bare.severity)
    run_job(write_report(cells, tmp_path / "bare.html", choice=ReportChoice(frozenset(CONTENTS))))
    assert "<h2>" not in (tmp_path / "bare.html").read_text(encoding="utf-8")
    with pytest.raises(InputError, match="no part poetry"):
        run_job(collect(cells, ReportChoice(frozenset({"poetry"}))))
    with pytest.raises(InputError, match="no reports in fr"):
        run_job(collect(cells, ReportChoice(language="fr")))


def test_groups_have_numbers_and_a_verdict(cells: Project, tmp_path: Path) -> None:
    (tmp_path / "limits.csv").write_text("class,per_mm2,source\nall,4.5,contract 7\n")
    limits = tuple(read_limits(tmp_path / "limits.csv"))
    report = run_job(collect(cells, ReportChoice(by=("batch",), limits=limits)))
    assert [group.title for group in report.groups] == ["batch A", "batch B"]
    assert [group.kept for group in report.groups] == [8 + 16, 24 + 32]
    compared = api.verdicts(cells.path, by=["batch"], limits=tmp_path / "limits.csv")
    of_groups = compared[compared["slide"].isna() | (compared["slide"] == "")]
    assert [one.verdict for one in report.verdicts] == of_groups["verdict"].tolist()
    assert report.verdicts[0].checks[0].source == "contract 7"
    run_job(write_report(cells, tmp_path / "r.html", choice=ReportChoice(by=("batch",), limits=limits)))
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "contract 7" in page and "Counts and densities: batch B" in page


def test_places_severities_and_frozen_charts_are_those_of_the_commands(cells: Project, tmp_path: Path) -> None:
    found = run_job(process_control([cells], ["batch"], chart="u", phase_1=2))
    freeze_limits(cells, found)
    note_event(cells, found, "batch B", "new mill")
    report = run_job(collect(cells))
    (chart,) = report.control
    drawn = run_job(process_control([cells], ["batch"], chart="u"))
    assert chart.title == "u chart of all classes by batch" and [point.event for point in chart.points] == [
        None,
        "new mill",
    ]
    assert [value.value for value in chart.charts[0].points] == [one["value"] for one in drawn["charts"][0]["points"]]
    assert "limits frozen by" in chart.remarks[0]
    severe = sorted(severity_records(cells), key=lambda one: -one["severity"])
    assert report.severity is not None and report.severity.of == len(severe)
    assert [one.severity for one in report.severity.findings] == [one["severity"] for one in severe[:40]]
    where = run_job(where_found(run_job(count_findings([cells]))))
    assert report.where is not None and report.where.hotspots_of == len(where["hotspots"])
    assert report.where.clustering == where["clustering"]["words"]
    assert {spot.p_corrected for spot in report.where.hotspots} <= {spot["p_corrected"] for spot in where["hotspots"]}
    run_job(write_report(cells, tmp_path / "r.html", choice=ReportChoice(language="de")))
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "u-Karte: alle Klassen nach batch" in page and 'id="control' in page
    assert "new mill" in page and "Regelkarten" in page and "Grenzen festgelegt von" in page
    assert "patterns of chance" not in page and "Schwere" in page


def test_a_frozen_chart_that_cannot_be_drawn_says_why(cells: Project) -> None:
    cells.standards.keep(CHART, "u of XYZ by batch", {"centre": 1.0, "spread": 1.0})
    (chart,) = run_job(collect(cells)).control
    assert not chart.points and "XYZ" in chart.remarks[0]


def test_the_hash_is_that_of_what_counts(cells: Project) -> None:
    def digest() -> str:
        known = run_job(collect(cells, ReportChoice(frozenset(CONTENTS) - {"hashes"}))).hashes
        assert known is not None
        return known.findings

    before = digest()
    assert digest() == before
    cells.boxes.edit([1], note="seen again")
    assert digest() != before
    cells.history.undo()
    assert digest() == before


def test_a_german_report_has_german_words(cells: Project, tmp_path: Path) -> None:
    run_job(write_report(cells, tmp_path / "r.html", choice=ReportChoice(language="de")))
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert '<html lang="de">' in page
    text = re.sub(r"<style>.*?</style>|<svg.*?</svg>|<[^>]+>", " ", page, flags=re.DOTALL)
    for word in ("Gallery", "Worst of", "Not reviewed", "worst first", "slides", "findings", "per mm²"):
        assert word not in text, word
    assert "Anzahlen und Dichten" in text and "Anode carbon particle" in text, "names of classes are the user's"
    svg = " ".join(re.findall(r"<text[^>]*>([^<]*)", page))
    assert "Befunde je mm²" in svg and "findings" not in svg
    density = f"{cells_density(cells):.2f}"
    assert density.replace(".", ",") in text and density not in text


def cells_density(project: Project) -> float:
    return float(api.statistics(project.path).set_index("rows").loc["all", "reviewed_per_mm2"])


def test_a_word_file_says_the_same(cells: Project, tmp_path: Path) -> None:
    run_job(write_report(cells, tmp_path / "r.docx"))
    with zipfile.ZipFile(tmp_path / "r.docx") as packed:
        text = packed.read("word/document.xml").decode()
        pictures = [name for name in packed.namelist() if name.startswith("word/media/")]
    words = re.sub(r"<[^>]+>", " ", text)
    assert f"{cells_density(cells):.2f}" in words and "see {{ title }}" not in words and "{{" not in words
    assert all(slide.name in words for slide in cells.slides) and len(pictures) > 12


def test_a_template_of_a_lab_is_filled_or_its_fault_is_named(cells: Project, tmp_path: Path) -> None:
    lab = tmp_path / "lab.html"
    lab.write_text("{% extends 'report.html.j2' %}\n{% block head %}<h1>LAB 7: {{ total.kept }}</h1>{% endblock %}")
    place = str(cells.path)
    cells.close()
    arguments = ["report", place, str(tmp_path / "r.html"), "--template", str(lab), "--progress", "none"]
    assert main(arguments) == 0
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<h1>LAB 7: 80</h1>" in page and "<h2>Gallery</h2>" in page


def test_a_wrong_template_leaves_no_file(cells: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lab, out = tmp_path / "lab.html", tmp_path / "r.html"
    lab.write_text("{{ title }}\n\n{{ totl.kept }}")
    place = str(cells.path)
    cells.close()
    assert main(["report", place, str(out), "--template", str(lab), "--progress", "none"]) == 2
    assert "lab.html, line 3: there is no totl." in capsys.readouterr().err and not out.exists()
    assert main(["report", place, str(tmp_path / "r.docx"), "--template", str(lab)]) == 2
    assert "no template for r.docx" in capsys.readouterr().err


def test_json_is_the_document_and_the_file(cells: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = str(cells.path)
    cells.close()
    out = tmp_path / "r.json"
    assert main(["report", place, str(out), "--json", "--leave-out", "gallery", "--progress", "none"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said.pop("file") == str(out)
    assert said == json.loads(out.read_text(encoding="utf-8"))
    assert ReportDocument.model_validate(said).total.kept == 80 and not said["gallery"]
    assert main(["report", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["properties"]["version"]["const"] == 1
    assert main(["report", place, str(tmp_path / "start.docx"), "--start-template", "--language", "de"]) == 0
    assert zipfile.is_zipfile(tmp_path / "start.docx")
    answer = api.report(place, out=tmp_path / "b.html", leave_out=["gallery"])
    assert answer["total"]["kept"] == 80 and (tmp_path / "b.html").is_file()


def test_numbers_are_those_of_the_table(cells: Project, tmp_path: Path) -> None:
    report = run_job(collect(cells, ReportChoice(by=("batch",))))
    place = str(cells.path)
    cells.close()
    assert main(["stats", place, "--group-by", "batch", "--csv", str(tmp_path / "s.csv"), "--progress", "none"]) == 0
    with (tmp_path / "s.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for group in report.groups:
        for one in group.classes:
            (row,) = [r for r in rows if r["batch"] == group.title[-1] and r["class"] == one.code]
            assert one.kept == int(row["reviewed"]) and one.per_mm2 == pytest.approx(float(row["reviewed_per_mm2"]))


# -- PDF ---------------------------------------------------------------------------------------------------------------


def test_the_pdf_is_the_page(cells: Project, tmp_path: Path) -> None:
    choice = ReportChoice(frozenset(CONTENTS) - {"numbers", "maps", "gallery"}, maps=2)
    run_job(write_report(cells, tmp_path / "r.pdf", choice=choice))
    data = (tmp_path / "r.pdf").read_bytes()
    assert data.startswith(b"%PDF") and len(PAGES.findall(data)) >= 3
    assert data.count(b"/Subtype /Image") + data.count(b"/Subtype/Image") >= 5, "maps and sheets"


def test_a_page_reads_nothing_but_itself(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (200, 0, 0)).save(tmp_path / "secret.png")
    secret = (tmp_path / "secret.png").as_uri()
    page = "<p style='break-before: page'>a</p>"
    script = f'<script>document.body.innerHTML = "{page}{page}{page}"</script>'
    run_job(print_page(f"<p>one page</p><img src='{secret}'>{script}", tmp_path / "a.pdf"))
    data = (tmp_path / "a.pdf").read_bytes()
    assert len(PAGES.findall(data)) == 1 and not re.search(rb"/Width 8\b", data), "no script ran, no file was read"


def test_printing_can_be_stopped_and_a_failure_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[CommandChild] = []
    begin = CommandChild.__init__

    def noted(self: CommandChild, arguments: list[str], **known: str) -> None:
        children.append(self)
        begin(self, arguments, **known)

    monkeypatch.setattr(CommandChild, "__init__", noted)
    job = print_page("<p>a</p>", tmp_path / "a.pdf")
    next(job)
    job.close()
    assert not children[0].running and not list(tmp_path.iterdir())
    monkeypatch.setattr(CommandChild, "__init__", lambda self, _, **known: begin(self, ["info", "gone.czi"], **known))
    with pytest.raises(WriteError, match="could not be printed.*gone.czi"):
        run_job(print_page("<p>a</p>", tmp_path / "a.pdf"))
    assert not list(tmp_path.iterdir())


def test_all_kinds_of_files_are_listed_by_the_export(cells: Project, tmp_path: Path) -> None:
    export = export_named("report")
    assert (export.suffix, *export.also) == (".html", ".pdf", ".docx", ".json")
    run_job(export.write(cells, tmp_path / "r.json"))
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["total"]["kept"] == 80
