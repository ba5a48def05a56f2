"""The manual in the terminal."""

from __future__ import annotations

import json

import pytest

from microscope_qc.cli import main
from microscope_qc.core.manual import manual


def test_its_contents_a_page_and_a_search(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manual"]) == 0
    out = capsys.readouterr().out
    assert "panels/gallery" in out and "From a slide to the SEM in ten minutes" in out
    assert main(["manual", "--page", "panels/gallery"]) == 0
    assert capsys.readouterr().out.startswith("# Gallery\n")
    assert main(["manual", "tortuosity", "factor"]) == 0
    assert "reference/numbers: Tortuosity factor" in capsys.readouterr().out
    assert main(["manual", "zzzz"]) == 0
    assert "Nothing" in capsys.readouterr().out


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    documents = []
    for arguments in (["manual"], ["manual", "severity"], ["manual", "--page", "index"]):
        assert main([*arguments, "--json"]) == 0
        documents.append(json.loads(capsys.readouterr().out))
    contents, found, page = documents
    listed = {name for part in contents["contents"] for name in part["pages"]}
    assert listed == manual().pages.keys() - {"index"}
    assert found["hits"][0]["heading"] == "Severity"
    assert page["markdown"].startswith("# Contents")


def test_a_page_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["manual", "--page", "panels/none"]) == 2
    assert "no page panels/none" in capsys.readouterr().err
