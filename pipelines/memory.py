"""What to tell somebody whose machine has too little memory."""

from __future__ import annotations

# How PyTorch's allocators say so on the CPU and on the GPU, in errors that are not MemoryError.
_SAID = ("DefaultCPUAllocator: ", "not enough memory", "CUDA out of memory")


def refusal_of_memory(error: BaseException) -> str | None:
    """One line about an error that a lack of memory is the cause of; None for any other error."""
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause)
        if isinstance(cause, MemoryError) or any(words in text for words in _SAID):
            reason = text.splitlines()[0] if text else "an object did not fit"
            return (
                f"not enough memory: {reason}. What was there before is as it was; free memory, or ask for "
                "less (for a model: train.hidden, embedding_dim and batch_size in params.yaml), and run the "
                "same command again"
            )
        cause = cause.__cause__ or cause.__context__
    return None
