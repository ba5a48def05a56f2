"""Spectra are grouped into sites, and sites go to findings one to one: never where it is not clear."""

from __future__ import annotations

import numpy as np
import pytest

from microscope_qc.core.boxes import make_rows
from microscope_qc.core.errors import InputError
from microscope_qc.correlation.assignment import clear_pairs
from microscope_qc.correlation.edx import Matching, match_spectra
from microscope_qc.correlation.edx_tables import Spectrum
from microscope_qc.correlation.sites import USUAL_PATTERN, site_pattern, sites_in

INF = np.inf


class Aligned:
    """An alignment in which a pixel is 1 um and 1 mm on the stage is 1000 um, with an expected error of 10 um."""

    pixel_size_um = (1.0, 1.0)

    def from_stage(self, xy_mm):
        return np.asarray(xy_mm)[:, ::-1] * 1000

    def r95_um(self, places):
        return np.full(len(places), 10.0)


def spectrum(label: str, x_um: float | None = None, y_um: float = 1.0) -> Spectrum:
    return Spectrum(label, {"O": 100.0}, stage_mm=None if x_um is None else (x_um / 1000, y_um / 1000))


def boxes(*left: float, notes: dict[int, str] | None = None) -> np.ndarray:
    """Boxes 1, 2, ... of 2 um."""
    rows = make_rows(len(left), id=np.arange(len(left)) + 1, class_id=1, y1=2, x0=left, x1=np.array(left) + 2)
    for number, note in (notes or {}).items():
        rows["note"][number - 1] = note
    return rows


def match(rows: np.ndarray, *spectra: Spectrum, sites: str = USUAL_PATTERN) -> Matching:
    return match_spectra(spectra, rows, Aligned(), sites=site_pattern(sites))


def where(found: Matching) -> dict[str, int | None]:
    return {known.label: known.box_id for known in found.placements}


@pytest.mark.parametrize(
    ("text", "label", "read"),
    [
        ("{site}-P{point}", "A1-P2", ("A1", 2)),
        ("{site}-P{point}", "A1 P12", ("A1", 12)),
        ("{site}-P{point}", "cell_3_P1", ("cell_3", 1)),
        ("{site}-P{point}", "MAP1", None),
        ("{site}-P{point}", "A1-P1 b", None),
        ("Pt {point} of {site}", "Pt 3 of D12", ("D12", 3)),
        ("S{site}.{point}", "S4.1", ("4", 1)),
        ("S{site}.{point}", "S4-1", None),
    ],
)
def test_a_label_names_site_and_point(text: str, label: str, read: tuple[str, int] | None) -> None:
    pattern = site_pattern(text)
    assert pattern is not None and pattern.read(label) == read


@pytest.mark.parametrize(
    "text", ["{site}", "{site}{point}", "{site}-{site}", "A1-P1", "{site}-{point}-{}", "{x}-{site}"]
)
def test_a_pattern_that_says_too_little_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="where site and point stand"):
        site_pattern(text)


def test_point_1_lies_on_the_defect_and_the_others_are_references() -> None:
    spectra = [spectrum("A1-P2", 50), spectrum("D3 ref"), spectrum("A1-P1", 10), spectrum("B-P1 "), spectrum("A1-P3")]
    first, alone, second = sites_in(spectra, site_pattern(USUAL_PATTERN))
    assert (first.name, first.named, first.stage_mm) == ("A1", True, (0.01, 0.001))
    assert [s.label for s in first.spectra] == ["A1-P2", "A1-P1", "A1-P3"]
    assert first.kinds == ("reference", "point", "reference")
    assert (alone.name, alone.named, alone.kinds) == ("D3 ref", False, ("reference",)) and second.name == "B"
    assert [site.named for site in sites_in(spectra, None)] == [False] * 5


def test_all_points_of_a_site_go_where_its_first_one_lies() -> None:
    found = match(boxes(0, 100), spectrum("A1-P1", 101), spectrum("A1-P2", 150), spectrum("A1-P3"))
    assert where(found) == {"A1-P1": 2, "A1-P2": 2, "A1-P3": 2}
    assert [(p.site, p.kind, p.by) for p in found.placements] == [
        ("A1", "point", "position"), ("A1", "reference", "position"), ("A1", "reference", "position"),
    ]  # fmt: skip


def test_the_name_of_a_site_is_a_note_or_a_number_before_its_position_counts() -> None:
    rows = boxes(0, 100, 200, notes={3: " a1 ", 1: "2"})
    found = match(rows, spectrum("A1-P1", 1), spectrum("Defect 2-P1", 1), spectrum("2-P1", 1))
    assert where(found) == {"A1-P1": 3, "Defect 2-P1": 2, "2-P1": None}
    assert found.ambiguous == {"2-P1": (1, 2)}
    twice = match(rows, spectrum("D2-P1", 1), spectrum("#2-P1", 1))
    assert where(twice) == {"D2-P1": None, "#2-P1": None} and twice.ambiguous["D2-P1"] == (2,)


def test_the_fourth_of_lettered_sites_is_not_taken_for_a_defect() -> None:
    rows = boxes(0, 100)
    found = match(rows, spectrum("C1-P1", 1), spectrum("D1-P1", 101), spectrum("D2-P1"))
    assert where(found) == {"C1-P1": 1, "D1-P1": 2, "D2-P1": None}
    assert where(match(rows, spectrum("D1-P1", 101), spectrum("D2-P1", 1))) == {"D1-P1": 1, "D2-P1": 2}


def test_shuffled_sites_between_close_findings_are_told_apart_together() -> None:
    rows = boxes(0, 12, 24)
    # each alone could be two findings; B-P1 is then not finding 1, because A is there
    found = match(rows, spectrum("C-P1", 25), spectrum("A-P1", 0), spectrum("B-P1", 7.5))
    assert where(found) == {"C-P1": 3, "A-P1": 1, "B-P1": 2}
    alone = match(rows, spectrum("B-P1", 7.5))
    assert alone.ambiguous == {"B-P1": (2, 1)} and "could be finding 2, 1" in alone.placements[0].reason


def test_two_sites_that_fit_one_finding_are_left_to_a_person() -> None:
    found = match(boxes(0), spectrum("A-P1", 1), spectrum("B-P1", 1.5), spectrum("B-P2", 90))
    assert where(found) == dict.fromkeys(("A-P1", "B-P1", "B-P2"))
    assert found.ambiguous == {"A-P1": (1,), "B-P1": (1,), "B-P2": (1,)}
    assert found.placements[0].reason == "could be finding 1, and so could B"
    taken = match(boxes(0), spectrum("D1-P1"), spectrum("B-P1", 1.5))
    assert where(taken) == {"D1-P1": 1, "B-P1": None} and taken.ambiguous == {"B-P1": (1,)}


def test_spectra_without_a_site_may_share_a_finding() -> None:
    found = match(
        boxes(0, 100), spectrum("Spectrum 1", 1), spectrum("Spectrum 2", 1.5), spectrum("A-P1", 101), sites=""
    )
    assert where(found) == {"Spectrum 1": 1, "Spectrum 2": 1, "A-P1": 2}


def test_what_has_no_place_says_why() -> None:
    found = match(boxes(0), spectrum("A-P1", 500), spectrum("B-P2", 1), spectrum("C-P1"))
    assert found.unmatched == {
        "A-P1": "no finding within the expected error",
        "B-P2": "no number of a finding, no stage position of its point 1",
        "C-P1": "no number of a finding, no stage position of its point 1",
    }
    assert found.notes == ("Site B has no point 1: all of it counts as reference.",)


@pytest.mark.parametrize(
    ("costs", "pairs"),
    [
        ([[0.9]], [0]),
        ([[INF]], [None]),
        ([[0.0, 0.9]], [None]),
        ([[INF, 0.0, 1.0]], [1]),
        ([[0.0, 0.8], [0.8, 0.0]], [0, 1]),
        ([[0.2, 0.4], [0.4, 0.2]], [None, None]),
        ([[0.0], [0.0]], [None, None]),
        ([[0.0], [1.0]], [0, None]),
        ([[0.0, INF], [0.9, 0.9]], [0, 1]),
    ],
)
def test_pairs_are_clear_where_every_other_assignment_is_unlikely(costs, pairs) -> None:
    assert clear_pairs(np.array(costs)) == pairs


def test_shifted_sites_are_all_found_or_left_open_but_hardly_ever_wrong() -> None:
    """Errors as large as expected (95 % within 10 um) on findings about 25 um apart."""
    random = np.random.default_rng(7)
    right = wrong = 0
    for _ in range(60):
        left = np.sort(random.uniform(0, 500, 20))
        rows = boxes(*left)
        moved = left + 1 + random.normal(0, 10 / 2.45, 20)
        order = random.permutation(20)
        spectra = [spectrum(f"S{n}-P1", moved[n], 1 + random.normal(0, 10 / 2.45)) for n in order]
        found = match(rows, *spectra)
        for n, placement in zip(order, found.placements, strict=True):
            right += placement.box_id == n + 1
            wrong += placement.box_id not in (None, n + 1)
    assert right > 650
    assert wrong < 0.02 * (right + wrong)
