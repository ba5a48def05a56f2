"""How much is enough, against known answers and against the interval that it promises."""

from __future__ import annotations

import pytest

from microscope_qc.analysis.counts import count_interval, density, pooled_density
from microscope_qc.analysis.enough import enough, findings_needed


@pytest.mark.parametrize(("precision", "findings"), [(0.5, 24), (0.3, 56), (0.2, 116), (0.1, 423)])
def test_findings_for_a_precision_are_known(precision, findings):
    assert findings_needed(precision) == findings


def test_with_so_many_sections_the_interval_is_as_narrow_as_promised_and_with_one_less_it_is_not():
    known = pooled_density([14, 30, 22], [2.0, 2.0, 2.0])
    found = enough(known)
    assert found.sections > 3
    for sections, good in ((found.sections, True), (found.sections - 1, False)):
        assert sections >= 2
        count = 22 * sections
        assert (count_interval(count, sections, known.spread)[1] <= 1.3 * count) is good
    assert found.findings == pytest.approx(56 * known.spread, abs=1) and found.area_mm2 == found.findings / 11
    assert found.to_see_mm2 == pytest.approx(3.0 / 11, rel=2e-3)


def test_of_one_section_only_the_area_can_be_said_and_of_nothing_nothing():
    one = enough(density(8, 2.0))
    assert one.sections is None and one.findings == 56 and one.area_mm2 == 14
    assert enough(density(0, 2.0)) is None
