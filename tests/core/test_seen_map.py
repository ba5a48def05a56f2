"""What was viewed, and how closely."""

from __future__ import annotations

import json

import numpy as np
import pytest

from microscope_qc.core.seen_map import ZOOMS, SeenMap


def test_each_place_keeps_its_closest_view() -> None:
    seen = SeenMap((1000, 1000))
    assert seen.mark(0, 0, 1000, 500, 0.25)
    assert seen.mark(0, 0, 500, 500, 1.0)
    assert not seen.mark(0, 0, 500, 500, 0.5), "it was viewed more closely before"
    assert seen.share == pytest.approx(0.5, abs=0.01)
    shares = {zoom: seen.share_at(zoom) for zoom in ZOOMS}
    assert shares == pytest.approx({0.1: 0.5, 0.25: 0.5, 0.5: 0.25, 1.0: 0.25}, abs=0.01)
    assert seen.share_at(1.3) == 0 and seen.zoom_unknown == 0
    other = SeenMap((1000, 1000))
    other.take_dict(json.loads(json.dumps(seen.to_dict())))
    np.testing.assert_array_equal(other.levels, seen.levels)


def test_of_older_projects_the_zoom_is_not_known() -> None:
    seen = SeenMap((1000, 1000))
    seen.mark(0, 0, 1000, 250, 1.0)
    stored = seen.to_dict()
    del stored["zooms"]
    old = SeenMap((1000, 1000))
    old.take_dict(stored)
    assert old.share == seen.share == old.zoom_unknown
    assert old.share_at(min(ZOOMS)) == 0
    assert old.mark(0, 0, 1000, 250, 0.1) and old.zoom_unknown == 0


def test_any_zoom_is_kept_within_a_fifth() -> None:
    for zoom in np.geomspace(0.01, 40, 50).tolist():
        seen = SeenMap((100, 100))
        seen.mark(0, 0, 100, 100, zoom)
        assert seen.share_at(zoom) == 1 and seen.share_at(1.2 * zoom) == 0
