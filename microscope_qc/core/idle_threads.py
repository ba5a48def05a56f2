"""How threads of a computation wait for each other: settings that its libraries read when they are loaded."""

from __future__ import annotations

from collections.abc import MutableMapping

_SPINS = "20000"
"""Some 50 us. Between two operations of a network there is less to wait: a training step took 0.27 s, as when threads
never sleep, and 0.38 s where they slept at once."""


def let_idle_threads_sleep(environment: MutableMapping[str, str]) -> None:
    """Let threads that wait sleep after a moment, which others on the computer would pay for; before torch is loaded.

    What the user has set stays.
    """
    if "OMP_WAIT_POLICY" not in environment:
        environment["OMP_WAIT_POLICY"] = "PASSIVE"
        environment.setdefault("GOMP_SPINCOUNT", _SPINS)  # of GNU's library, with which torch comes on Linux
