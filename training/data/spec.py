"""The input specification: which encoded columns a model reads, by role. Plain data, saved with the model."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from features.declarations.features import Encoding, Role

EVENT_TIME = "event_timestamp"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IdField(_Frozen):
    """A categorical column: position in `ids`, looked up in `table`; index 0 is unseen or missing.

    Attributes:
        column: training-set column, for example "user_id" or "user_profile__gender".
        role: what models may use it for.
        encoding: `id` for entity ids (they make priors and are dropped out), else `category`.
        table: the vocabulary and embedding table it shares.
    """

    column: str
    role: Role
    encoding: Encoding
    table: str


class NumericField(_Frozen):
    """A numeric column: position in `numeric`; encoded as (f(x) - mean) / std with f = log1p if `log`.

    Attributes:
        elapsed: whether the column holds an instant, and x is the hours from it to the row's event.
        default: x where the column is null.
        mean, std: of f(x) on the training days; std is at least 1e-6.
    """

    column: str
    role: Role
    log: bool
    elapsed: bool = False
    default: float
    mean: float
    std: float


class SequenceField(_Frozen):
    """One list column of the recent positives: position in the last axis of `sequence`."""

    column: str
    table: str


class AuxiliaryField(_Frozen):
    """An auxiliary task: whether `column`, an outcome that no model reads, is at least `at_least`."""

    name: str
    column: str
    at_least: float


class InputSpec(_Frozen):
    """Everything needed to encode rows and to build a model for them.

    Attributes:
        service: the Feast FeatureService the columns come from.
        tasks: label names, in order of the label axis T.
        auxiliaries: what may be learnt beside them, A questions; their labels follow those of the tasks.
        ids, numerics, sequences: fields in order of their arrays' last axes.
        ages: column of event times of the recent positives (microseconds UTC), if there is one.
        sequence_length: L.
        tables: vocabulary name to size, index 0 included.
        scenario_table: the table whose indices number the scenarios.
    """

    service: str
    tasks: tuple[str, ...]
    auxiliaries: tuple[AuxiliaryField, ...] = ()
    ids: tuple[IdField, ...]
    numerics: tuple[NumericField, ...]
    sequences: tuple[SequenceField, ...]
    ages: str | None
    sequence_length: int
    tables: dict[str, int]
    scenario_table: str = "scenario_id"

    @property
    def scenarios(self) -> int:
        """Number of scenario indices S, index 0 (unseen) included."""
        return self.tables[self.scenario_table]

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Training-set columns that labels are made of."""
        labels = (f"label_{task}" for task in self.tasks)
        return tuple(dict.fromkeys([*labels, *(field.column for field in self.auxiliaries)]))

    @property
    def columns(self) -> dict[str, str]:
        """What rows to encode consist of: column to "string", "number", "microseconds", or a list of them.

        Microseconds are since 1970, UTC; those of `event_timestamp` say when the row is scored. All but
        that may be null, numbers NaN.
        """
        kinds = {field.column: "string" for field in self.ids}
        kinds |= {field.column: "microseconds" if field.elapsed else "number" for field in self.numerics}
        kinds |= {field.column: "list<string>" for field in self.sequences}
        if self.ages is not None:
            kinds[self.ages] = "list<microseconds>"
        return kinds | {EVENT_TIME: "microseconds"}

    def save(self, path: Path) -> None:
        path.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> InputSpec:
        return cls.model_validate_json(path.read_bytes())
