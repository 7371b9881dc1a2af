"""The page of the comparisons: docs/benchmark.md, written from results alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from pipelines.comparison.pictures import by_auc, differences_picture, scenarios_picture, short
from pipelines.files import write_whole
from training.comparison.results import BASES, Comparison, ContenderResult, Difference, Spread

Cell: TypeAlias = Callable[[str, ContenderResult], str]
Columns: TypeAlias = dict[str, Cell]
"""Head of a column to what stands in it for a contender and its name."""

_MISSING = "-"
_INTRODUCTION = """# The models compared

<!-- Written by `gatehouse benchmark` from benchmarks/results; `--render` writes it anew. -->

Every model of [training/models](models.md) and LightGBM, on the same encoded rows and columns of the same
days.

- **Tuned alike.** Each has the same number of trials. The first has the committed values of `params.yaml`
  (LightGBM: of [yardstick.py](../training/yardstick.py)); Optuna's TPE sampler chooses the others, with a
  fixed seed. Networks share one search space: learning rates of the network and of the embeddings, id
  dropout, weight decay, the decay of averaged weights, and the batch size where none is named. LightGBM
  has its own: learning rate, leaves, rows in a leaf, L2, columns per tree. A trial is judged by the log
  loss of the validation days, summed over tasks. A trial that beats the committed values has to beat them
  again, in the mean of three new seeds each; else these are kept. What a model is made of (widths, experts,
  depths) is not tuned.
- **Judged once.** The values kept are fitted again with seeds which tuning never saw, and these fits
  predict the test days. No fit of tuning predicts them, and nothing is chosen by them.
- **A final is a second round.** Where a comparison of all is followed by one, the models that were the best
  on its validation days meet the bases again, all with more trials than all models could be given. The
  test days have no say in who does.
- **± is one standard deviation over the seeds**: what training again may change.
- **[low, high] is a 95 % interval of a paired difference in AUC.** Users are drawn with replacement, all
  their rows with them, and seeds too, the same draws for every model; the difference is the mean over the
  drawn seeds. It covers other users on the same days, and other seeds; it does not cover other days.
  **Bold** intervals leave out 0. One in twenty does so by luck alone, so a single bold one among many
  proves little.
- *By scenario* is the plain mean of the AUC over scenarios with enough positives and negatives. GAUC is
  within (user, day), weighted by rows. *Calibration* is the expected calibration error, ten bins of equal
  mass; 0 is best.
- *New users* and *new items* are the AUC on rows whose id the training days had at most once, so that it
  has no embedding of its own.
- FLOPs count the matrix products of scoring one row, two for each multiply-add. Seconds are CPU
  time of one fit with the tuned values, on one thread.
"""


def write_page(comparisons: Sequence[Comparison], page: Path) -> None:
    """Write the page, and its pictures into a folder beside it that is named like it.

    Args:
        comparisons: in order of the page, with names of their own.
        page: the Markdown file.
    """
    folder = page.with_suffix("")
    for comparison in comparisons:
        write_whole(folder / _differences_file(comparison), differences_picture(comparison))
        for task in comparison.tasks:
            write_whole(folder / _scenarios_file(comparison, task), scenarios_picture(comparison, task))
    sections = [line for comparison in comparisons for line in _section(comparison, folder.name)]
    write_whole(page, "\n".join([_INTRODUCTION, *sections]).rstrip("\n") + "\n")


def _differences_file(comparison: Comparison) -> str:
    return f"{comparison.name}-differences.svg"


def _scenarios_file(comparison: Comparison, task: str) -> str:
    return f"{comparison.name}-{task}.svg"


def _section(comparison: Comparison, folder: str) -> Iterator[str]:
    days = {
        name: first if first == last else f"{first}..{last}"
        for name, (first, last) in comparison.days.items()
    }
    rows = {name: f"{count:,}" for name, count in comparison.rows.items()}
    machine = ", ".join(f"{name} {value}" for name, value in comparison.machine.items())
    yield f"## {_title(comparison)}\n"
    yield f"    gatehouse use {comparison.dataset}"
    final = "" if comparison.finalists is None else f"--finalists {comparison.finalists} "
    yield (
        f"    gatehouse benchmark --ds {comparison.ds} {final}--trials {comparison.trials} "
        f"--seeds {comparison.seeds} --epochs {comparison.epochs}\n"
    )
    yield (
        f"{_chosen(comparison)}Trained on {days['train']} ({rows['train']} rows), "
        f"stopped and tuned on {days['validation']} ({rows['validation']}), "
        f"tested on {days['test']} ({rows['test']}; UTC days). "
        f"{comparison.trials} trials and {comparison.seeds} seeds a model, at most {comparison.epochs} "
        f"epochs{_of_one_size(comparison)}, {comparison.resamples:,} resamples. {_beside(comparison)}"
        f"Columns of `{comparison.service}`, arrays `{comparison.data}`. "
        f"[All figures](../benchmarks/results/benchmark-{comparison.name}.json). {machine}.\n"
    )
    yield from _beyond_chance(comparison)
    yield f"\n![AUC less that of the bases, by task]({folder}/{_differences_file(comparison)})\n"
    for task in comparison.tasks:
        yield from _task(comparison, task)
        yield f"\n![AUC of {task} by scenario]({folder}/{_scenarios_file(comparison, task)})\n"
    yield from _costs(comparison)


def _title(comparison: Comparison) -> str:
    return comparison.dataset if comparison.finalists is None else f"{comparison.dataset}, the final"


def _chosen(comparison: Comparison) -> str:
    if comparison.finalists is None:
        return ""
    best = f"the {comparison.finalists} of the comparison above whose validation loss was the lowest"
    return f"The bases, and {best}. "


def _of_one_size(comparison: Comparison) -> str:
    tuned = any("batch_size" in own.values for own in comparison.contenders.values())
    return "" if tuned else f" of batches of {comparison.batch_size}"


def _beside(comparison: Comparison) -> str:
    if not comparison.auxiliary_weight:
        return ""
    return (
        "Networks learn the [auxiliary tasks](decisions/0020-networks-learn-more-than-is-served.md) as well, "
        f"at {comparison.auxiliary_weight:g} of a task's weight; trees learn one label each. "
    )


def _beyond_chance(comparison: Comparison) -> Iterator[str]:
    """In words, whose intervals leave out 0: the only differences the numbers speak for."""
    for base in BASES:
        for task in comparison.tasks:
            found = {
                name: difference
                for name, own in comparison.contenders.items()
                if (difference := own.against.get(base, {}).get(task)) is not None
            }
            above = [f"`{name}`" for name, own in found.items() if own.low > 0.0]
            below = [f"`{name}`" for name, own in found.items() if own.high < 0.0]
            yield (
                f"- {task}, beside `{base}`: interval above 0 for {', '.join(above) or 'none'}; "
                f"below 0 for {', '.join(below) or 'none'}; "
                f"{len(found) - len(above) - len(below)} of {len(found)} undecided."
            )


def _task(comparison: Comparison, task: str) -> Iterator[str]:
    new = {name: own[task].rows for name, own in next(iter(comparison.contenders.values())).slices.items()}
    columns: Columns = {
        "model": lambda name, own: f"`{name}`",
        "AUC": lambda name, own: _spread(own.overall[task].auc),
        **{f"less {base}": _less(base, task) for base in BASES},
        "by scenario": lambda name, own: _spread(own.macro_auc[task]),
        "GAUC": lambda name, own: _spread(own.overall[task].gauc),
        "log loss": lambda name, own: _spread(own.overall[task].log_loss),
        "calibration": lambda name, own: _spread(own.overall[task].calibration_error),
        **{f"{title} ({rows:,} rows)": _on(title, task) for title, rows in new.items()},
    }
    limits = comparison.limits
    if limits is not None:
        columns["regret by scenario"] = _regret(limits, task)
    yield f"### {_title(comparison)}: {task}\n"
    yield from _table(comparison, by_auc(comparison, task), columns)
    if limits is not None:
        yield "\nRegret is the best AUC that can be reached less the model's, the mean over scenarios."


def _less(base: str, task: str) -> Cell:
    return lambda name, own: _difference(own.against.get(base, {}).get(task))


def _on(title: str, task: str) -> Cell:
    return lambda name, own: _spread(own.slices[title][task].auc)


def _regret(limits: Mapping[str, Mapping[str, float | None]], task: str) -> Cell:
    def cell(name: str, own: ContenderResult) -> str:
        gaps = []
        for scenario, result in own.scenarios.items():
            limit, area = limits.get(scenario, {}).get(task), result[task].auc
            if limit is not None and area is not None:
                gaps.append(limit - area.mean)
        return short(sum(gaps) / len(gaps)) if gaps else _MISSING

    return cell


def _costs(comparison: Comparison) -> Iterator[str]:
    yield f"### {_title(comparison)}: cost and tuning\n"
    columns: Columns = {
        "model": lambda name, own: f"`{name}`",
        "parameters": lambda name, own: f"{own.parameters:,}",
        "FLOPs a row": lambda name, own: (
            _MISSING if own.flops_per_row is None else f"{own.flops_per_row:,.0f}"
        ),
        "CPU seconds a fit": lambda name, own: f"{own.seconds.mean:.1f}",
        "validation loss, committed": lambda name, own: _loss(own.trials[0].validation_loss),
        "best trial": lambda name, own: _loss(
            min(trial.validation_loss for trial in own.trials if trial.validation_loss is not None)
        ),
        "with new seeds": lambda name, own: _confirmation(own),
        "values": lambda name, own: ", ".join(f"{key} {value:.3g}" for key, value in own.values.items()),
    }
    names = sorted(comparison.contenders, key=lambda name: comparison.contenders[name].parameters)
    yield from _table(comparison, names, columns)
    yield "\nParameters of LightGBM are the splits and leaves of all its trees.\n"


def _table(comparison: Comparison, names: Iterable[str], columns: Columns) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield "|---" * len(columns) + "|"
    for name in names:
        yield f"| {' | '.join(cell(name, comparison.contenders[name]) for cell in columns.values())} |"


def _spread(value: Spread | None) -> str:
    if value is None:
        return _MISSING
    return short(value.mean) + ("" if value.sd is None else f" ± {short(value.sd)}")


def _difference(value: Difference | None) -> str:
    if value is None:
        return _MISSING
    bounds = f"[{short(value.low, signed=True)}, {short(value.high, signed=True)}]"
    decided = value.low > 0.0 or value.high < 0.0
    return f"{short(value.difference, signed=True)} {f'**{bounds}**' if decided else bounds}"


def _confirmation(own: ContenderResult) -> str:
    """Losses of the best trial and of the committed values; older results may hold a trial not confirmed."""
    if own.confirmation is not None:
        return " against ".join(map(_loss, own.confirmation))
    return _MISSING if own.values == own.trials[0].values else "not tried"


def _loss(value: float | None) -> str:
    return "diverged" if value is None else f"{value:.4f}"
