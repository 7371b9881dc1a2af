"""Benchmark: every model tuned, trained and judged alike, and the page that shows it."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection
from datetime import date
from importlib.metadata import version
from pathlib import Path
from types import TracebackType

import structlog
from pydantic import ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn

from pipelines.comparison.page import write_page
from pipelines.datasets.regret import limits
from pipelines.datasets.truth import has_truth
from pipelines.errors import MissingPartitionError
from pipelines.files import write_whole
from pipelines.lake import Lake
from pipelines.observing.console import console, progress, stage
from pipelines.settings import Settings
from pipelines.train import validated_arrays
from pipelines.training_sets import encoded_folder
from training.comparison.entrants import entrants
from training.comparison.judging import judge_all
from training.comparison.results import BASES, Comparison
from training.comparison.schedule import run_all
from training.comparison.tuning import Budget
from training.comparison.units import Outcome, Unit
from training.comparison.workers import Place

PATIENCE = 1
RESAMPLES = 1000
RESULTS = Path("benchmarks") / "results"


def benchmark(
    settings: Settings,
    ds: date,
    *,
    models: Collection[str] | None,
    finalists: int | None,
    budget: Budget,
    epochs: int,
    jobs: int,
    into: Path,
) -> Comparison:
    """Compare models on the training set of the run that ends on `ds`, and write the page anew.

    What is done is kept in runs/DATASET/benchmark, so that a killed comparison goes on where it was, and one
    model more costs that model only. Writes benchmarks/results/benchmark-DATASET.json, docs/benchmark.md and
    docs/benchmark/ below `into`. A final has results of its own, benchmark-DATASET-final.json, and leaves
    those of the comparison that its models come from.

    Args:
        settings: the run's.
        ds: last day of the run.
        models: who takes part beside the bases; all by default.
        finalists: in place of `models`, so many that had the lowest validation loss in the data set's
            comparison below `into`.
        budget: of each model.
        epochs: of each fit at most.
        jobs: processes that fit, one thread each.
        into: where results and page are kept.

    Raises:
        NotValidatedError: the training set has not passed its gate.
        UnknownModelError: there is no such model.
        MissingPartitionError: there is no comparison that finalists could come from.
    """
    with stage(settings, "benchmark", ds) as facts:
        if finalists is not None:
            models = _read(_results(into, settings.dataset)).best(finalists)
        contenders = entrants(models)
        arrays = validated_arrays(settings, ds)
        service, params = settings.params.features.service, settings.params
        config = params.train.model_copy(update={"epochs": epochs, "patience": PATIENCE})
        place = Place(
            encoded=encoded_folder(Lake(settings.lake), service, ds),
            data=arrays.fingerprint,
            store=settings.runs / "benchmark",
            config=config,
            device=settings.device,
        )
        with _Bar(len(contenders) * budget.most) as bar:
            finished = run_all(contenders, place, budget, jobs=jobs, watcher=bar)
        _, store = place.open()
        results = judge_all(
            finished,
            {name: [store.predictions(unit) for unit in own.units] for name, own in finished.items()},
            arrays,
            bases=BASES,
            resamples=RESAMPLES,
            min_positives=params.evaluate.min_positives,
        )
        comparison = Comparison(
            dataset=settings.dataset,
            ds=str(ds),
            service=service,
            data=arrays.fingerprint,
            tasks=arrays.encoder.spec.tasks,
            days=arrays.days,
            rows={split: arrays.rows(split) for split in arrays.days},
            trials=budget.trials,
            seeds=budget.seeds,
            epochs=epochs,
            patience=PATIENCE,
            batch_size=config.batch_size,
            auxiliary_weight=config.auxiliary_weight if arrays.encoder.spec.auxiliaries else 0.0,
            resamples=RESAMPLES,
            min_positives=params.evaluate.min_positives,
            machine=_machine(jobs),
            contenders=results,
            finalists=finalists,
            limits=_limits(settings, ds),
        )
        write_whole(_results(into, comparison.name), comparison.model_dump_json(indent=1) + "\n")
        facts |= {"models": len(contenders), "trials": budget.trials, "seeds": budget.seeds}
    render(into)
    return comparison


def render(into: Path) -> None:
    """Write docs/benchmark.md and its pictures from the results below `into`.

    Raises:
        MissingPartitionError: there are no results, or they are of another version of Gatehouse.
    """
    paths = list((into / RESULTS).glob("benchmark-*.json"))
    if not paths:
        raise MissingPartitionError(
            f"{into / RESULTS} holds no benchmark-*.json; run `gatehouse benchmark` first"
        )
    page = into / "docs" / "benchmark.md"
    write_page(sorted(map(_read, paths), key=lambda comparison: comparison.name), page)
    console.print(f"the comparison is in [bold]{page}[/bold]")


def _results(into: Path, name: str) -> Path:
    return into / RESULTS / f"benchmark-{name}.json"


def _read(path: Path) -> Comparison:
    try:
        return Comparison.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise MissingPartitionError(f"{path} is missing; run `gatehouse benchmark` first") from error
    except ValidationError as error:
        raise MissingPartitionError(
            f"{path} is not a comparison of this version ({error.error_count()} errors); "
            "run `gatehouse benchmark` again"
        ) from error


def _limits(settings: Settings, ds: date) -> dict[str, dict[str, float]] | None:
    """The best AUC that any model can reach, by scenario and task; None where the truth is not known."""
    return limits(settings, ds) if has_truth(settings, ds) else None


def _machine(jobs: int) -> dict[str, str]:
    return {
        "platform": platform.platform(),
        "cpus": str(os.cpu_count()),
        "jobs": str(jobs),
        "python": platform.python_version(),
        **{package: version(package) for package in ("torch", "lightgbm", "optuna")},
    }


class _Bar:
    """Shows on a terminal how many units are done, and logs each."""

    def __init__(self, units: int) -> None:
        self._display = progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        )
        self._task: TaskID = self._display.add_task("fits, at most", total=units)
        self._log = structlog.get_logger()

    def __enter__(self) -> _Bar:
        self._display.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.stop()

    def __call__(self, unit: Unit, outcome: Outcome) -> None:
        self._display.advance(self._task)
        self._log.info(
            "fitted",
            model=outcome.contender,
            purpose="test" if unit.tested else "tuning",
            seed=outcome.seed,
            validation_loss=outcome.validation_loss,
            seconds=outcome.seconds,
        )
