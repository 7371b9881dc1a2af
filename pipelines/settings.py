"""One settings object: params.yaml for what changes results, the environment for where things run."""

from __future__ import annotations

from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from features.declarations.catalog import Catalog
from features.declarations.catalogs import DATASETS, find_catalog
from features.declarations.yaml_file import read_yaml
from pipelines.days import DAY, Days
from pipelines.errors import SettingsError
from training.config import TrainConfig

CHECKOUT = Path(__file__).resolve().parents[1]


def nearest_home() -> Path:
    """The nearest folder from here upwards that has a params.yaml and a dvc.yaml, else the checkout.

    DVC runs an experiment in a copy of the project; the copy is then the home of what it runs.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
            return folder
    return CHECKOUT


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Split(_Strict):
    """How many days are trained on, validated on and tested on; they end on the run's last day."""

    train: int = Field(ge=1)
    validation: int = Field(ge=1)
    test: int = Field(ge=1)

    def days(self, end: date) -> dict[str, Days]:
        """Name of the part to its days, in order of time."""
        test = Days.ending(end, self.test)
        validation = Days.ending(test.start - DAY, self.validation)
        train = Days.ending(validation.start - DAY, self.train)
        return {"train": train, "validation": validation, "test": test}


class Simulation(_Strict):
    """Size of the simulated log."""

    users: int = Field(default=2000, ge=1)
    items: int = Field(default=500, ge=1)
    scenarios: int = Field(default=4, ge=1)
    events_per_day: int = Field(default=20_000, ge=1)
    seed: int = 7


class DatasetParams(_Strict):
    """One data set's days, split and, where it has them, its own settings."""

    days: Days
    split: Split
    mapping: Path | None = None
    simulation: Simulation = Simulation()


class FeatureParams(_Strict):
    service: str


class EvaluateParams(_Strict):
    min_positives: int = Field(default=10, ge=1)


class PromoteParams(_Strict):
    """The bounds that a challenger is held to; docs/promotion.md says what each is for.

    Attributes:
        target: the task that must hold over all rows; the first one by default.
        level: of the intervals.
        resamples: of the bootstrap over users.
        min_users: with fewer that have a positive, or a negative, log loss takes the place of AUC; with
            fewer users at all, rows are not judged.
        max_target_drop: AUC that the target may lose over all rows, and be certain of it.
        max_auc_drop: likewise of any task in any scenario, and of the other tasks over all rows.
        max_log_loss_rise: likewise where log loss takes its place; a share of the champion's.
        max_calibration: bound of predicted over observed positives over all rows; its inverse is the other.
        max_scenario_calibration: likewise in a scenario.
        min_calibration_positives: observed positives that the ratio must rest on.
        max_psi: of the challenger's scores against the champion's.
        max_saturated: share of scores that are 0 or 1 but for rounding.
        candidates: length of the list that is timed.
        max_latency_ms: milliseconds in which one must be scored.
    """

    target: str | None = None
    level: float = Field(default=0.95, ge=0.5, lt=1.0)
    resamples: int = Field(default=1000, ge=100)
    min_users: int = Field(default=20, ge=2)
    max_target_drop: float = Field(default=0.0, ge=0.0)
    max_auc_drop: float = Field(default=0.005, ge=0.0)
    max_log_loss_rise: float = Field(default=0.02, ge=0.0)
    max_calibration: float = Field(default=1.25, ge=1.0)
    max_scenario_calibration: float = Field(default=1.5, ge=1.0)
    min_calibration_positives: int = Field(default=200, ge=1)
    max_psi: float = Field(default=0.5, ge=0.0)
    max_saturated: float = Field(default=0.01, ge=0.0, le=1.0)
    candidates: int = Field(default=500, ge=1)
    max_latency_ms: float = Field(default=250.0, gt=0.0)

    def calibration_bound(self, scenario: str | None) -> float:
        """How many times too much, or too little, may be predicted; None stands for all rows."""
        return self.max_calibration if scenario is None else self.max_scenario_calibration


class PublishParams(_Strict):
    model: str


class ConsistencyParams(_Strict):
    max_unequal: float = Field(default=0.0, ge=0.0, le=1.0)


class RetentionParams(_Strict):
    """How many days `gatehouse housekeeping` keeps of each kind.

    Attributes:
        events, tiles, features, training_sets, encoded, quarantine: of the lake, counted back from the
            newest ingested day; events stand for the simulated truth as well.
        verdicts: of the lake; one is kept for as long as the partition it judged.
        models: trained models by the last day of their run; what is published stays in the registry.
        runs: checkpoints and TensorBoard curves by the last day of their run, pulled models by their age.
        requests: the service's request log and what came of comparing it, counted back from today.
        airflow_logs: logs of tasks below airflow/logs, counted back from today.
        lineage: files of lineage events, by when something was last written to them, counted back from today;
            as long as the oldest partition on a model's way, so that the way is found to its end.
    """

    events: int = Field(default=400, ge=1)
    tiles: int = Field(default=400, ge=1)
    features: int = Field(default=365, ge=1)
    training_sets: int = Field(default=30, ge=1)
    encoded: int = Field(default=7, ge=1)
    verdicts: int = Field(default=365, ge=1)
    quarantine: int = Field(default=90, ge=1)
    models: int = Field(default=30, ge=1)
    runs: int = Field(default=30, ge=1)
    requests: int = Field(default=30, ge=1)
    airflow_logs: int = Field(default=30, ge=1)
    lineage: int = Field(default=400, ge=1)


class Params(_Strict):
    """params.yaml, checked."""

    dataset: str
    datasets: dict[str, DatasetParams]
    features: FeatureParams
    train: TrainConfig
    evaluate: EvaluateParams
    promote: PromoteParams = PromoteParams()
    publish: PublishParams
    consistency: ConsistencyParams = ConsistencyParams()
    retention: RetentionParams = RetentionParams()


class Settings(BaseSettings):
    """Where things are and run; every field can be set as GATEHOUSE_<FIELD>.

    Attributes:
        home: folder that holds params.yaml and everything the road writes; see `nearest_home`.
        raw: folder with already downloaded raw data sets, one subfolder each.
        spark_master: Spark master URL.
        spark_driver_memory: heap of the driver, Spark notation.
        spark_driver_host: address that the executors of a cluster reach the driver at.
        registry: git URL or path of the model registry; a local one under `home` by default.
        registry_remote: DVC remote of the registry; a local folder by default.
        device: "auto", "cpu" or "cuda".
        tokens: file of the hashes of the service's tokens; without one it serves this machine only.
        serve_rows: rows that a request to the service may ask for.
        serve_bytes: bytes that a request to the service may have.
        serve_rate: requests a second of one token to one worker of the service.
        model_poll_seconds: between two questions of the service to the registry, which version to serve.
        request_log_share: share of requests that the service logs for `gatehouse consistency`, 0 to 1.
        log_format: "text" or "json".
        lineage: a folder for OpenLineage events, runs/DATASET/lineage by default; a URL that is sent them
            as well; or "off".
    """

    model_config = SettingsConfigDict(env_prefix="GATEHOUSE_", frozen=True)

    home: Path = Field(default_factory=nearest_home)
    raw: Path | None = None
    spark_master: str = "local[*]"
    spark_driver_memory: str = "2g"
    spark_driver_host: str = "127.0.0.1"
    registry: str | None = None
    registry_remote: str | None = None
    device: str = "auto"
    tokens: Path | None = None
    serve_rows: int = Field(default=5_000, ge=1)
    serve_bytes: int = Field(default=1_048_576, ge=1)
    serve_rate: float = Field(default=1_000.0, gt=0.0)
    model_poll_seconds: float = Field(default=5.0, gt=0.0)
    request_log_share: float = Field(default=0.0, ge=0.0, le=1.0)
    log_format: Literal["text", "json"] = "text"
    lineage: str | None = None

    @cached_property
    def params(self) -> Params:
        """The contents of params.yaml.

        Raises:
            SettingsError: the file is missing, or an entry is wrong; every wrong entry is named.
        """
        path = self.home / "params.yaml"
        try:
            params = Params.model_validate(read_yaml(path, SettingsError))
        except FileNotFoundError:
            raise SettingsError(
                f"no params.yaml in {self.home}; set GATEHOUSE_HOME to a folder with one"
            ) from None
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise SettingsError(f"{path}: {wrong}") from error
        if params.dataset not in DATASETS or params.dataset not in params.datasets:
            raise SettingsError(
                f"{path}: dataset {params.dataset!r} is not one of {', '.join(DATASETS)} "
                "with a section under `datasets`"
            )
        return params

    @property
    def dataset(self) -> str:
        return self.params.dataset

    @property
    def dataset_params(self) -> DatasetParams:
        return self.params.datasets[self.dataset]

    @property
    def mapping(self) -> Path | None:
        """The custom data set's mapping file, relative to `home`."""
        mapping = self.dataset_params.mapping
        return None if mapping is None else self.home / mapping

    @cached_property
    def catalog(self) -> Catalog:
        return find_catalog(self.dataset, self.mapping)

    @property
    def lake(self) -> Path:
        return self.home / "lake" / self.dataset

    @property
    def models(self) -> Path:
        return self.home / "models" / self.dataset

    @property
    def evaluation(self) -> Path:
        """One ds=D.json a run. Not below `models`: DVC must see all models as one dependency of it."""
        return self.home / "evaluation" / self.dataset

    @property
    def promotion(self) -> Path:
        """One ds=D.json a run: the verdict that `publish` goes by."""
        return self.home / "promotion" / self.dataset

    @property
    def reports(self) -> Path:
        return self.home / "reports"

    @property
    def requests(self) -> Path:
        """What was asked of the online store and what it answered, a folder a UTC day."""
        return self.home / "requests"

    @property
    def runs(self) -> Path:
        """Timings, checkpoints and other notes of runs; nothing downstream reads them."""
        return self.home / "runs" / self.dataset
