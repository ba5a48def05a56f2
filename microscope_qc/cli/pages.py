"""The hidden command that prints a page of HTML as PDF with Qt's web engine, in a process of its own."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

MARGIN_MM = 14.0


def register(subparsers: Any) -> None:
    """Add the command to the parser."""
    parser = subparsers.add_parser("print-page")
    parser.add_argument("page", metavar="PAGE.html", type=Path)
    parser.add_argument("out", metavar="OUT.pdf", type=Path)
    parser.set_defaults(handler=_print_page)


def _print_page(args: argparse.Namespace) -> NoReturn:
    from microscope_qc.cli import DONE
    from microscope_qc.core.errors import InputError

    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    os.environ["QTWEBENGINE_CHROMIUM_FLAGS"] = "--disable-gpu --log-level=3"
    if sys.platform.startswith("linux") and os.geteuid() == 0:
        os.environ["QTWEBENGINE_DISABLE_SANDBOX"] = "1"  # it does not start for root otherwise
    try:
        from qtpy.QtCore import QMarginsF, QUrl
        from qtpy.QtGui import QPageLayout, QPageSize
        from qtpy.QtWebEngineCore import (
            QWebEnginePage,
            QWebEngineProfile,
            QWebEngineSettings,
            QWebEngineUrlRequestInfo,
            QWebEngineUrlRequestInterceptor,
        )
        from qtpy.QtWidgets import QApplication
    except ImportError as error:
        raise InputError(f"The web engine of Qt does not start here ({error}).") from error

    address = QUrl.fromLocalFile(str(args.page.resolve()))

    class OnlyThePage(QWebEngineUrlRequestInterceptor):
        """Lets the page load nothing but itself."""

        def interceptRequest(self, info: QWebEngineUrlRequestInfo) -> None:
            """Qt: a request of the page."""
            url = info.requestUrl()
            info.block(url.scheme() != "data" and url != address)

    app = QApplication([sys.argv[0]])
    profile, only = QWebEngineProfile(), OnlyThePage()
    profile.setUrlRequestInterceptor(only)
    page = QWebEnginePage(profile)
    for attribute in (
        QWebEngineSettings.WebAttribute.JavascriptEnabled,
        QWebEngineSettings.WebAttribute.LocalContentCanAccessFileUrls,
        QWebEngineSettings.WebAttribute.LocalContentCanAccessRemoteUrls,
        QWebEngineSettings.WebAttribute.PluginsEnabled,
    ):
        page.settings().setAttribute(attribute, False)
    layout = QPageLayout(
        QPageSize(QPageSize.PageSizeId.A4), QPageLayout.Orientation.Portrait,
        QMarginsF(MARGIN_MM, MARGIN_MM, MARGIN_MM, MARGIN_MM), QPageLayout.Unit.Millimeter,
    )  # fmt: skip
    page.loadFinished.connect(lambda loaded: page.printToPdf(str(args.out), layout) if loaded else app.exit(1))
    page.pdfPrintingFinished.connect(lambda _path, written: app.exit(0 if written else 1))
    page.renderProcessTerminated.connect(lambda _status, _code: app.exit(1))
    page.load(address)
    if app.exec() != 0:
        raise InputError("The web engine of Qt could not lay out the page.")
    os._exit(DONE)  # the page is written; Qt minds the order in which page and profile go
