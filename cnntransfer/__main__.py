"""``python -m cnntransfer`` and the ``cnntransfer`` command."""

from __future__ import annotations

import contextlib
import io
import os
import sys

#: The same as ``errors.ExitCode.INTERRUPTED``, which may not have been imported yet.
_INTERRUPTED = 130
#: Whatever is slow to take down, from NumPy (0.04 s) to TensorFlow (0.6 s), has loaded this.
_SLOW_TO_LEAVE = "numpy"


def main() -> int:
    """Run the command line; returns one of :class:`cnntransfer.errors.ExitCode`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A letter that the terminal lacks is no reason to stop.
            stream.reconfigure(errors="backslashreplace")
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:  # It is closed: whatever is opened next would be taken for it.
            os.open(os.devnull, os.O_RDWR)
    try:
        from .cli import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # During the imports: inside, run() handles it.
        sys.stderr.write("Error: Interrupted.\n")
        code = _INTERRUPTED
    return code


def script() -> None:
    """Run the command line and exit."""
    code = main()
    debugged = os.environ.get("CNNTRANSFER_DEBUG")  # Profilers write when Python ends.
    if (_SLOW_TO_LEAVE in sys.modules and not debugged) or code == _INTERRUPTED:
        # Nothing needs that they are taken down: every file is closed by now.
        # After Ctrl-C a thread may still be importing it, which would be waited for.
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None of one that is closed.
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    script()
