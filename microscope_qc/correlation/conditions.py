"""Conditions on a composition as a user writes them: ``O > 20 and Si + Zr > 5``, ``Ni/(Ni+Mn+Co) = 0.4 ± 0.05``."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from microscope_qc.core.elements import ATOMIC_WEIGHT
from microscope_qc.core.errors import InputError

Percent = Mapping[str, float]
"""Atom % by element; what is not there is 0."""

LONGEST = 500
HOW = (
    "Write symbols of elements for their atom %, + - * /, < > <= >=, = with ±, and, or, abs(); ref(O) is that of the "
    "reference beside it. Such as: O > ref(O) + 2 and C > 50."
)
_PLAIN = ((r"(?<=\d),(?=\d)", "."), (r"\s*(at\.?-?)?%", ""), (r"\+/-|\+-|±", "@"), ("≤", "<="), ("≥", ">="))
_EQUAL = re.compile(r"(?<![<>=!])=(?!=)")
_SUMS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.Div: lambda a, b: a / b if b else math.nan,
}  # fmt: skip
_ORDERS: dict[type[ast.cmpop], tuple[str, Callable[[float, float], bool]]] = {
    ast.Lt: ("<", operator.lt), ast.LtE: ("≤", operator.le), ast.Gt: (">", operator.gt), ast.GtE: ("≥", operator.ge),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that can be asked."""

    text: str
    tree: ast.expr

    def holds(self, amounts: Percent, reference: Percent | None = None) -> list[str] | None:
        """Say why it holds for a composition, with the numbers; None where it does not.

        Parameters
        ----------
        reference
            What was measured beside it. Without one nothing that asks for it holds.
        """
        return _Asked(amounts, reference).why(self.tree)


def condition(text: str) -> Condition:
    """Read a condition.

    Raises
    ------
    InputError
        When it cannot be understood.
    """
    said = text.strip()
    for pattern, plain in _PLAIN:
        said = re.sub(pattern, plain, said)
    try:
        tree = ast.parse(_EQUAL.sub("==", said[: LONGEST + 1]), mode="eval").body if len(said) <= LONGEST else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    problem = "cannot be read" if tree is None else _problem_of_truth(tree)
    if problem or tree is None:
        raise InputError(f"The condition “{text.strip()[:60]}” {problem}.", hint=HOW)
    return Condition(text.strip(), tree)


def _problem_of_truth(node: ast.expr) -> str:
    """Why a part is nothing that holds or does not; "" for nothing."""
    if isinstance(node, ast.BoolOp):
        return next((problem for part in node.values if (problem := _problem_of_truth(part))), "")
    if not isinstance(node, ast.Compare):
        return f"compares nothing in “{ast.unparse(node)[:40]}”"
    for order, right in zip(node.ops, node.comparators, strict=True):
        near = isinstance(right, ast.BinOp) and isinstance(right.op, ast.MatMult)
        if isinstance(order, ast.Eq) is not near:
            return "needs ± after =, and only there"
        if not isinstance(order, (ast.Eq, *_ORDERS)):
            return "compares in an unknown way"
    sides: list[ast.expr] = [node.left]
    for right in node.comparators:
        near = isinstance(right, ast.BinOp) and isinstance(right.op, ast.MatMult)
        sides += [right.left, right.right] if near and isinstance(right, ast.BinOp) else [right]
    return next((problem for side in sides if (problem := _problem_of_number(side))), "")


def _problem_of_number(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            return ""
        case ast.Name(id=name):
            return "" if name in ATOMIC_WEIGHT else f"names no element with “{name[:20]}”"
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _SUMS:
            return _problem_of_number(left) or _problem_of_number(right)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            return _problem_of_number(operand)
        case ast.Call(func=ast.Name(id="ref" | "abs"), args=[argument], keywords=[]):
            return _problem_of_number(argument)
    return f"cannot be computed at “{ast.unparse(node)[:40]}”"


@dataclass(frozen=True, slots=True)
class _Asked:
    amounts: Percent
    reference: Percent | None

    def why(self, node: ast.expr) -> list[str] | None:
        if isinstance(node, ast.BoolOp):
            parts = [self.why(part) for part in node.values]
            held = [part for part in parts if part is not None]
            enough = len(held) == len(parts) if isinstance(node.op, ast.And) else bool(held)
            return list(dict.fromkeys(words for part in held for words in part)) if enough else None
        assert isinstance(node, ast.Compare)
        words, left = self.said(node.left), self.value(node.left)
        for order, side in zip(node.ops, node.comparators, strict=True):
            if isinstance(order, ast.Eq):
                assert isinstance(side, ast.BinOp)
                right, off = self.value(side.left), self.value(side.right)
                if not abs(left - right) <= off:
                    return None
                words += f" = {right:.3g} ± {off:.3g}"
            else:
                sign, holds = _ORDERS[type(order)]
                right = self.value(side)
                if not holds(left, right):
                    return None
                words += f" {sign} {right:.3g}" if side is node.comparators[-1] else f" {sign} {self.said(side)}"
            left = right
        return [words]

    def said(self, node: ast.expr) -> str:
        """A part as it was written, with its value."""
        value = f"{self.value(node):.3g}"
        return value if isinstance(node, ast.Constant) else f"{ast.unparse(node).replace(' / ', '/')} {value}"

    def value(self, node: ast.expr) -> float:
        match node:
            case ast.Constant(value=number):
                return float(number)  # type: ignore[arg-type]
            case ast.Name(id=name):
                return self.amounts.get(name, 0.0)
            case ast.BinOp(left=left, op=op, right=right):
                return _SUMS[type(op)](self.value(left), self.value(right))
            case ast.UnaryOp(op=sign, operand=operand):
                return -self.value(operand) if isinstance(sign, ast.USub) else self.value(operand)
            case ast.Call(func=ast.Name(id="abs"), args=[argument]):
                return abs(self.value(argument))
            case ast.Call(args=[argument]):
                return math.nan if self.reference is None else _Asked(self.reference, self.reference).value(argument)
        raise AssertionError(ast.dump(node))
