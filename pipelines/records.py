"""Files that one stage writes for the next: frozen, strict, refused with the command that writes them."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.errors import MissingPartitionError


class Record(BaseModel):
    """What cannot be changed, and has no field that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StageRecord(Record):
    """A file that a stage writes.

    Attributes:
        written_by: the stage's command.
    """

    written_by: ClassVar[str]

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what the stage wrote.

        Raises:
            MissingPartitionError: it is not there, or of another version of Gatehouse.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise MissingPartitionError(
                f"{path} does not exist; run `gatehouse {cls.written_by}` first"
            ) from None
        except ValidationError as error:
            raise MissingPartitionError(
                f"{path} is not of this version of Gatehouse ({error.error_count()} errors); "
                f"run `gatehouse {cls.written_by}` again"
            ) from error
