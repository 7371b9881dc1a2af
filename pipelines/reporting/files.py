"""Read what stages leave for people; what is not there is None."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

from pipelines.errors import ReportError
from pipelines.evaluation import Evaluation
from pipelines.promotion.verdict import Promotion, promotion_path
from pipelines.settings import Settings


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


def find_evaluation(settings: Settings, ds: date) -> Evaluation | None:
    """The evaluation of the run that ends on `ds`, or None before there is one.

    Raises:
        MissingPartitionError: it is of another version of Gatehouse.
    """
    path = settings.evaluation / f"ds={ds}.json"
    return Evaluation.load(path) if path.exists() else None


def find_promotion(settings: Settings, ds: date) -> Promotion | None:
    """The verdict on the run that ends on `ds`, or None before there is one.

    Raises:
        MissingPartitionError: it is of another version of Gatehouse.
    """
    path = promotion_path(settings, ds)
    return Promotion.load(path) if path.exists() else None
