"""Chooses the device and the precision."""

from __future__ import annotations

import contextlib
import os
from contextlib import AbstractContextManager

import torch

from microscope_qc.core.errors import InputError


def choose_device(wanted: str = "auto") -> torch.device:
    """Device for a name such as "auto", "cpu", "cuda" or "cuda:0".

    Raises
    ------
    InputError
        When this computer does not have it.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise InputError(f"{wanted!r} is not a device.", hint="Use auto, cpu or cuda:0.") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"The device {wanted} is not supported.", hint="Use auto, cpu or cuda:0.")
    if device.type == "cuda" and (not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count()):
        raise InputError(
            f"This computer has no device {wanted}.", hint="Choose auto or cpu (--device on the command line)."
        )
    return device


def use_threads(*, share: int | None = None) -> None:
    """Let torch use every CPU core this process may run on, or as many as OMP_NUM_THREADS says.

    On cores that are busy with something else, several threads are slower than one, because each step waits for the
    last of them: a training step with small crops took 0.06 s with one thread, and up to 3 s with two.

    Parameters
    ----------
    share
        Number of processes that do the same on this computer; each takes its share of the cores. OMP_NUM_THREADS is
        then ignored: dask sets it to 1 for every worker, whatever the user set.
    """
    said = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if share is None and said.isdecimal() and int(said) > 0:
        torch.set_num_threads(int(said))
        return
    import psutil

    cores = psutil.cpu_count(logical=False) or 1
    with contextlib.suppress(AttributeError, OSError):  # not on macOS
        cores = min(cores, len(psutil.Process().cpu_affinity()))
    torch.set_num_threads(max(1, cores // (share or 1)))


def fast_bfloat16(device: torch.device) -> bool:
    """Whether the device is faster with 16-bit arithmetic.

    Processors are not, even those with instructions for it (AVX-512 BF16): there a tile of the bundled detector takes
    44 ms of one core in 16 bits and 26 ms in 32, and a training step twice as long, since convolutions of single
    channels and normalisations have no fast 16-bit code.
    """
    return device.type == "cuda" and bool(torch.cuda.is_bf16_supported(including_emulation=False))


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Context in which convolutions run in bfloat16 where that is fast."""
    return torch.autocast(device.type, torch.bfloat16) if fast_bfloat16(device) else contextlib.nullcontext()


def graphics_cards() -> int:
    """Number of GPUs that torch can use."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def is_out_of_memory(error: Exception) -> bool:
    """Whether the GPU or the computer ran out of memory."""
    if isinstance(error, MemoryError | torch.cuda.OutOfMemoryError):
        return True
    words = ("out of memory", "can't allocate memory", "could not create a primitive", "not enough memory")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
