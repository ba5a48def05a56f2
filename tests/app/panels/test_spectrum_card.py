"""The spectrum behind a composition on the card of a finding, and its import in the window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("qtpy")
from spectrum_toys import counts_of, msa

from microscope_qc.app.base.settings import AppSettings
from microscope_qc.app.panels.finding.composition import MEAN, CompositionCard
from microscope_qc.app.panels.finding.spectrum import SpectrumView
from microscope_qc.app.panels.sem.measurements import MeasurementList
from microscope_qc.app.widgets.crops import CropProvider
from microscope_qc.core.jobs import run_job
from microscope_qc.core.xray_spectrum import XraySpectrum
from microscope_qc.correlation.emsa import read_emsa
from microscope_qc.workflows.stage.edx import import_edx

pytestmark = pytest.mark.window
COUNTS = counts_of({"O": 300, "Ni": 900, "Mn": 200})


@pytest.fixture
def spectra(tmp_path: Path) -> list[Path]:
    made = []
    for name in ("D3", "Spectrum 7"):
        path = tmp_path / f"{name}.msa"
        path.write_text(msa(COUNTS, title=name))
        made.append(path)
    return made


def test_peaks_are_named_where_there_is_room(qtbot: Any) -> None:
    view = SpectrumView()
    qtbot.addWidget(view)
    view.resize(320, view.sizeHint().height())
    view.show_spectrum(XraySpectrum(-20, 10, tuple(COUNTS), kv=15), ["Ni", "O", "Mn"])
    view.show()
    view.grab()
    named = [line.words for line in view.named]
    assert named[0] == "Ni Lα" and {"O Kα", "Mn Kα"} <= set(named)
    assert "Ni Lβ" in [line.words for line in view.lines] and "Ni Lβ" not in named  # it would lie on Ni Lα
    assert "Ni Kα" not in [line.words for line in view.lines]  # the spectrum ends before it
    assert "O Kα 0.52 keV" in view.accessibleName()
    assert view.words_at(view._x(850)).startswith("0.8") and "Ni Lα" in view.words_at(view._x(850))
    view.set_logarithmic(True)
    view.grab()
    view.show_spectrum(None)
    assert not view.isVisible()


@pytest.mark.parametrize("counts", [(0.0,), (0.0, 0.0), (-5.0, 3.0), (1e12,)])
def test_odd_spectra_are_drawn(qtbot: Any, counts: tuple[float, ...]) -> None:
    view = SpectrumView()
    qtbot.addWidget(view)
    view.resize(200, 100)
    view.show_spectrum(XraySpectrum(0, 1, counts), ["O"])
    view.show()
    view.grab()
    assert view.words_at(50) is not None


def test_the_card_shows_and_saves_the_spectrum(session: Any, qtbot: Any, tmp_path: Path, spectra: list[Path]) -> None:
    table, out = tmp_path / "a.csv", tmp_path / "out.msa"
    table.write_text("Spectrum,O at%,Ni at%\nD3,60,40\nD3 b,50,50\n")
    for files in (table, spectra):
        run_job(import_edx(session.project, files))
    asked: list[str] = []
    card = CompositionCard(session, ask_save=lambda path: asked.append(path) or str(out))
    qtbot.addWidget(card)
    card.resize(300, 600)
    card.show_finding(session.table.get([3])[0])
    card.show()
    assert card.which.currentData() == MEAN and card.spectrum.spectrum is not None
    assert card.words.text().startswith("The spectrum is that of D3.")
    card.save_spectrum.click()
    assert Path(asked[0]).name == "1_D3.msa" and read_emsa(out).counts == tuple(COUNTS)
    card.which.setCurrentIndex(2)
    card.which.activated.emit(2)
    assert card.spectrum.spectrum is None and not card.save_spectrum.isVisible()
    session.project.history.undo()
    card.show_finding(session.table.get([3])[0])
    assert card.spectrum.spectrum is None
    card.show_finding(None)
    assert not card.isVisible()


def test_spectra_are_imported_at_once_and_listed(
    session: Any, jobs: Any, qtbot: Any, spectra: list[Path], tmp_path: Path
) -> None:
    crops = CropProvider(workers=1)
    panel = MeasurementList(session, jobs, AppSettings(), save=lambda: None, crops=crops)
    qtbot.addWidget(panel)
    panel.show()
    dialog = panel.import_from(*spectra)
    qtbot.waitUntil(dialog.take.isEnabled)
    assert [(row.label, row.finding, row.composition) for row in dialog.rows.rows] == [
        ("D3", 3, "spectrum of 700 channels, 15 kV, 30.5 s"),
        ("Spectrum 7", None, "spectrum of 700 channels, 15 kV, 30.5 s"),
    ]
    assert not dialog.ask_columns.isVisible()
    dialog.accept()
    qtbot.waitUntil(lambda: [row.composition for row in panel.model.rows] == ["spectrum", "spectrum"])
    assert session.project.history.undo_title == "Import 2 measurements from 2 files"
    crops.close()
