"""Command ``plugin``: what other packages add, and the beginning of a package of one's own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from microscope_qc.cli.parts import add_json

if TYPE_CHECKING:
    from microscope_qc.cli.parts import Commands


def register(subparsers: Commands) -> None:
    """Add the command."""
    plugin = subparsers.add_parser(
        "plugin",
        description="What other packages have added to this program, from where, and what was refused with the reason; "
        "and the beginning of a package of your own.",
    )
    add_json(plugin)
    plugin.set_defaults(handler=_list, json=False)
    actions = plugin.add_subparsers(required=False, metavar="ACTION", title="actions")
    listed = actions.add_parser(
        "list", help="list them, which is also done without an action", description="List them."
    )
    add_json(listed)
    listed.set_defaults(handler=_list)
    new = actions.add_parser(
        "new",
        help="write a package with a network, a slide format, a statistic and a panel, to begin with",
        description="Write the package microscope-qc-NAME with a network, a slide format, a statistic, a panel and "
        "their tests. It works as it is; its README says how it is installed.",
    )
    new.add_argument("name", metavar="NAME", help="small letters, digits and hyphens, such as our-lab")
    new.add_argument("--out", type=Path, default=Path(), metavar="DIR", help="where its folder is made (default: here)")
    add_json(new)
    new.set_defaults(handler=_new)


def _list(args: argparse.Namespace) -> int:
    from dataclasses import asdict

    from microscope_qc.cli.progress import print_json
    from microscope_qc.workflows.plugins import installed_plugins

    found = installed_plugins()
    if args.json:
        print_json({"plugins": [asdict(one) for one in found]})
        return 0
    if not found:
        print("No other package adds anything.")
    package = ""
    for one in found:
        if one.package != package:
            package = one.package
            print(" ".join(word for word in (package, one.version, f"({one.place})" if one.place else "") if word))
        print(f"  {one.what} {one.name}" + (f": refused. {one.refused}" if one.refused else ""))
    return 0


def _new(args: argparse.Namespace) -> int:
    from microscope_qc.cli.progress import print_json
    from microscope_qc.workflows.plugin_template import new_plugin

    made = new_plugin(args.name, args.out.expanduser().absolute())
    if args.json:
        print_json({
            "folder": made.folder, "distribution": made.distribution, "package": made.package, "files": made.files,
        })  # fmt: skip
    else:
        print(f"{made.folder} is written. Its README says how it is installed.")
    return 0
