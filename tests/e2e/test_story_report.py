"""Three batches with a planted shift: detected, a random sixty judged, compared, charted and reported.

Every number of the report is worked out once more from the exported table of findings, with formulas of its own.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from microscope_qc.cli import main
from microscope_qc.project import Project
from microscope_qc.workflows.review import judging
from microscope_qc.workflows.review.matching import matching

pytestmark = [pytest.mark.story, pytest.mark.timeout(900)]

SIDE, SIZE_UM = 768, 0.3
MM2 = (SIDE * SIZE_UM / 1000) ** 2
DEFECTS = {"A": 10, "B": 10, "C": 40}
PER_BATCH, JUDGED = 3, 60
LIMIT = 0.15
"""Of the confidence: so low that some of what counts is wrong."""
BANDS, LEAST_JUDGED, MOST_UNKNOWN = 5, 5, 0.1

Row = dict[str, str]


def good(*arguments: object) -> None:
    assert main([*map(str, arguments), "--progress", "none"]) == 0, arguments


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project, detected and partly judged."""
    folder = tmp_path_factory.mktemp("batches")
    slides = []
    for seed, batch in enumerate(batch for batch in DEFECTS for _ in range(PER_BATCH)):
        slides.append(folder / f"{batch}{seed % PER_BATCH + 1}.ome.zarr")
        good("synth", "electrode", slides[-1], "--size", SIDE, "--seed", seed, "--defects", DEFECTS[batch])
    place = folder / "batches.mqc"
    good("new", place, *slides)
    good("detect", place, "--model", "li-ion-ssd", "--device", "cpu", "--everything")
    with Project.open(place) as project:
        project.fields.set({slide.id: {"batch": slide.name[0]} for slide in project.slides})
        project.inclusion.set_limit(LIMIT)
        judge(project, folder)
    return place


def judge(project: Project, folder: Path) -> None:
    """Confirm those of a random sixty that lie on a drawn defect, but for the five smallest; reject the others."""
    truths, owners = {}, {}
    for slide in project.slides:
        known = json.loads((folder / f"{slide.name.split('.')[0]}.truth.json").read_text(encoding="utf-8"))
        truths[slide.id] = np.array([one["bbox"] for one in known["annotations"]], float)
        owners |= {int(row["id"]): (slide.id, row) for row in project.boxes.rows(slide.id)}
    right, wrong = [], []
    for number in matching(project, None).sample(JUDGED).ids.tolist():
        slide_id, row = owners[number]
        y, x = (row["y0"] + row["y1"]) / 2, (row["x0"] + row["x1"]) / 2
        boxes = truths[slide_id]
        on = (
            (boxes[:, 0] <= x)
            & (x <= boxes[:, 0] + boxes[:, 2])
            & (boxes[:, 1] <= y)
            & (y <= boxes[:, 1] + boxes[:, 3])
        )
        (right if on.any() else wrong).append(number)
    sizes = {number: max(row["y1"] - row["y0"], row["x1"] - row["x0"]) for number, (_, row) in owners.items()}
    small, right = np.split(sorted(right, key=sizes.__getitem__), [5])
    judging.confirm(project, np.array(right), at_random=True)
    judging.reject(project, np.array(wrong), "false positive", at_random=True)
    judging.reject(project, np.array(small), "preparation artefact", at_random=True)
    project.boxes.edit(right[:3], chosen=True)


@pytest.fixture(scope="module")
def table(batches: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """The exported findings."""
    out = tmp_path_factory.mktemp("table") / "findings.csv"
    good("export", batches, out, "--format", "csv")
    with out.open(encoding="utf-8", newline="") as file:
        return [row | {"slide": row["slide"].partition(".")[0]} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def report(batches: Path, table: list[Row], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document; the page is written, too."""
    folder = tmp_path_factory.mktemp("report")
    usual = sum(batch_of(row) == "A" and is_kept(row) for row in table) / (PER_BATCH * MM2)
    (folder / "limits.csv").write_text(
        f"class,per_mm2,largest_um,source\nall,{2.2 * usual!r},,drawing 12\nall,,4,drawing 12\n"
    )
    options = "--group-by", "batch", "--limits", folder / "limits.csv", "--gallery", 1000, "--worst", 2, "--json"
    with contextlib.redirect_stdout(io.StringIO()) as said:
        good("report", batches, folder / "r.html", *options)
    page = (folder / "r.html").read_text(encoding="utf-8")
    assert "drawing 12" in page and page.count('class="sheet"') >= len({row["class"] for row in table if is_kept(row)})
    found: dict[str, Any] = json.loads(said.getvalue())
    return found | {"limit": 2.2 * usual}


# -- the table, once more ----------------------------------------------------------------------------------------------


def batch_of(row: Row) -> str:
    return row["slide"][0]


def is_kept(row: Row) -> bool:
    return row["state"] != "rejected"


def longest_um(row: Row) -> float:
    return max(float(row["width_um"]), float(row["height_um"]))


def garwood(count: int) -> tuple[float, float]:
    low = stats.chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    return low, stats.chi2.ppf(0.975, 2 * count + 2) / 2


def quasi_poisson(counts: Sequence[int], level: float = 0.95) -> tuple[float, float]:
    """Limits of the sum of counts on equal areas."""
    total, n = sum(counts), len(counts)
    tail = (1 - level) / 2
    if n == 1 or total == 0:
        low = stats.chi2.ppf(tail, 2 * total) / 2 if total else 0.0
        return low, stats.chi2.ppf(1 - tail, 2 * total + 2) / 2
    mean = total / n
    phi = max(1.0, sum((count - mean) ** 2 for count in counts) / mean / (n - 1))
    factor = math.exp(stats.t.ppf(1 - tail, n - 1) * math.sqrt(phi / total))
    return total / factor, total * factor


def by_slide(rows: Iterable[Row], slides: Sequence[str]) -> list[int]:
    counts = Counter(row["slide"] for row in rows)
    return [counts[name] for name in slides]


def corrected(rows: Sequence[Row]) -> float | None:
    """Those that are known to be true, and of the others as many as of the judged ones alike."""
    strata: dict[tuple[str, int], list[str]] = defaultdict(list)
    for row in rows:
        band = min(BANDS - 1, int(np.float32(row["confidence"]) * BANDS))
        strata[row["class"], band].append(row["state"])
    judged_states = [state for row in rows if (state := row["state"]) != "unreviewed"]
    overall = judged_states.count("confirmed") / len(judged_states) if judged_states else 1.0
    estimate, unknown = float(sum(row["state"] == "confirmed" for row in rows)), 0
    for states in strata.values():
        left = states.count("unreviewed")
        judged = len(states) - left
        if judged < LEAST_JUDGED:
            unknown += left
            estimate += left * overall
        else:
            estimate += left * states.count("confirmed") / judged
    return None if unknown > MOST_UNKNOWN * sum(map(is_kept, rows)) else estimate


def check_numbers(numbers: dict[str, Any], rows: Sequence[Row], slides: Sequence[str], every: Sequence[Row]) -> None:
    """Numbers of some slides, all classes or one; ``every`` are the findings of all classes on them."""
    area, kept = len(slides) * MM2, [row for row in rows if is_kept(row)]
    states = Counter(row["state"] for row in rows)
    judged = states["confirmed"] + states["rejected"]
    assert numbers["total"] == len(rows) and numbers["kept"] == len(kept) == numbers["in_area"]
    assert numbers["states"] == {name: states[name] for name in ("unreviewed", "confirmed", "rejected")}
    assert numbers["reviewed_share"] == (pytest.approx(judged / len(rows)) if rows else None)
    assert numbers["area_mm2"] == pytest.approx(area) and numbers["outside_area"] == 0
    for name, mine in (("raw", rows), ("reviewed", kept)):
        limits = quasi_poisson(by_slide(mine, slides))
        assert numbers[name]["count"] == len(mine)
        assert numbers[name]["per_mm2"] == pytest.approx(len(mine) / area)
        assert numbers[name]["interval"] == pytest.approx([limit / area for limit in limits], rel=1e-6)
    assert numbers["per_mm2"] == numbers["reviewed"]["per_mm2"]
    assert numbers["per_mm2_interval"] == numbers["reviewed"]["interval"]
    assert numbers["rejected"]["count"] == states["rejected"] and numbers["rejected"]["of"] == judged
    if numbers["share"] is not None:
        whole = sum(map(is_kept, every))
        assert numbers["share"]["value"] == (pytest.approx(len(kept) / whole) if whole else None)
    sizes = [longest_um(row) for row in kept]
    assert numbers["size_um"]["n"] == len(sizes)
    if sizes:
        assert numbers["size_um"]["median"]["value"] == pytest.approx(np.median(sizes), abs=1e-3)
        assert numbers["size_um"]["q90"]["value"] == pytest.approx(np.quantile(sizes, 0.9), abs=1e-3)
        assert numbers["size_um"]["largest"] == pytest.approx(max(sizes), abs=1e-3)


# -- the story ---------------------------------------------------------------------------------------------------------


def test_the_shift_was_planted_and_sixty_were_judged(table: list[Row]) -> None:
    states = Counter(row["state"] for row in table)
    assert states["confirmed"] + states["rejected"] == JUDGED < len(table)
    assert states["confirmed"] > 20 and states["rejected"] >= 5
    counts = Counter(batch_of(row) for row in table if is_kept(row))
    assert counts["C"] > 1.5 * max(counts["A"], counts["B"])


def test_counts_densities_shares_and_sizes_are_those_of_the_table(report: dict[str, Any], table: list[Row]) -> None:
    slides = [slide["name"] for slide in report["slides"]]
    assert [group["title"] for group in report["groups"]] == [f"batch {batch}" for batch in DEFECTS]
    groups: list[tuple[dict[str, Any], Callable[[str], bool]]] = [(report["total"], lambda _name: True)]
    groups += [
        (group, lambda name, batch=batch: name.startswith(batch))
        for group, batch in zip(report["groups"], DEFECTS, strict=True)
    ]
    for group, belongs in groups:
        names = [name for name in slides if belongs(name)]
        every = [row for row in table if belongs(row["slide"])]
        check_numbers(group, every, names, every)
        expected = corrected(every)
        assert group["corrected"]["count"] == (None if expected is None else pytest.approx(expected))
        for one in group["classes"]:
            check_numbers(one, [row for row in every if row["class"] == one["code"]], names, every)
        for one in group["class_groups"]:
            check_numbers(one, [row for row in every if row["class"] in one["classes"]], names, every)


def test_each_slide_has_the_numbers_of_its_lines(report: dict[str, Any], table: list[Row]) -> None:
    codes = [one["code"] for one in report["classes"]]
    for slide in report["slides"]:
        rows = [row for row in table if row["slide"] == slide["name"]]
        for numbers, mine in [
            (slide["numbers"], rows),
            *((one, [row for row in rows if row["class"] == one["code"]]) for one in slide["classes"]),
        ]:
            kept = [row for row in mine if is_kept(row)]
            assert numbers["kept"] == len(kept) and numbers["per_mm2"] == pytest.approx(len(kept) / MM2)
            assert numbers["per_mm2_interval"] == pytest.approx([limit / MM2 for limit in garwood(len(kept))])
            if kept:
                sizes = [longest_um(row) for row in kept]
                measured = {name: one["value"] for name, one in numbers["statistics"].items()}
                assert measured["median_um"] == pytest.approx(np.median(sizes), abs=1e-3)
                assert measured["mean_um"] == pytest.approx(np.mean(sizes), abs=1e-3)
                assert measured["largest_um"] == pytest.approx(max(sizes), abs=1e-3)
        places = Counter((round(x, 1), round(y, 1), codes[place]) for x, y, place in slide["map"]["points"])
        assert places == Counter(
            (
                round(round((float(row["x0_px"]) + float(row["x1_px"])) / 2 * SIZE_UM, 2), 1),
                round(round((float(row["y0_px"]) + float(row["y1_px"])) / 2 * SIZE_UM, 2), 1),
                row["class"],
            )
            for row in rows
            if is_kept(row)
        )


def test_plots_and_pictures_show_the_same_findings(report: dict[str, Any], table: list[Row]) -> None:
    kept = [row for row in table if is_kept(row)]
    plots = {plot["name"]: plot for plot in report["plots"]}
    classes_of = {one["name"]: one["classes"] for one in report["total"]["class_groups"]}
    classes_of |= {f"{one['code']} {one['name']}": [one["code"]] for one in report["classes"]}
    for series in plots["totals"]["series"]:
        for mark in series["marks"]:
            mine = classes_of[series["name"]]
            of = [row for row in kept if row["slide"] == mark["at"] and row["class"] in mine]
            assert mark["n"] == len(of) and mark["value"] == pytest.approx(len(of) / MM2)
            assert mark["interval"] == pytest.approx([limit / MM2 for limit in garwood(len(of))])
    assert sum(mark["n"] for series in plots["sizes"]["series"] for mark in series["marks"]) == len(kept)
    outcomes = {series["name"]: sum(mark["n"] for mark in series["marks"]) for series in plots["outcomes"]["series"]}
    states = Counter(row["state"] for row in table)
    reasons = Counter(row["reason"] for row in table if row["state"] == "rejected")
    expected = Counter({
        "true": states["confirmed"], "not judged": states["unreviewed"], "false positive": reasons["false positive"],
        "artefact": reasons["preparation artefact"],
    })  # fmt: skip
    assert outcomes == {name: count for name, count in expected.items() if count}
    assert {sheet["code"]: (sheet["of"], sheet["shown"]) for sheet in report["gallery"]} == {
        code: (count, count) for code, count in Counter(row["class"] for row in kept).items()
    }
    for known in report["worst"]:
        of_class = sorted((longest_um(row) for row in kept if row["class"] == known["code"]), reverse=True)
        number_of = {int(row["defect_id"]): row for row in kept}
        shown = [longest_um(number_of[item["defect_id"]]) for item in known["findings"]]
        assert shown == of_class[:2] and known["of"] == len(of_class)
    assert {item["defect_id"] for item in report["chosen"]} == {
        int(row["defect_id"]) for row in kept if row["chosen"] == "yes"
    }


def test_the_verdict_follows_from_the_table(report: dict[str, Any], table: list[Row]) -> None:
    said = {}
    for verdict, batch in zip(report["verdicts"], DEFECTS, strict=True):
        rows = [row for row in table if batch_of(row) == batch and is_kept(row)]
        slides = sorted({slide["name"] for slide in report["slides"] if slide["name"][0] == batch})
        area = len(slides) * MM2
        high = quasi_poisson(by_slide(rows, slides), 0.9)[1] / area
        low = quasi_poisson(by_slide([row for row in rows if row["state"] == "confirmed"], slides), 0.9)[0] / area
        density, largest = verdict["checks"]
        assert density["value"] == pytest.approx(len(rows) / area)
        assert (density["low"], density["high"]) == pytest.approx((low, high))
        limit = report["limit"]
        assert density["verdict"] == ("pass" if high < limit else "fail" if low > limit else "undecided")
        beyond = {int(row["defect_id"]) for row in rows if longest_um(row) > 4}
        judged = {int(row["defect_id"]) for row in rows if longest_um(row) > 4 and row["state"] == "confirmed"}
        assert set(largest["decides"]) == (judged or beyond)
        assert largest["verdict"] == ("fail" if judged else "undecided" if beyond else "pass")
        said[batch] = density["verdict"]
    assert said["A"] == "pass" or said["B"] == "pass", said
    assert said["C"] != "pass"


def test_comparison_and_chart_see_the_shift(
    batches: Path, table: list[Row], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = {batch: sum(batch_of(row) == batch and is_kept(row) for row in table) for batch in DEFECTS}
    capsys.readouterr()
    good("compare-batches", batches, "--group-by", "batch", "--reference", "A", "--json")
    ratios = [one for one in json.loads(capsys.readouterr().out)["ratios"] if one["kind"] == "all"]
    assert [one["ratio"] for one in ratios] == pytest.approx([kept[batch] / kept["A"] for batch in "BC"])
    good("spc", batches, "--group-by", "batch", "--chart", "u", "--phase-1", 2, "--json")
    (chart,) = json.loads(capsys.readouterr().out)["charts"]
    area = PER_BATCH * MM2
    centre = (kept["A"] + kept["B"]) / (2 * area)
    assert chart["centre"] == pytest.approx(centre)
    for point, batch in zip(chart["points"], DEFECTS, strict=True):
        assert point["value"] == pytest.approx(kept[batch] / area)
        assert point["upper"] == pytest.approx(centre + 3 * math.sqrt(centre / area))
        assert bool(point["unusual"]) == (not point["lower"] <= point["value"] <= point["upper"])
    assert chart["points"][2]["unusual"], "the third batch is above the limit"
