"""What a detection need not load before it begins."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
import torch
import microscope_qc.ml.engine.engine, microscope_qc.ml.tasks.detect
from microscope_qc.ml.architectures import build_detector
from microscope_qc.ml.architectures.ssd.network import candidates
network = build_detector("ssd-tiny", {}, classes=2).eval()
(found,) = candidates(network, torch.rand(1, 3, 64, 64), sizes=[(64, 64)], threshold=0.001)
assert len(found[0]), "overlapping boxes were dropped by torchvision"
assert "torchvision" in sys.modules
heavy = [name for name in ("torch._dynamo", "torch._inductor", "sympy", "scipy", "pandas", "lightning", "matplotlib")
         if name in sys.modules]
assert not heavy, heavy

# a torchvision that wants more of the compiler than today's gets the real one
import microscope_qc.ml.quick_torchvision as quick
later = sys.modules[quick._NAME] = quick._Later(quick._NAME)
assert later.is_compile_supported is not None and sys.modules[quick._NAME] is later, "nothing is loaded yet"
from torch._dynamo.utils import counters
assert counters is sys.modules[quick._NAME].counters and sys.modules[quick._NAME] is not later
assert isinstance(later.is_compile_supported("cpu"), bool)

# and so does whoever uses it afterwards
import torchvision
torchvision.ops.roi_align(torch.rand(1, 1, 8, 8), torch.tensor([[0, 0, 0, 4.0, 4.0]]), 2)
import torch._dynamo
assert torch._dynamo.utils.__file__.endswith("utils.py")
"""


def test_the_compiler_is_not_loaded_for_a_detection() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)
