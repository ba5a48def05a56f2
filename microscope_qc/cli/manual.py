"""Command ``manual``: the manual in the terminal."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import add_json

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands


def register(subparsers: Commands) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "manual",
        description="Without anything, list the pages of the manual; with words, the places where all of them occur; "
        "with --page, print a page. The window shows it with pictures: F1.",
    )
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="what to search for; the beginning of a word is enough"
    )
    parser.add_argument("--page", metavar="NAME", help="print this page, such as tasks/first-steps")
    add_json(parser)
    parser.set_defaults(handler=_manual, json=False)


def _manual(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from microscope_qc.cli.progress import print_json
    from microscope_qc.core.manual import INDEX, manual

    book = manual()
    if args.page is not None:
        page = book.pages[book.resolve(INDEX, args.page)[0]]
        if args.json:
            print_json({"page": page.name, "title": page.title, "markdown": page.markdown})
        else:
            print(page.markdown)
    elif args.words:
        hits = book.search(" ".join(args.words))
        if args.json:
            print_json({"hits": [asdict(hit) for hit in hits]})
        for hit in hits if not args.json else ():
            print(f"{hit.page}: {hit.heading}\n    {hit.around}")
        if not hits and not args.json:
            print("Nothing in the manual has all of these words.")
    elif args.json:
        print_json({"contents": [{"title": title, "pages": names} for title, names in book.contents]})
    else:
        for title, names in book.contents:
            print(title)
            for name in names:
                print(f"  {name:<24} {book.pages[name].title}")
    return 0
