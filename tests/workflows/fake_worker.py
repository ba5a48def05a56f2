"""A worker that runs no models: what a run folder is called says what becomes of the job."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from pathlib import Path


def say(**told: object) -> None:
    print(json.dumps(told), file=sys.stderr, flush=True)


def main() -> None:
    """Answer until stdin is closed."""
    told: queue.Queue[dict | None] = queue.Queue()

    def listen() -> None:
        while line := sys.stdin.readline():
            told.put(json.loads(line))
        told.put(None)

    threading.Thread(target=listen, daemon=True).start()
    while (entry := told.get()) is not None:
        number, name = entry.get("number"), Path(entry.get("folder", "")).name
        if name == "dies":
            print("it is broken", file=sys.stderr, flush=True)
            os._exit(3)
        if name == "fails":
            say(answer=number, state="failed", kind="SlideError", message="The slide is gone.")
        elif name in ("unforeseen", "full"):
            say(answer=number, state="failed", kind="OutOfMemory" if name == "full" else "", message="x")
        elif name == "deaf":
            say(done=1, total=9, unit="tiles", note="deaf")
            threading.Event().wait()
        elif name == "endless":
            say(done=2, total=9, unit="tiles", note="endless")
            later = []
            while (entry := told.get()) is not None and entry.get("cancel") != number:
                later.append(entry)
            for one in [entry, *later]:
                told.put(one)
            say(answer=number, state="stopped")
        elif "do" in entry:
            say(answer=number, state="finished")
    os._exit(0)


if __name__ == "__main__":
    main()
