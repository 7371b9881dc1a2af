from __future__ import annotations

from errno import ENOENT, ENOSPC, EROFS

from pipelines.disk import refusal_of_disk


def test_refusal_names_the_file_and_the_reason_when_the_disk_is_full() -> None:
    said = refusal_of_disk(OSError(ENOSPC, "No space left on device", "lake/x.parquet"))
    assert said is not None
    assert said.startswith("lake/x.parquet: No space left on device.")


def test_refusal_is_found_when_a_library_has_wrapped_it() -> None:
    wrapped = RuntimeError("cannot write")
    wrapped.__cause__ = OSError(EROFS, "Read-only file system", "models")
    assert str(refusal_of_disk(wrapped)).startswith("models: Read-only file system")
    told = RuntimeError("job failed\n  java.io.IOException: No space left on device\n  at x")
    assert str(refusal_of_disk(told)).startswith("java.io.IOException: No space left on device.")


def test_refusal_is_none_when_something_else_is_wrong() -> None:
    assert refusal_of_disk(OSError(ENOENT, "No such file or directory", "x")) is None
    assert refusal_of_disk(ValueError("nonsense")) is None
