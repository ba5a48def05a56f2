"""Models on this computer, and what each was trained on."""

from __future__ import annotations

from html import escape

from qtpy.QtWidgets import QDialog, QDialogButtonBox, QLabel, QScrollArea, QVBoxLayout, QWidget

from microscope_qc.app.base import theme


class ModelsDialog(QDialog):
    """One paragraph per model."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        from microscope_qc.ml.library import list_models

        self.setWindowTitle("Models on this computer")
        self.resize(560, 420)
        cards = list_models()
        holder = QWidget()
        inner = QVBoxLayout(holder)
        inner.setSpacing(2 * theme.STEP)
        for card in cards:
            size = "any pixel size" if card.pixel_size_um is None else f"{card.pixel_size_um:g} µm per pixel"
            label = QLabel(
                f"<b>{escape(card.name)}</b><br>{escape(card.trained_on)}<br>"
                f"Classes: {escape(', '.join(card.classes))}<br>Made for {size}"
            )
            label.setWordWrap(True)
            inner.addWidget(label)
        if not cards:
            inner.addWidget(QLabel("There is no model on this computer yet. Training makes one."))
        inner.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QScrollArea.Shape.NoFrame)
        area.setWidget(holder)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP, 2 * theme.STEP)
        column.addWidget(area, 1)
        column.addWidget(buttons)
