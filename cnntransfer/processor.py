"""What the processor can do."""

from __future__ import annotations

import functools
import platform
from pathlib import Path


@functools.cache
def features() -> frozenset[str]:
    """The processor's instruction sets in Linux' words, such as ``avx2`` or ``asimd``.

    Elsewhere, or where Linux does not say, what Python knows of the processor, which is less: its
    architecture and what the system calls its family.
    """
    # There may be hundreds of cores; what the first says is enough.
    try:
        with Path("/proc/cpuinfo").open(encoding="ascii", errors="replace") as said:
            for line in said:
                name, _, value = line.partition(":")
                if name.strip() in ("flags", "Features"):
                    return frozenset(value.split())
    except OSError:
        pass
    return frozenset(filter(None, (platform.machine(), platform.processor())))
