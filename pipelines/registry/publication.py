"""The publication: what is known of a model when it is published, written beside its trained files.

Training knows its own days and settings; how the model did on the held-out days, against which champion, and
from which code and data it came, is known only here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.children import git
from pipelines.errors import PublishError
from pipelines.evaluation import Evaluation
from pipelines.manifest import sha256_of
from pipelines.model_files import verified_digest
from pipelines.promotion.verdict import Champion, Promotion, promotion_path
from pipelines.records import Record
from pipelines.settings import CHECKOUT, Settings
from training.card import CARD_PAGE, MODEL, Card, read_card
from training.evaluation import ModelMetrics, TaskMetrics
from training.sealed import HASHES, sealed_folder

PUBLICATION = "publication.json"


class Source(Record):
    """What the model was made from.

    Attributes:
        code: version of Gatehouse that published it.
        commit: git's name of the checkout that published it, with "-dirty" where files had been changed; null
            where the code is no checkout.
        params: SHA-256 of params.yaml.
        lock: SHA-256 of dvc.lock, which names all inputs of all stages by their hashes; null where DVC did
            not run the road.
    """

    code: str
    commit: str | None
    params: str
    lock: str | None


class Publication(Record):
    """Everything known of a version when it is published.

    Attributes:
        model: for example "pepnet".
        ds: last day of the run that made it, ISO text.
        trained: SHA-256 of the hashes.json that training wrote.
        card: what training wrote.
        settings: what it was built and trained with.
        metrics: on the held-out days.
        champion: whom it was judged against on those days; null where it was the first.
        source: code and data it was made from.
    """

    model: str
    ds: str
    trained: str
    card: Card
    settings: dict[str, Any]
    metrics: ModelMetrics
    champion: Champion | None
    source: Source

    @classmethod
    def load(cls, path: Path) -> Publication:
        """Read what `write` wrote.

        Raises:
            PublishError: it is not there, or of another version of Gatehouse.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise PublishError(f"there is no {path.name}: it was published by an earlier Gatehouse") from None
        except ValidationError as error:
            raise PublishError(
                f"{path.name} is not of this version of Gatehouse ({error.error_count()} errors)"
            ) from error

    def text(self) -> str:
        """The publication as a file."""
        return self.model_dump_json(indent=2) + "\n"

    def markdown(self) -> str:
        """The completed card, as people read it."""
        first, last = self.card.days["test"]
        return (
            f"{self.card.markdown()}\n"
            f"## Held-out days\n\n{first} .. {last}, {self.card.rows['test']:,} rows. "
            f"{self._judgement()}\n\n"
            "| scenario | task | rows | AUC | GAUC | log loss | calibration |\n"
            "|---|---|---|---|---|---|---|\n"
            f"{''.join(_rows(self.metrics))}\n"
            "## Where it comes from\n\n"
            f"Published by Gatehouse {self.source.code}, commit {self.source.commit or 'unknown'}.\n\n"
            "| file | SHA-256 |\n|---|---|\n"
            f"| params.yaml | {self.source.params} |\n"
            f"| dvc.lock | {self.source.lock or 'DVC did not run this road'} |\n"
            f"| {HASHES} as trained | {self.trained} |\n"
        )

    def _judgement(self) -> str:
        if self.champion is None:
            return "No version was published before it, so it passed without a champion."
        champion = f"the champion {self.champion.tag} of {self.champion.ds}"
        if self.champion.metrics is None:
            return f"It passed; {champion} could not be scored on these days: {self.champion.reason}."
        task = self.card.tasks[0]
        own, other = self.metrics.overall[task].auc, self.champion.metrics.overall[task].auc
        return f"It passed against {champion}: AUC of {task} {_number(own)}, the champion's {_number(other)}."


def describe(settings: Settings, model: str, ds: date, trained: str) -> Publication:
    """What is known of the trained and evaluated `model` of the run ending on `ds`.

    Args:
        settings: say where things are.
        model: its name.
        ds: last day of the run.
        trained: SHA-256 of its hashes.json.

    Raises:
        ArtifactError: the folder has no card.
        MissingPartitionError: it was not evaluated or not judged.
        PublishError: its evaluation has no metrics of it.
    """
    folder = settings.models / model / f"ds={ds}"
    return Publication(
        model=model,
        ds=str(ds),
        trained=trained,
        card=read_card(folder),
        settings=json.loads((folder / MODEL).read_bytes())["config"],
        metrics=_evaluated(settings, model, ds),
        champion=Promotion.load(promotion_path(settings, ds)).champion,
        source=_source(settings),
    )


def write(publication: Publication, trained: Path, into: Path) -> str:
    """Copy the `trained` folder to the new folder `into`, complete its card, and add the publication.

    Returns:
        SHA-256 of its hashes.json, which lists all of it.

    Raises:
        PublishError: the trained files are not those that the publication is about.
    """
    with sealed_folder(into) as staging:
        shutil.copytree(trained, staging, dirs_exist_ok=True)
        if verified_digest(staging) != publication.trained:
            raise PublishError(f"{trained} was changed while it was published; publish it again")
        (staging / HASHES).unlink()
        (staging / PUBLICATION).write_text(publication.text(), encoding="utf-8")
        (staging / CARD_PAGE).write_text(publication.markdown(), encoding="utf-8")
    return verified_digest(into)


def _evaluated(settings: Settings, model: str, ds: date) -> ModelMetrics:
    """The model's metrics on the held-out days."""
    evaluation = Evaluation.load(settings.evaluation / f"ds={ds}.json")
    if model not in evaluation.models:
        raise PublishError(
            f"the evaluation of {ds} has no metrics of {model}; run `gatehouse evaluate` again"
        )
    return evaluation.models[model]


def _source(settings: Settings) -> Source:
    lock = settings.home / "dvc.lock"
    return Source(
        code=version("gatehouse"),
        commit=_commit(),
        params=sha256_of(settings.home / "params.yaml"),
        lock=sha256_of(lock) if lock.exists() else None,
    )


def _commit() -> str | None:
    """Git's name of this code. A folder that an unrelated repository lies around has none."""
    if not (CHECKOUT / ".git").exists():
        return None
    try:
        return git("describe", "--always", "--exclude=*", "--abbrev=40", "--dirty", cwd=CHECKOUT).strip()
    except PublishError:
        return None  # no git here, or nothing was committed yet: not a reason to keep a model back


def _rows(metrics: ModelMetrics) -> Iterator[str]:
    for scenario, tasks in by_scenario(metrics).items():
        for task, own in tasks.items():
            values = (own.auc, own.gauc, own.log_loss, own.calibration)
            cells = " | ".join(_number(value) for value in values)
            yield f"| {scenario} | {task} | {own.rows:,} | {cells} |\n"


def by_scenario(metrics: ModelMetrics) -> Mapping[str, Mapping[str, TaskMetrics]]:
    """Metrics by scenario and task, those of all rows first, under "all"."""
    return {"all": metrics.overall} | metrics.scenarios


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
