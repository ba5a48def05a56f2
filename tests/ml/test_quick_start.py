"""What a detection does not need to load before it starts."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
import torch
import microscope_qc.ml.engine.engine
from microscope_qc.ml.architectures.dense.task import choose
from microscope_qc.ml.architectures.base import build_network
network = build_network("ssd-tiny", {}, classes=2).eval()
network(torch.rand(1, 3, 64, 64))
boxes, scores = torch.tensor([[1.0, 1, 20, 20], [2, 2, 21, 21], [40, 40, 60, 60]]), torch.tensor([0.9, 0.8, 0.7])
kept, _, _ = choose(boxes, scores, torch.zeros(3, dtype=torch.int64), size=(64, 64), iou=0.5, most=9)
assert len(kept) == 2, "overlapping boxes were dropped by torchvision"
assert "torchvision" in sys.modules
heavy = [name for name in ("torch._dynamo", "torch._inductor", "sympy", "scipy", "pandas", "lightning", "matplotlib")
         if name in sys.modules]
assert not heavy, heavy

# a torchvision that needs more of the compiler than today's gets the real one
import microscope_qc.ml.quick_torchvision as quick
later = sys.modules[quick._NAME] = quick._LazyCompiler(quick._NAME)
assert later.is_compile_supported is not None and sys.modules[quick._NAME] is later, "nothing is loaded yet"
from torch._dynamo.utils import counters
assert counters is sys.modules[quick._NAME].counters and sys.modules[quick._NAME] is not later
assert isinstance(later.is_compile_supported("cpu"), bool)

# and so does any code that uses it afterwards
import torchvision
torchvision.ops.roi_align(torch.rand(1, 1, 8, 8), torch.tensor([[0, 0, 0, 4.0, 4.0]]), 2)
levels = {"0": torch.rand(1, 4, 16, 16, requires_grad=True), "1": torch.rand(1, 4, 8, 8)}
pooled = torchvision.ops.MultiScaleRoIAlign(["0", "1"], 7, 2)(levels, [boxes], [(64, 64)])
assert pooled.shape == (3, 4, 7, 7)
pooled.sum().backward()
assert torchvision.ops.batched_nms(boxes, scores, torch.zeros(3), 0.5).tolist() == [0, 2]
from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn as faster
network = faster(weights=None, weights_backbone=None, num_classes=3)
target = {"boxes": boxes * 4, "labels": torch.tensor([1, 2, 1])}
sum(network([torch.rand(3, 256, 256)], [target]).values()).backward()
assert len(network.eval()([torch.rand(3, 256, 256)])) == 1
torch.use_deterministic_algorithms(True)
torchvision.ops.roi_align(levels["0"], [boxes], 2).sum().backward()
torch.use_deterministic_algorithms(False)
import torch._dynamo
assert torch._dynamo.utils.__file__.endswith("utils.py")
"""


def test_the_compiler_is_not_loaded_for_a_detection() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)
