"""Exit with 0 if a URL answers with a status below 400: `healthcheck.py URL`. Slim images have no curl."""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

TIMEOUT = 4  # seconds; the engine gives a check 5


def main() -> int:
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=TIMEOUT):  # noqa: S310 -- the image's own URL
            return 0
    except (urllib.error.URLError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 -- the engine keeps what a check prints
        return 1


if __name__ == "__main__":
    sys.exit(main())
