"""Defect classes and the built-in class sets."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from microscope_qc.core.class_colours import PALETTE

CLASS_KEYS = (*"1234567890", *(f"Shift+{digit}" for digit in "1234567890"))
"""Keys that a class can have, in the order in which classes get them."""


@dataclass(frozen=True, slots=True)
class DefectClass:
    """One kind of defect.

    ``id`` is its id in the project (0 while it does not belong to one), ``key`` one of ``CLASS_KEYS`` or "",
    ``weight`` its severity: 1 is normal, larger values come earlier in "worst first". ``box_size_um`` is the side of
    the box that one click makes (None: the default). ``example_box`` is the id of a box that shows a typical defect
    (0: none), ``example_picture`` an image file of one inside the project's folder. ``group`` is the part of the sample
    that it belongs to, as anode or cathode ("" for none).
    """

    code: str
    name: str
    colour: str = PALETTE[0]
    key: str = ""
    description: str = ""
    weight: float = 1.0
    id: int = 0
    position: int = 0
    box_size_um: float | None = None
    example_box: int = 0
    example_picture: str = ""
    group: str = ""


def _make(
    rows: list[tuple[str, str, str, float]], groups: Mapping[str, Sequence[str]] | None = None
) -> tuple[DefectClass, ...]:
    group_of = {code: group for group, codes in (groups or {}).items() for code in codes}
    return tuple(
        DefectClass(
            code, name, PALETTE[i], CLASS_KEYS[i], description, weight, 0, i,
            group=group_of.get(code, ""),
        )
        for i, (code, name, description, weight) in enumerate(rows)
    )  # fmt: skip


LI_ION_CLASSES = _make(
    [
        ("ACP", "Anode carbon particle", "Oversized compact carbon particle in the graphite coating", 1.0),
        ("AOP", "Anode oxide particle", "Bright oxide particle in the graphite coating", 2.0),
        ("AFP", "Anode filled pore", "Pore of the graphite coating filled with another material", 1.0),
        ("AHS", "Anode hollow space", "Empty space in the graphite coating", 1.5),
        ("CFA", "Cathode fluoride agglomerate", "Dark agglomerate of binder or fluoride in the cathode coating", 1.5),
        ("CRP", "Cathode round particle", "Round foreign particle in the cathode coating", 1.0),
        ("COP", "Cathode oxide particle", "Bright oxide particle in the cathode coating", 2.0),
        ("GEO", "Geometry", "Dent, bulge, fold or delamination of a layer", 2.0),
        ("CRK", "Crack", "Crack through a coating", 2.0),
        ("PRA", "Preparation artefact", "Scratch, smear, stain or pull-out made by the preparation", 0.25),
    ],
    groups={"Anode": ("ACP", "AOP", "AFP", "AHS"), "Cathode": ("CFA", "CRP", "COP"), "Preparation": ("PRA",)},
)
"""The ten classes of Li-ion cross-sections (methods, section 1).

Geometry and cracks belong to no group: they occur in either electrode and between them.
"""

PATCH_CLASSES = _make(
    [
        ("FP", "Foreign particle", "", 1.5),
        ("CR", "Crack", "", 2.0),
        ("PO", "Pore", "", 1.0),
        ("GI", "Geometric irregularity", "", 1.5),
        ("PA", "Preparation artefact", "", 0.25),
        ("ND", "No defect", "", 0.1),
    ]
)
"""The six classes of the patch classifiers."""

MAGNET_CLASSES = _make(
    [
        ("OXA", "Oxide accumulation", "", 1.0),
        ("LOX", "Large oxide", "", 1.5),
        ("LPO", "Large pore", "", 1.5),
        ("FLU", "Fluoride", "", 1.0),
    ]
)
"""Sintered NdFeB magnets."""

CLASS_SETS = {"li-ion": LI_ION_CLASSES, "patches": PATCH_CLASSES, "magnet": MAGNET_CLASSES}


def next_key(used: Container[str]) -> str:
    """Return the first key that no class has, "" when all are taken."""
    return next((key for key in CLASS_KEYS if key not in used), "")


def grouped(classes: Iterable[DefectClass]) -> dict[str, list[DefectClass]]:
    """Return classes by group, in the order in which each group is met first; those without a group come last."""
    found: dict[str, list[DefectClass]] = {}
    for defect in classes:
        found.setdefault(defect.group, []).append(defect)
    without = found.pop("", [])
    return {**found, "": without} if without else found
