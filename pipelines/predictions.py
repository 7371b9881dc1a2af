"""What a trained model said of the test rows when it was trained."""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import MissingPartitionError
from pipelines.settings import Settings
from training.artifact import PREDICTIONS
from training.card import read_card
from training.data.arrays import EncodedArrays
from training.errors import ArtifactError
from training.sealed import SealError, verify


def trained_predictions(
    settings: Settings, ds: date, name: str, arrays: EncodedArrays
) -> NDArray[np.float32]:
    """Probabilities for the test rows, [N_test, T]; the model's files are verified first.

    Raises:
        MissingPartitionError: it was not trained, or on another training set.
    """
    folder = settings.models / name / f"ds={ds}"
    command = f"run `gatehouse train {name} --ds {ds}`"
    try:
        verify(folder)
        card = read_card(folder)
    except (SealError, ArtifactError) as error:
        raise MissingPartitionError(f"{name} of {ds} is not there ({error}); {command}") from error
    if card.data != arrays.fingerprint:
        raise MissingPartitionError(f"{name} of {ds} was trained on another training set; {command}")
    predictions: NDArray[np.float32] = np.load(folder / PREDICTIONS, allow_pickle=False)
    return predictions
