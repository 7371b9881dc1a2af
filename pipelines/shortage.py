"""What to tell somebody whose machine has no room left: on its disk, or in its memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from errno import EACCES, EDQUOT, ENOSPC, EPERM, EROFS

_OF_DISK = tuple(os.strerror(number) for number in (ENOSPC, EDQUOT, EROFS, EACCES, EPERM))
# How PyTorch's allocators say so on the CPU and on the GPU, in errors that are not MemoryError.
_OF_MEMORY = ("DefaultCPUAllocator: ", "not enough memory", "CUDA out of memory")


def shortage(error: BaseException) -> str | None:
    """One line about an error that the disk or the memory is the cause of; None for any other error.

    Libraries pass the reason on in errors of their own, some in the text alone.
    """
    return next((told for cause in _causes(error) if (told := _disk(cause) or _memory(cause))), None)


def _disk(cause: BaseException) -> str | None:
    """The disk is full, or may not be written."""
    text = str(cause)
    reason = next((reason for reason in _OF_DISK if reason in text), None)
    if reason is None:
        return None
    place = getattr(cause, "filename", None)
    where = f"{place}: {reason}" if place else _line_with(reason, text)
    return f"{where}. What was there before is as it was; mend that and run the same command again"


def _memory(cause: BaseException) -> str | None:
    text = str(cause)
    if not isinstance(cause, MemoryError) and not any(words in text for words in _OF_MEMORY):
        return None
    reason = text.splitlines()[0] if text else "an object did not fit"
    return (
        f"not enough memory: {reason}. What was there before is as it was; free memory, or ask for less "
        "(for a model: train.hidden, embedding_dim and batch_size in params.yaml), and run the same "
        "command again"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _line_with(reason: str, text: str) -> str:
    return next(line.strip() for line in text.splitlines() if reason in line)
