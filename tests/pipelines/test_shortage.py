from __future__ import annotations

from errno import ENOENT, ENOSPC, EROFS

import pytest

from pipelines.shortage import shortage


def _wrapped(cause: Exception) -> Exception:
    error = RuntimeError("cannot write")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(ENOSPC, "No space left on device", "lake/x.parquet"),
            "lake/x.parquet: No space left on device.",
        ),
        (
            _wrapped(OSError(EROFS, "Read-only file system", "models")),
            "models: Read-only file system.",
        ),
        (
            RuntimeError("job failed\n  java.io.IOException: No space left on device\n  at x"),
            "java.io.IOException: No space left on device.",
        ),
        (
            MemoryError("Unable to allocate 4. TiB for an array"),
            "not enough memory: Unable to allocate 4. TiB for an array.",
        ),
        (MemoryError(), "not enough memory: an object did not fit."),
        (
            _wrapped(RuntimeError("alloc_cpu.cpp:127 DefaultCPUAllocator: can't allocate memory")),
            "not enough memory: alloc_cpu.cpp:127 DefaultCPUAllocator: can't allocate memory.",
        ),
    ],
)
def test_shortage_is_told_with_its_reason_whoever_raised_it(error: Exception, said: str) -> None:
    assert str(shortage(error)).startswith(said)


@pytest.mark.parametrize(
    "error", [OSError(ENOENT, "No such file or directory", "x"), RuntimeError("shapes do not fit")]
)
def test_other_errors_are_no_shortage(error: Exception) -> None:
    assert shortage(error) is None
