from __future__ import annotations

from pipelines.memory import refusal_of_memory


def test_refusal_says_what_did_not_fit_when_memory_runs_out() -> None:
    said = refusal_of_memory(MemoryError("Unable to allocate 4. TiB for an array"))
    assert said is not None
    assert said.startswith("not enough memory: Unable to allocate 4. TiB for an array.")
    assert "an object did not fit" in str(refusal_of_memory(MemoryError()))


def test_refusal_is_found_when_a_library_has_an_error_of_its_own() -> None:
    told = RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"
    )
    wrapped = ValueError("no batch")
    wrapped.__cause__ = told
    assert "DefaultCPUAllocator" in str(refusal_of_memory(wrapped))


def test_refusal_is_none_when_something_else_is_wrong() -> None:
    assert refusal_of_memory(RuntimeError("shapes do not fit")) is None
