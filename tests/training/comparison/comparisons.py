"""A small comparison, put together by hand."""

from __future__ import annotations

from training.comparison.results import (
    Comparison,
    ContenderResult,
    Difference,
    Spread,
    TaskResult,
    Trial,
)

TASKS = ("click", "like")


def task_result(auc: float | None) -> TaskResult:
    return TaskResult(
        rows=1000,
        positives=300,
        auc=None if auc is None else Spread(mean=auc, sd=0.0004),
        gauc=Spread(mean=0.61, sd=0.001),
        log_loss=Spread(mean=0.52, sd=0.001),
        calibration_error=Spread(mean=0.012, sd=0.002),
    )


def contender(auc: float, against: dict[str, Difference | None]) -> ContenderResult:
    return ContenderResult(
        trials=(
            Trial(values={"lr": 0.001}, validation_loss=1.2),
            Trial(values={"lr": 0.003}, validation_loss=None),
            Trial(values={"lr": 0.0005}, validation_loss=1.1),
        ),
        confirmation=(1.15, None),
        values={"lr": 0.0005},
        overall={task: task_result(auc) for task in TASKS},
        macro_auc={"click": Spread(mean=auc - 0.02, sd=0.001), "like": None},
        scenarios={
            "feed": {task: task_result(auc) for task in TASKS},
            "tab": {"click": task_result(auc - 0.04), "like": task_result(None)},
        },
        slices={"new users": {task: task_result(auc - 0.03) for task in TASKS}},
        against={base: dict.fromkeys(TASKS, difference) for base, difference in against.items()},
        parameters=12_345,
        flops_per_row=24_000.0,
        seconds=Spread(mean=3.25, sd=0.1),
    )


def difference(value: float, low: float, high: float) -> Difference:
    return Difference(difference=value, low=low, high=high)


def comparison(dataset: str, limits: dict[str, dict[str, float]] | None = None) -> Comparison:
    """Three contenders, `pepnet` the best; its lead is certain before one base and not before the other."""
    return Comparison(
        dataset=dataset,
        ds="2026-01-04",
        service="ranker_v1",
        data="0123456789abcdef",
        tasks=TASKS,
        days={
            "train": ("2026-01-01", "2026-01-02"),
            "validation": ("2026-01-03", "2026-01-03"),
            "test": ("2026-01-04", "2026-01-04"),
        },
        rows={"train": 4000, "validation": 900, "test": 1000},
        trials=3,
        seeds=5,
        epochs=3,
        patience=1,
        batch_size=1024,
        resamples=1000,
        min_positives=10,
        machine={"platform": "Linux", "cpus": "2"},
        contenders={
            "shared_bottom": contender(0.7384, {"lightgbm": difference(0.0007, -0.001, 0.002)}),
            "pepnet": contender(
                0.7394,
                {
                    "shared_bottom": difference(0.001, 0.0002, 0.0018),
                    "lightgbm": difference(0.0017, -0.0002, 0.0036),
                },
            ),
            "lightgbm": contender(0.7377, {"shared_bottom": difference(-0.0007, -0.002, 0.001)}).model_copy(
                update={"flops_per_row": None, "confirmation": None, "values": {"lr": 0.001}}
            ),
        },
        limits=limits,
    )
