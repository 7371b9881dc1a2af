"""One settings object: params.yaml for what changes results, the environment for where things run."""

from __future__ import annotations

from datetime import date
from functools import cached_property
from pathlib import Path

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


class PublishParams(_Strict):
    model: str
    max_auc_drop: float = Field(default=0.01, ge=0.0)


class ConsistencyParams(_Strict):
    max_unequal: float = Field(default=0.0, ge=0.0, le=1.0)


class Params(_Strict):
    """params.yaml, checked."""

    dataset: str
    datasets: dict[str, DatasetParams]
    features: FeatureParams
    train: TrainConfig
    evaluate: EvaluateParams
    publish: PublishParams
    consistency: ConsistencyParams = ConsistencyParams()


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
    log_format: str = "text"

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
