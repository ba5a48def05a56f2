"""Tables of compositions as instruments write them: the right values, or a sentence."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from microscope_qc.core.boxes import make_rows
from microscope_qc.core.elements import ATOMIC_WEIGHT, element_in
from microscope_qc.core.errors import ExchangeError, MicroscopeQCError
from microscope_qc.correlation.edx import match_spectra
from microscope_qc.correlation.edx_headings import is_like_element, is_total, unit_in
from microscope_qc.correlation.edx_tables import read_spectra, spectra_in

WT = {"O": 30.0, "Co": 20.0, "Ni": 50.0}
AT = {"O": 61.15, "Co": 11.07, "Ni": 27.78}

AZTEC_WIDE = """Result Type,Weight %
Spectrum Label,O,Co,Ni,Total
D3,30.00,20.00,50.00,100.00
Statistics,O,Co,Ni,
Max,30,20,50,
Standard Deviation,,,,
"""
INCA = """Processing option : All elements analysed (Normalised)

Spectrum,In stats.,O,Co,Ni,Total
D3,Yes,30.00,20.00,50.00,100.00

Mean,,30.00,20.00,50.00,100.00
Std. deviation,,0.00,0.00,0.00,
Max.,,30.00,20.00,50.00,

All results in weight%
"""
AZTEC_ROWS = "Result Type,Weight %\nSpectrum Label,D3\nO,30.0\nCo,20.0\nNi,50.0\nTotal,100.00\n"
ESPRIT = """Spektrum: D3
Element;At. No.;Netto;Mass [%];Mass Norm. [%];Atom [%];abs. error [%] (1 sigma);rel. error [%] (1 sigma)
Sauerstoff;8;12345;29,10;30,00;61.15;2,80;9,30
Kobalt;27;2345;19,40;20,00;11.07;0,50;2,60
Nickel;28;5345;48,50;50,00;27.78;1,20;2,40
;;Sum;97,00;100,00;100,00;;
"""
BRUKER_WIDE = """Mass percent (%)

Spectrum;O;Co;Ni
----------------
D3;30,00;20,00;50,00
----------------
Mean value:;30,00;20,00;50,00
Sigma:;0,00;0,00;0,00
"""
TEAM = """D3
Element,Weight %,Atomic %,Net Int.,Error %,F
O K,30.00,61.15,123.4,8.1,1
CoK,20.00,11.07,123.4,3.1,1
NiK,50.00,27.78,223.4,2.1,1
"""
OWN = "defect_id;O at%;Co at%;Ni at%\n3;61,15;11,07;27,78\n"


@pytest.mark.parametrize("text", [AZTEC_WIDE, INCA, AZTEC_ROWS, ESPRIT, BRUKER_WIDE, TEAM, OWN])
def test_tables_of_instruments_hold_what_they_say(tmp_path, text):
    (tmp_path / "a.csv").write_bytes(text.encode("cp1252"))
    (spectrum,) = read_spectra(tmp_path / "a.csv")
    assert spectrum.label in ("D3", "3") and spectrum.notes == ()
    assert spectrum.at_percent == pytest.approx(AT, abs=0.01)
    if text is not OWN:
        assert spectrum.wt_percent == WT
    assert spectrum.computed == (text in (AZTEC_WIDE, INCA, AZTEC_ROWS, BRUKER_WIDE))


CASES = {
    "aztec_wide_weight": 1, "inca_all_results_weight": 1, "aztec_element_rows": 2, "bruker_esprit2": 1,
    "bruker_wide_mass": 1, "edax_team": 1, "de_own": 2,
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_cases(name):
    data = os.environ.get("MICROSCOPE_QC_DATA", "")
    path = Path(data) / "cases" / "edx" / f"{name}.csv"
    if not data or not path.is_file():
        pytest.skip("needs the real data: set MICROSCOPE_QC_DATA")
    spectra = read_spectra(path)
    assert len(spectra) == CASES[name]
    assert spectra[0].at_percent == pytest.approx(AT, abs=0.01)


def test_two_tables_in_one_file_keep_their_units():
    above = [["Weight %"], ["Spectrum", "O"], ["1", "30"], ["Atomic %"], ["Spectrum", "O"], ["2", "60"]]
    below = [["Spectrum", "O"], ["1", "30"], ["All in weight%"], ["Spectrum", "O"], ["2", "60"], ["All in atomic%"]]
    for rows in (above, below):
        assert [(s.computed, s.label) for s in spectra_in(rows)] == [(True, "1"), (False, "2")]


@pytest.mark.parametrize(
    "rows",
    [
        [["Spectrum", "O", "Ni"], ["D3", "30", "70"]],
        [["Spectrum", "D3"], ["O", "30"], ["Ni", "70"]],
        [["D3"], ["Element", "Norm. [%]"], ["O", "30"], ["Ni", "70"]],
    ],
)
def test_a_table_that_does_not_say_its_unit_is_asked_for(rows):
    with pytest.raises(ExchangeError, match="weight % or atom %") as caught:
        spectra_in(rows)
    assert "--unit" in caught.value.hint
    (weight,), (atom,) = spectra_in(rows, unit="wt"), spectra_in(rows, unit="at")
    assert weight.wt_percent == {"O": 30, "Ni": 70} and weight.computed and weight.at_percent["O"] > 60
    assert atom.at_percent == {"O": 30, "Ni": 70} and not atom.computed and not atom.wt_percent


def test_what_is_no_amount_is_left_out_and_said():
    rows = [
        ["defect", "O at%", "Ni at%", "Fe at%"],
        ["3", "NaN", "-0,2", "30"],
        ["4", "90", "80", "-"],
        ["5", "n.d.", "", ""],
    ]
    three, four, five = spectra_in(rows)
    assert three.at_percent == {"Fe": 30} and len(three.notes) == 3
    assert (
        "O is left out: “NaN” is not a number." in three.notes and "Ni is left out: “-0,2” is negative." in three.notes
    )
    assert four.notes == ("The atom % add up to 170.",)
    found = match_spectra([three, four, five], make_rows(2, id=[3, 4], class_id=1, y1=10, x1=10), None)
    assert [match.box_id for match in found.matched] == [3, 4] and list(found.unmatched) == ["5"]
    assert "no amounts" in found.unmatched["5"] and "4: The atom % add up to 170." in found.notes


def test_numbers_with_signs_between_thousands_are_not_read_as_others():
    rows = [["defect", "O at%", "Counts"], ["3", "1.234", "1.234,5"]]
    (spectrum,) = spectra_in(rows)
    assert spectrum.at_percent == {} and "“1.234” is not a number" in spectrum.notes[0]


def test_one_number_in_several_lines_is_said_and_what_was_computed_is_kept_so():
    spectra = spectra_in([["defect", "O wt%", "Ni wt%"], ["D3", "30", "70"], ["D3", "31", "69"], ["D9", "1", "99"]])
    found = match_spectra(spectra, make_rows(1, id=[3], class_id=1, y1=10, x1=10), None)
    assert len(found.matched) == 2 and found.notes == ("D3 stands in 2 lines.",)
    assert found.unmatched == {"D9": "no finding 9, no stage position"}
    stored = found.matched[0].spectrum.amounts
    assert [(a.element, a.unit, a.measured) for a in stored] == [
        ("O", "wt", True), ("Ni", "wt", True), ("O", "at", False), ("Ni", "at", False),
    ]  # fmt: skip
    assert [a.percent for a in stored[:2]] == [30, 70]


class Aligned:
    """An alignment in which a pixel is 2 um, with an expected error of 5 um."""

    pixel_size_um = (2.0, 2.0)

    def from_stage(self, xy_mm):
        return np.asarray(xy_mm)[:, ::-1] * 500

    def r95_um(self, places):
        return np.full(len(places), 5.0)


@pytest.mark.parametrize(("x_mm", "found"), [(0.024, 3), (0.026, None), (0.035, 4), (0.03, None)])
def test_a_position_belongs_to_a_finding_within_the_expected_error(x_mm, found):
    (spectrum,) = spectra_in([["label", "O at%", "x_mm", "y_mm"], ["S", "100", str(x_mm), "0.01"]])
    rows = make_rows(2, id=[3, 4], class_id=1, y1=10, x0=[0, 20], x1=[10, 30])
    (placed,) = match_spectra([spectrum], rows, Aligned()).placements
    assert placed.box_id == found


def test_units_are_not_mixed():
    with pytest.raises(ExchangeError, match="some elements are in weight %"):
        spectra_in([["defect", "O wt%", "Ni at%"], ["D3", "30", "70"]])


def test_x_and_y_are_places_and_not_yttrium():
    (spectrum,) = spectra_in([["label", "X", "Y", "O at%"], ["3", "1", "2", "100"]])
    assert spectrum.at_percent == {"O": 100}


@pytest.mark.parametrize(
    ("text", "symbol"),
    [("Ni", "Ni"), ("NiK", "Ni"), ("Ni K", "Ni"), ("OK", "O"), ("K K", "K"), ("Nd-L", "Nd"), ("Pb M", "Pb"),
     ("Eisen", "Fe"), ("tungsten", "W"), ("Silizium", "Si"), ("In stats.", None), ("Total", None), ("", None)],
)  # fmt: skip
def test_elements_by_symbol_line_and_name(text, symbol):
    assert element_in(text) == symbol


@pytest.mark.parametrize(
    ("text", "unit"),
    [("Weight %", "wt"), ("All results in atomic%", "at"), ("Mass percent (%)", "wt"), ("Gew.-%", "wt"),
     ("[At.-%]", "at"), ("Atom-%", "at"), ("Massenprozent", "wt"), ("", ""),
     ("Weight % and atomic %", ""), ("Date at noon", "")],
)  # fmt: skip
def test_units_in_words(text, unit):
    assert unit_in(text) == unit


CELLS = st.sampled_from(
    ["", "D3", "3", "Element", "Wt%", "Atomic %", "O", "Ni K", "Eisen", "30,5", "1.234,5", "-1", "nan", "Weight %",
     "Total", "O at%", "Ni wt%", "X", "Y", "Spectrum", "stage_x_mm", "stage_y_mm", "1e300", "٣"]
) | st.text(max_size=6)  # fmt: skip


@given(st.lists(st.lists(CELLS, max_size=6), max_size=12), st.sampled_from([None, "at", "wt"]))
def test_any_table_gives_compositions_or_a_sentence(rows, unit):
    try:
        spectra = spectra_in(rows, unit=unit)
    except MicroscopeQCError as error:
        assert error.message and error.hint
        return
    for spectrum in spectra:
        amounts = [*spectrum.at_percent.values(), *spectrum.wt_percent.values()]
        assert np.isfinite(amounts).all() and min(amounts, default=0) >= 0
        assert set(spectrum.at_percent) <= set(ATOMIC_WEIGHT)


def amounts_of(spectrum, unit):
    return {a.element: (round(a.percent, 2), a.sigma and round(a.sigma, 3)) for a in spectrum.amounts if a.unit == unit}


def test_errors_are_read_where_a_table_says_how_many_sigma_they_are():
    (esprit,) = spectra_in([row.split(";") for row in ESPRIT.splitlines()])
    # of mass % that add up to 97: scaled as these are
    assert amounts_of(esprit, "wt")["Ni"] == (50, pytest.approx(1.2 * 50 / 48.5, abs=1e-3))
    assert amounts_of(esprit, "at")["Ni"] == (27.78, None)
    (team,) = spectra_in([row.split(",") for row in TEAM.splitlines()])
    assert team.sigma == {}
    aztec = [["D3"], ["Element", "Wt%", "Wt% Sigma"], ["O", "30", "0.3"], ["Ni", "70", "0.5"]]
    (known,) = spectra_in(aztec)
    assert amounts_of(known, "wt") == {"O": (30, 0.3), "Ni": (70, 0.5)}
    aztec[1][2] = "Wt% (3 sigma)"
    (tripled,) = spectra_in(aztec)
    assert amounts_of(tripled, "wt") == {"O": (30, 0.1), "Ni": (70, 0.167)}
    percent, sigma = amounts_of(known, "at")["O"]
    rng = np.random.default_rng(3)
    o, ni = rng.normal(30, 0.3, 100_000) / 15.999, rng.normal(70, 0.5, 100_000) / 58.693
    assert sigma == pytest.approx((100 * o / (o + ni)).std(), rel=0.02) and percent == pytest.approx(61.12, abs=0.01)


def test_weight_and_atom_percent_that_do_not_agree_are_said():
    rows = [["D3"], ["Element", "Wt%", "Atomic %"], ["O", "61.15", "30"], ["Ni", "38.85", "70"]]
    (swapped,) = spectra_in(rows)
    assert "seem to be swapped" in swapped.notes[0] and swapped.doubts == swapped.notes
    (right,) = spectra_in([row.split(",") for row in TEAM.splitlines()])
    assert right.notes == ()


def test_sheets_of_weight_and_atom_percent_are_one_spectrum(tmp_path):
    book = Workbook()
    for line in (["Atomic %"], ["Spectrum", "O", "Ni"], ["D3", 61.13, 38.87], ["D4", 60, 40]):
        book.active.append(line)
    second = book.create_sheet("wt")
    for line in (["Weight %"], ["Spectrum", "O", "Ni"], ["D3", 30, 70], ["D5", 30, 70]):
        second.append(line)
    book.create_sheet("empty")
    book.save(tmp_path / "a.xlsx")
    three, four, five = read_spectra(tmp_path / "a.xlsx")
    assert [s.label for s in (three, four, five)] == ["D3", "D4", "D5"]
    assert three.wt_percent == {"O": 30, "Ni": 70} and not three.computed and three.notes == ()
    assert all(amount.measured for amount in three.amounts) and not four.wt_percent and five.computed


@pytest.mark.parametrize(
    ("line", "kv"),
    [("Accelerating Voltage: 20.00 kV", 20), ("HV;15,0 kV", 15), ("Primärenergie 12 keV", 12), ("Date 20 May", None)],
)
def test_the_voltage_is_read_where_the_table_says_it(line, kv):
    rows = [line.split(";"), ["Weight %"], ["Spectrum", "O", "Ni"], ["D3", "30", "70"]]
    assert spectra_in(rows)[0].kv == kv
    (wide,) = spectra_in([["Spectrum", "kV", "O wt%"], ["D3", "20", "100"]])
    assert wide.kv == 20 and wide.wt_percent == {"O": 100}


@pytest.mark.parametrize(
    ("label", "kind"),
    [("D3", "point"), ("A1 ref", "reference"), ("Referenz 2", "reference"), ("Area 3", "area"), ("Linear", "point")],
)
def test_labels_say_what_kind_of_measurement_it_is(label, kind):
    assert spectra_in([["Spectrum", "O at%"], [label, "100"]])[0].kind == kind


def test_tables_of_older_esprit_versions():
    head = "El;AN;Series;unn. C [wt.%];norm. C [wt.%];Atom. C [at.%];Error (1 Sigma) [wt.%]"
    lines = ["Spectrum: D3", head, "Ni;28;K-series;48,50;50,00;27,78;1,20", "O;8;K-series;29,10;30,00;61,15;2,80",
             "Co;27;K-series;19,40;20,00;11,07;0,50", ";;Total;97,00;100,00;100,00;"]  # fmt: skip
    (spectrum,) = spectra_in([line.split(";") for line in lines])
    assert spectrum.label == "D3" and spectrum.notes == ()
    assert spectrum.wt_percent == {"Ni": 50, "O": 30, "Co": 20} and spectrum.at_percent["O"] == 61.15
    assert spectrum.sigma["wt"]["Ni"] == pytest.approx(1.2 * 50 / 48.5)


@pytest.mark.parametrize(
    ("rows", "left_out"),
    [
        ([["Spectrum", "O at%", "Xx at%", "Total at%"], ["D3", "60", "40", "100"]], ["Xx at%"]),
        ([["Spectrum", "O wt%", "SiO2 [wt.%]", "Ni wt% sigma"], ["D3", "60", "40", "1"]], ["SiO2 [wt.%]"]),
        ([["D3"], ["Element", "Atomic %"], ["O", "60"], ["Qq", "40"], ["Totals", "100"]], ["Qq"]),
        ([["Spectrum", "O at%", "Xx at%"], ["D3", "100", ""]], []),
        ([["Spectrum", "O at%", "at%", "Comment"], ["D3", "100", "5", "wt% of oxides"]], []),
    ],
)
def test_what_is_no_element_is_left_out_and_said(rows, left_out):
    (spectrum,) = spectra_in(rows)
    assert list(spectrum.at_percent) == ["O"]
    assert [note for note in spectrum.notes if "not an element" in note] == [
        f"“{name}” is not an element and is left out." for name in left_out
    ]


@pytest.mark.parametrize("layout", ["columns", "block"])
@pytest.mark.parametrize(
    ("at", "wt", "measured", "left_out"),
    [
        ((0, 0), (30, 70), "wt", "atom %"),
        ((30, 70), (0, 0), "at", "weight %"),
        ((30, 70), (0, 0, 0), "at", "weight %"),
        ((0, 0), (30, 70, 0), "wt", "atom %"),
    ],
)
def test_amounts_that_are_all_zero_in_one_unit_were_not_measured_in_it(layout, at, wt, measured, left_out):
    names = ["O", "Ni", "Fe"]
    cells = {"at%": dict(zip(names, at, strict=False)), "wt%": dict(zip(names, wt, strict=False))}
    if layout == "columns":
        heads = [f"{e} {unit}" for unit, known in cells.items() for e in known]
        rows = [["Spectrum", *heads], ["D3", *(str(n) for known in cells.values() for n in known.values())]]
    else:
        lines = [[e, *(str(known.get(e, "")) for known in cells.values())] for e in names[: max(len(at), len(wt))]]
        rows = [["D3"], ["Element", "Atomic %", "Weight %"], *lines]
    (spectrum,) = spectra_in(rows)
    known = {(a.unit, a.element): a.percent for a in spectrum.amounts}
    assert known[measured, "O"] == 30 and known[measured, "Ni"] == 70
    assert all(known[unit, e] > 0 for unit in ("at", "wt") for e in ("O", "Ni"))
    assert not spectrum.doubts and spectrum.notes == (f"Its {left_out} are all 0: they are left out.",)


def test_zeros_of_one_unit_do_not_hide_that_elements_are_in_different_units():
    with pytest.raises(ExchangeError, match="some elements are in weight % and others in atom %"):
        spectra_in([["Spectrum", "O at%", "Ni wt%"], ["D3", "60", "0"]])


@pytest.mark.parametrize(
    ("heading", "total"),
    [("Total", True), ("Totals", True), ("Summe:", True), ("Total at%", True), ("Total [norm. wt.%]", True),
     ("Sum (Weight %)", True), ("Total Massenprozent", True), ("Gesamt Gew.-%", True), ("Total atomic", True),
     ("Total counts", False), ("Total Counts (cps)", False), ("Sum spectrum", False), ("Total time", False),
     ("Total C", False), ("Total 2", False), ("Total unn. [wt.%]", False), ("Totally", False)],
)  # fmt: skip
def test_only_a_total_of_amounts_is_one(heading, total):
    assert is_total(heading) is total


@pytest.mark.parametrize("heading", ["Mag", "Wd", "Kv", "Cts", "Cps", "Id", "Fov", "Lt", "Live time", "kV", "WD"])
def test_settings_of_the_microscope_do_not_look_like_elements(heading):
    assert not is_like_element(heading) and is_like_element("Xx") and is_like_element("Qq K")


def test_counts_and_settings_beside_amounts_are_no_doubt():
    heads = ["Spectrum", "O at%", "Ni at%", "Total counts", "Mag", "kV", "Live time", "WD", "Wd", "Cps", "Total"]
    (spectrum,) = spectra_in([heads, ["D3", "60", "40", "250000", "500", "20", "30", "10", "10", "9000", "100"]])
    assert spectrum.doubts == () and spectrum.notes == () and spectrum.kv == 20
    lines = [["Atomic %"], ["Spectrum", "D3"], ["O", "60"], ["Ni", "40"], ["Total counts", "250000"], ["Mag", "500"]]
    (spectrum,) = spectra_in(lines)
    assert spectrum.doubts == () and spectrum.notes == ()
