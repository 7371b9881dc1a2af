"""What each stage reads and writes: declared once, and looked up when a run has ended.

Partitions of the lake are not listed here day by day. A manifest says what its partition was made
from, and the stage's books (pipelines.observing.books) hold every manifest and verdict it wrote.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from features.declarations.errors import GatehouseError
from features.declarations.groups import Profile
from features.serving.served import read_receipt
from pipelines.days import Days
from pipelines.lake import Lake
from pipelines.lineage.parts import Part, distinct
from pipelines.manifest import Manifest, sha256_of
from pipelines.observing.books import Books
from pipelines.observing.run import StageRun
from pipelines.settings import Settings
from pipelines.training_sets import encoded_folder, training_set
from training.sealed import HASHES, fingerprint

FEW = 16  # hex digits of a hash, as in a manifest's


@dataclass(frozen=True, slots=True)
class Place:
    """Data sets of one kind.

    Attributes:
        names: those that a run touches, paths below home.
        parts: what is there when the run has ended; nothing where the books say it.
    """

    names: Callable[[Settings, StageRun], Iterable[str]]
    parts: Callable[[Settings, StageRun], Iterable[Part]] = lambda settings, run: ()


@dataclass(frozen=True, slots=True)
class Flow:
    """What a stage reads and writes."""

    reads: tuple[Place, ...] = ()
    writes: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Moved:
    """What a run has read and written."""

    reads: tuple[Part, ...]
    writes: tuple[Part, ...]


def lake_name(settings: Settings, table: str) -> str:
    """A table's name in lineage."""
    return f"lake/{settings.dataset}/{table}"


def names_of(places: Iterable[Place], settings: Settings, run: StageRun) -> list[str]:
    """Names of all data sets that a run touches, also when it never gets there."""
    return sorted({name for place in places for name in place.names(settings, run)})


def moved(settings: Settings, run: StageRun, books: Books, *, finished: bool) -> Moved:
    """What `run` has read and written. Of one that failed only what its books say is known."""
    flow = FLOWS.get(run.stage, Flow())
    writes = [_written(settings, manifest) for manifest in books.manifests]
    reads = [
        _read(settings, run, partition, content)
        for manifest in books.manifests
        for partition, content in manifest.inputs.items()
    ]
    reads += [Part(lake_name(settings, own.table), own.ds, own.content) for own in books.verdicts]
    if finished:
        writes += [part for place in flow.writes for part in _there(place, settings, run)]
        reads += [part for place in flow.reads for part in _there(place, settings, run)]
    made = {part.key for part in writes}
    return Moved(distinct(part for part in reads if part.key not in made), distinct(writes))


def _there(place: Place, settings: Settings, run: StageRun) -> list[Part]:
    """The parts of a place; what is not there was neither read nor written."""
    try:
        return list(place.parts(settings, run))
    except (OSError, GatehouseError):
        return []


def _written(settings: Settings, manifest: Manifest) -> Part:
    size = sum(file.size for file in manifest.files)
    return Part(lake_name(settings, manifest.table), manifest.ds, manifest.content, manifest.rows, size)


def _read(settings: Settings, run: StageRun, source: str, content: str) -> Part:
    """A part from a manifest's inputs: a partition like "events/ds=2022-05-01", or to ingest a raw file."""
    if run.stage == "ingest":
        return Part(f"raw/{settings.dataset}/{source.removeprefix('raw/')}", None, content[:FEW])
    table, _, ds = source.partition("/ds=")
    return Part(lake_name(settings, table), ds or None, content[:FEW])


def _tables(*tables: str) -> Place:
    return Place(lambda settings, run: [lake_name(settings, table) for table in tables])


def _views(settings: Settings, run: StageRun) -> list[str]:
    return [lake_name(settings, f"features/{view.name}") for view in settings.catalog.views]


def _tiles(settings: Settings, run: StageRun) -> list[str]:
    return [lake_name(settings, f"tiles/{group.name}") for group in settings.catalog.aggregates]


def _served_features(settings: Settings, run: StageRun) -> Iterator[Part]:
    """The snapshots whose rows may be within their view's TTL at the end of the run's day."""
    lake, end = Lake(settings.lake), run.days.end
    for view in settings.catalog.views:
        table = f"features/{view.name}"
        days: Iterable[date | None] = [None]
        if not isinstance(view, Profile):
            reach = Days(start=end - view.ttl, end=end)
            days = [ds for ds in lake.days(table) if ds in reach]
        for ds in days:
            yield _written(settings, lake.manifest(table, ds))


def _online(settings: Settings, run: StageRun) -> list[str]:
    return [f"feast/{settings.dataset}/{view.name}" for view in settings.catalog.views]


def _served(settings: Settings, run: StageRun) -> Iterator[Part]:
    served = read_receipt(settings.home / "feast")
    if served is not None and served.dataset == settings.dataset:
        for name, view in served.views.items():
            yield Part(f"feast/{settings.dataset}/{name}", str(served.ds), view.content, view.rows)


def _training_set(settings: Settings, run: StageRun) -> Iterator[Part]:
    table = training_set(settings.params.features.service)
    manifest = Lake(settings.lake).find_manifest(table, run.days.end)
    if manifest is not None:
        yield _written(settings, manifest)


def _arrays(settings: Settings, run: StageRun) -> Iterator[Part]:
    folder = encoded_folder(Lake(settings.lake), settings.params.features.service, run.days.end)
    name = lake_name(settings, f"encoded/{settings.params.features.service}")
    yield Part(name, str(run.days.end), fingerprint(folder), size=_size(folder))


def model_part(settings: Settings, model: str, ds: date) -> Part:
    """A trained model by the SHA-256 of its list of hashes, which its version's tag carries too."""
    folder = settings.models / model / f"ds={ds}"
    return Part(f"models/{settings.dataset}/{model}", str(ds), sha256_of(folder / HASHES), size=_size(folder))


def _models(*names: str) -> Place:
    """Models by name; "" stands for the run's own, and none for all of params.yaml."""

    def chosen(settings: Settings, run: StageRun) -> list[str]:
        return [name or run.model for name in names] or list(settings.params.train.models)

    return Place(
        lambda settings, run: [f"models/{settings.dataset}/{name}" for name in chosen(settings, run)],
        lambda settings, run: [model_part(settings, name, run.days.end) for name in chosen(settings, run)],
    )


def _chosen(settings: Settings, run: StageRun) -> Iterator[Part]:
    yield model_part(settings, settings.params.publish.model, run.days.end)


def version_name(settings: Settings, tag: str) -> str:
    """The name of a published version in lineage, for example "registry/simulated/pepnet@v3.0.0"."""
    return f"registry/{settings.dataset}/{tag}"


def _version(settings: Settings, run: StageRun) -> Iterator[Part]:
    path = settings.home / "registry" / settings.dataset / "published.json"
    note = json.loads(path.read_bytes())
    yield Part(version_name(settings, f"{note['model']}@{note['version']}"), None, note["hashes"])


def _file(name: Callable[[Settings], str], path: Callable[[Settings, date], Path], *, daily: bool) -> Place:
    def part(settings: Settings, run: StageRun) -> Iterator[Part]:
        file = path(settings, run.days.end)
        ds = str(run.days.end) if daily else None
        yield Part(name(settings), ds, sha256_of(file)[:FEW], size=file.stat().st_size)

    return Place(lambda settings, run: [name(settings)], part)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


EVENTS = _tables("events")
PROFILES = _tables("users", "items")
FEATURES = Place(_views)
TRAINING_SET = Place(
    lambda settings, run: [lake_name(settings, training_set(settings.params.features.service))], _training_set
)
ARRAYS = Place(
    lambda settings, run: [lake_name(settings, f"encoded/{settings.params.features.service}")], _arrays
)
ONLINE = Place(_online, _served)
CHOSEN = Place(lambda settings, run: [f"models/{settings.dataset}/{settings.params.publish.model}"], _chosen)
EVALUATION = _file(
    lambda settings: f"evaluation/{settings.dataset}",
    lambda settings, ds: settings.evaluation / f"ds={ds}.json",
    daily=True,
)
PROMOTION = _file(
    lambda settings: f"promotion/{settings.dataset}",
    lambda settings, ds: settings.promotion / f"ds={ds}.json",
    daily=True,
)
PAGE = _file(
    lambda settings: "reports/index.html", lambda settings, ds: settings.reports / "index.html", daily=False
)

VERSION = Place(lambda settings, run: [version_name(settings, settings.params.publish.model)], _version)

FLOWS = {
    "ingest": Flow(writes=(EVENTS, PROFILES, _tables("quarantine"))),
    "validate_events": Flow((EVENTS,)),
    "aggregate": Flow((EVENTS, PROFILES), (Place(_tiles), FEATURES)),
    "validate_features": Flow((FEATURES,)),
    "materialize": Flow((Place(_views, _served_features),), (ONLINE,)),
    "assemble": Flow((EVENTS, FEATURES), (TRAINING_SET, ARRAYS)),
    "validate_training": Flow((TRAINING_SET,)),
    "train": Flow((ARRAYS, TRAINING_SET), (_models(""),)),
    "evaluate": Flow((ARRAYS, TRAINING_SET, _models()), (EVALUATION,)),
    "promote": Flow((ARRAYS, TRAINING_SET, CHOSEN, EVALUATION), (PROMOTION,)),
    "publish": Flow((CHOSEN, EVALUATION, PROMOTION), (VERSION,)),
    "report": Flow((EVALUATION, PROMOTION, ONLINE), (PAGE,)),
}
"""Stage to what it reads and writes; a test holds it equal to the dependencies and outputs of dvc.yaml."""
