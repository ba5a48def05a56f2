"""A detector as ONNX: for any number of pictures, and the same as the original."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from learning_toys import untrained_classifier, untrained_model

from microscope_qc.core.errors import InputError, ModelError
from microscope_qc.core.jobs import run_job
from microscope_qc.workflows.models import onnx as workflow
from microscope_qc.workflows.models.onnx import CHECKER, EXPORTER, export_onnx
from microscope_qc.workflows.models.shelf import find_model

MISSING = [name for name in (*EXPORTER, CHECKER) if importlib.util.find_spec(name) is None]
needs_packages = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (microscope-qc[onnx])")


@needs_packages
def test_the_file_computes_what_the_model_does(tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    written = run_job(export_onnx(find_model(untrained_model(tmp_path / "toy")), tmp_path / "toy"))
    assert written.path.name == "toy.onnx" and written.side_px == 128
    assert written.difference is not None and written.difference < 1e-4 and "compared" in written.words()[-1]
    props = {prop.key: json.loads(prop.value) for prop in onnx.load(str(written.path)).metadata_props}
    assert props["classes"] == ["ACP", "NEW"] and props["pixel_size_um"] == 0.5 and "nothing" in props["licence"]
    session = onnxruntime.InferenceSession(str(written.path))
    for count in (1, 2, 5):
        scores, boxes = session.run(None, {"pixels": np.full((count, 3, 128, 128), 90, np.float32)})
        assert len(scores) == len(boxes) == count and scores.shape[2] == 2 and 0 <= scores.min() <= scores.max() <= 1


@needs_packages
def test_a_file_that_computes_something_else_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "MOST_SCORES", -1.0)
    with pytest.raises(ModelError, match="not kept"):
        run_job(export_onnx(find_model(untrained_model(tmp_path / "toy")), tmp_path / "toy"))
    assert not (tmp_path / "toy.onnx").exists()


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "EXPORTER", ("no_such_package",))
    entry = find_model(untrained_model(tmp_path / "toy"))
    with pytest.raises(InputError, match=r"no_such_package, which is not installed\. Install microscope-qc\[onnx\]"):
        run_job(export_onnx(entry, tmp_path / "toy"))
    with pytest.raises(ModelError, match="only detectors"):
        run_job(export_onnx(find_model(untrained_classifier(tmp_path / "windows")), tmp_path / "toy"))
