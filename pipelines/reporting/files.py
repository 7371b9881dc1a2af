"""Read the JSON notes that stages leave; a note that is not there is None."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipelines.errors import ReportError


def find_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file, or None if there is no such file.

    Raises:
        ReportError: the file holds something else.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ReportError(f"{path} is not JSON ({error}); run the stage that writes it again") from error
    if not isinstance(content, dict):
        raise ReportError(f"{path} holds no JSON object; run the stage that writes it again")
    return content
