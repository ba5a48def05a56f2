"""Symbols, names and standard atomic weights (CIAAW 2021, abridged), hydrogen to plutonium."""

from __future__ import annotations

import re
from collections.abc import Mapping

_TABLE = """
H 1.008 He 4.0026 Li 6.94 Be 9.0122 B 10.81 C 12.011 N 14.007 O 15.999 F 18.998 Ne 20.180 Na 22.990 Mg 24.305
Al 26.982 Si 28.085 P 30.974 S 32.06 Cl 35.45 Ar 39.95 K 39.098 Ca 40.078 Sc 44.956 Ti 47.867 V 50.942 Cr
51.996 Mn 54.938 Fe 55.845 Co 58.933 Ni 58.693 Cu 63.546 Zn 65.38 Ga 69.723 Ge 72.630 As 74.922 Se 78.971 Br
79.904 Kr 83.798 Rb 85.468 Sr 87.62 Y 88.906 Zr 91.224 Nb 92.906 Mo 95.95 Tc 97 Ru 101.07 Rh 102.91 Pd 106.42
Ag 107.87 Cd 112.41 In 114.82 Sn 118.71 Sb 121.76 Te 127.60 I 126.90 Xe 131.29 Cs 132.91 Ba 137.33 La 138.91
Ce 140.12 Pr 140.91 Nd 144.24 Pm 145 Sm 150.36 Eu 151.96 Gd 157.25 Tb 158.93 Dy 162.50 Ho 164.93 Er 167.26 Tm
168.93 Yb 173.05 Lu 174.97 Hf 178.49 Ta 180.95 W 183.84 Re 186.21 Os 190.23 Ir 192.22 Pt 195.08 Au 196.97 Hg
200.59 Tl 204.38 Pb 207.2 Bi 208.98 Po 209 At 210 Rn 222 Fr 223 Ra 226 Ac 227 Th 232.04 Pa 231.04 U 238.03 Np
237 Pu 244
"""
ATOMIC_WEIGHT: dict[str, float] = {
    symbol: float(weight) for symbol, weight in zip(_TABLE.split()[::2], _TABLE.split()[1::2], strict=True)
}

_ENGLISH = """
Hydrogen Helium Lithium Beryllium Boron Carbon Nitrogen Oxygen Fluorine Neon Sodium Magnesium Aluminium Silicon
Phosphorus Sulfur Chlorine Argon Potassium Calcium Scandium Titanium Vanadium Chromium Manganese Iron Cobalt Nickel
Copper Zinc Gallium Germanium Arsenic Selenium Bromine Krypton Rubidium Strontium Yttrium Zirconium Niobium Molybdenum
Technetium Ruthenium Rhodium Palladium Silver Cadmium Indium Tin Antimony Tellurium Iodine Xenon Caesium Barium
Lanthanum Cerium Praseodymium Neodymium Promethium Samarium Europium Gadolinium Terbium Dysprosium Holmium Erbium
Thulium Ytterbium Lutetium Hafnium Tantalum Tungsten Rhenium Osmium Iridium Platinum Gold Mercury Thallium Lead
Bismuth Polonium Astatine Radon Francium Radium Actinium Thorium Protactinium Uranium Neptunium Plutonium
"""
_GERMAN = """
Wasserstoff Helium Lithium Beryllium Bor Kohlenstoff Stickstoff Sauerstoff Fluor Neon Natrium Magnesium Aluminium
Silizium Phosphor Schwefel Chlor Argon Kalium Kalzium Scandium Titan Vanadium Chrom Mangan Eisen Kobalt Nickel Kupfer
Zink Gallium Germanium Arsen Selen Brom Krypton Rubidium Strontium Yttrium Zirkonium Niob Molybdän Technetium
Ruthenium Rhodium Palladium Silber Cadmium Indium Zinn Antimon Tellur Iod Xenon Cäsium Barium Lanthan Cer Praseodym
Neodym Promethium Samarium Europium Gadolinium Terbium Dysprosium Holmium Erbium Thulium Ytterbium Lutetium Hafnium
Tantal Wolfram Rhenium Osmium Iridium Platin Gold Quecksilber Thallium Blei Bismut Polonium Astat Radon Francium
Radium Actinium Thorium Protactinium Uran Neptunium Plutonium
"""
_ALSO = {
    "aluminum": "Al", "sulphur": "S", "cesium": "Cs", "silicium": "Si", "jod": "I", "wismut": "Bi",
}  # fmt: skip
_BY_NAME = _ALSO | {
    name.casefold(): symbol
    for names in (_GERMAN, _ENGLISH)
    for name, symbol in zip(names.split(), ATOMIC_WEIGHT, strict=True)
}
_WITH_LINE = re.compile(r"([A-Z][a-z]?)[ -]?[KLM](?:[ -]?(?:series|serie|alpha|beta|[αβab]\d?))?")


def element_in(text: str) -> str | None:
    """Return the symbol of the element that a cell names: "Ni", "NiK", "Ni K", "Nickel"; None for anything else."""
    text = text.strip()
    if text in ATOMIC_WEIGHT:
        return text
    match = _WITH_LINE.fullmatch(text)
    if match and match.group(1) in ATOMIC_WEIGHT:
        return match.group(1)
    return _BY_NAME.get(text.casefold())


def atomic_percent(weight_percent: Mapping[str, float]) -> dict[str, float]:
    """Atom % of a composition in weight %; the amounts are scaled to 100."""
    moles = {symbol: amount / ATOMIC_WEIGHT[symbol] for symbol, amount in weight_percent.items()}
    total = sum(moles.values())
    return {symbol: 100 * amount / total for symbol, amount in moles.items()} if total > 0 else {}
