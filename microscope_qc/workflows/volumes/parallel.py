"""Runs work for the blocks of a volume in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from microscope_qc.core.jobs import Job, Progress

T = TypeVar("T")


def in_parallel(
    indices: Iterable[int],
    work: Callable[[int], T],
    workers: int,
    *,
    total: int,
    note: str,
    take: Callable[[T], None] | None = None,
) -> Job[None]:
    """Run work for each index; numpy, scipy and scikit-image leave the interpreter to others meanwhile.

    No more is begun than is running, so that cancelling waits for these few blocks only.

    Parameters
    ----------
    total
        How many there are with those that were done before.
    take
        Called with each result, in one thread.
    """
    waiting = list(indices)[::-1]
    done = total - len(waiting)
    yield Progress(done, total, "blocks", note)
    running: set[Future[T]] = set()
    with ThreadPoolExecutor(workers) as pool:
        while waiting or running:
            while waiting and len(running) < workers:
                running.add(pool.submit(work, waiting.pop()))
            ready, running = wait(running, return_when=FIRST_COMPLETED)
            for one in ready:
                result = one.result()
                if take is not None:
                    take(result)
                done += 1
                yield Progress(done, total, "blocks", note)
