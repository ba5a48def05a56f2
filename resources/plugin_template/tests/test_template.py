"""What the package adds works, and is offered by the program where the package is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from microscope_qc_template import slides, statistics
from microscope_qc_template.architecture import NETWORK, Settings

from microscope_qc.analysis.registry import Sample
from microscope_qc.core.boxes import make_rows
from microscope_qc.core.errors import SlideError
from microscope_qc.core.geometry import Region


def test_a_slide_is_read_as_it_was_written(tmp_path: Path) -> None:
    pixels = np.arange(600, dtype=np.uint16).reshape(20, 30).astype(np.uint8)
    slides.write(tmp_path / "a.template", pixels, 0.5)
    with slides.open_slide(tmp_path / "a.template") as slide:
        (mosaic,) = slide.scenes
        assert mosaic.pixel_size_um == (0.5, 0.5)
        np.testing.assert_array_equal(np.squeeze(mosaic.read(Region(3, 4, 10, 12))), pixels[3:10, 4:12])


@pytest.mark.parametrize("damage", [b"", b"{}\n", b'{"template": 1, "shape": [2, 2], "pixel_size_um": 1}\nabc'])
def test_a_damaged_slide_is_refused_with_a_sentence(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "a.template").write_bytes(damage)
    with pytest.raises(SlideError):
        slides.open_slide(tmp_path / "a.template")


def test_the_distance_is_that_to_the_nearest() -> None:
    x0 = np.array([0.0, 10.0, 40.0])
    rows = make_rows(3, class_id=1, y0=0.0, y1=2.0, x0=x0, x1=x0 + 2)
    found = statistics.distance_um(Sample(rows, (), (0.5, 0.5)))
    assert found is not None
    assert (found.value, found.n) == (5.0, 3)  # of 10, 10 and 30 px
    assert statistics.distance_um(Sample(rows[:1], (), (0.5, 0.5))) is None


def test_the_network_scores_windows() -> None:
    import torch

    settings = Settings(widths=(8, 16))
    network = NETWORK.build(settings, classes=3)
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 4)
    assert network.maps(torch.zeros(1, 3, 64, 64)).shape == (1, 4, 64 // NETWORK.stride_px(settings), 16)


def test_the_program_offers_it() -> None:
    from microscope_qc.analysis.registry import STATISTICS
    from microscope_qc.ml.architectures.base import ARCHITECTURES
    from microscope_qc.slides.registry import READERS

    if "template-net" not in ARCHITECTURES:
        pytest.skip("the package is not installed")
    assert ARCHITECTURES.get("template-net") is NETWORK
    assert READERS.get("template-slide") is slides.READER
    assert STATISTICS.get("template-distance") is statistics.DISTANCE
