"""What to tell somebody whose disk is full, or may not be written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from errno import EACCES, EDQUOT, ENOSPC, EPERM, EROFS

_REFUSALS = tuple(os.strerror(number) for number in (ENOSPC, EDQUOT, EROFS, EACCES, EPERM))


def refusal_of_disk(error: BaseException) -> str | None:
    """One line about an error that the file system is the cause of; None for any other error.

    Libraries pass the reason on in errors of their own, some in the text alone.
    """
    for cause in _causes(error):
        reason = next((reason for reason in _REFUSALS if reason in str(cause)), None)
        if reason is not None:
            place = getattr(cause, "filename", None)
            where = f"{place}: {reason}" if place else _line_with(reason, str(cause))
            return f"{where}. What was there before is as it was; mend that and run the same command again"
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _line_with(reason: str, text: str) -> str:
    return next(line.strip() for line in text.splitlines() if reason in line)
