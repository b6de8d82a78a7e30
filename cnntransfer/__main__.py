"""``python -m cnntransfer`` and the ``cnntransfer`` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with one of :class:`cnntransfer.errors.ExitCode`."""
    try:
        from .cli import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # During the imports: inside, run() handles it.
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()
