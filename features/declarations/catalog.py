"""Everything declared for one data set: tasks, entities, views and the services models read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from features.declarations.entities import ITEM, SCENARIO, USER, Entity
from features.declarations.errors import DeclarationError
from features.declarations.features import Feature
from features.declarations.groups import Aggregate, FeatureGroup, Profile, SequenceGroup, View
from features.declarations.names import checked_name
from features.declarations.quantities import Quantity


@dataclass(frozen=True, slots=True)
class Task:
    """A label to predict.

    Attributes:
        name: for example "click"; its column in the event table is `label_click`.
        prior: its rate over the whole log, roughly; smooths the rate features.
    """

    name: str
    prior: float
    description: str = ""

    def __post_init__(self) -> None:
        checked_name(self.name, "task")
        if not 0.0 < self.prior < 1.0:
            raise DeclarationError(f"task {self.name}: prior {self.prior} is not within (0, 1)")

    @property
    def column(self) -> str:
        return f"label_{self.name}"


@dataclass(frozen=True, slots=True)
class AuxiliaryTask:
    """A question that networks learn beside the tasks, for what it teaches them; nobody is told the answer.

    Whether a video was watched to its half says more of a viewer than whether it was opened. The answer is
    an outcome, so the training set has the quantity, and no model reads it.

    Attributes:
        name: for example "played_half".
        quantity: of the event.
        at_least: the answer is yes from this value on; there is none where the quantity is null.
    """

    name: str
    quantity: Quantity
    at_least: float

    def __post_init__(self) -> None:
        checked_name(self.name, "auxiliary task")


@dataclass(frozen=True, slots=True)
class Service:
    """A frozen list of views that a model version is trained on; becomes a Feast FeatureService."""

    name: str
    views: tuple[str, ...]

    def __post_init__(self) -> None:
        checked_name(self.name, "feature service")


@dataclass(frozen=True, slots=True)
class Volume:
    """How many rows a day may have, relative to the median of the days before it."""

    min_ratio: float
    max_ratio: float


@dataclass(frozen=True)
class Catalog:
    """The declarations of one data set.

    Attributes:
        dataset: its name, for example "kuairand-pure".
        tasks: labels to predict; the first is the one lists are ranked by.
        entities: every entity whose id column the event table has; user, item and scenario come first.
        context: features known with the request itself, columns of the event table.
        views: all feature groups, sequences and profiles.
        services: what models may be trained on.
        volume: bounds of a day's row count.
        quantities: numbers the event table has beside the labels, known once an event has happened.
        auxiliaries: what networks learn beside the tasks.
    """

    dataset: str
    tasks: tuple[Task, ...]
    entities: tuple[Entity, ...]
    views: tuple[View, ...]
    services: tuple[Service, ...]
    volume: Volume
    context: tuple[Feature, ...] = field(default=())
    quantities: tuple[Quantity, ...] = field(default=())
    auxiliaries: tuple[AuxiliaryTask, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.entities[:3] != (USER, ITEM, SCENARIO):
            raise DeclarationError(f"catalog {self.dataset}: entities must begin with user, item, scenario")
        if not self.tasks:
            raise DeclarationError(f"catalog {self.dataset} declares no task")
        self._require_distinct_columns()
        self._require_auxiliaries()
        names: set[str] = set()
        for view in self.views:
            if view.name in names:
                raise DeclarationError(f"catalog {self.dataset} declares view {view.name} twice")
            names.add(view.name)
            self._require_known(view)
        for service in self.services:
            unknown = set(service.views) - names
            if unknown:
                raise DeclarationError(
                    f"feature service {service.name} names unknown views: {', '.join(sorted(unknown))}"
                )

    def _require_distinct_columns(self) -> None:
        columns = [
            *(entity.column for entity in self.entities),
            *(task.column for task in self.tasks),
            *(feature.name for feature in self.context),
            *(quantity.name for quantity in self.quantities),
        ]
        repeated = sorted({column for column in columns if columns.count(column) > 1})
        if repeated:
            raise DeclarationError(
                f"catalog {self.dataset}: the event table would have two columns {', '.join(repeated)}"
            )

    def _require_auxiliaries(self) -> None:
        learnt = [*(task.name for task in self.tasks), *(task.name for task in self.auxiliaries)]
        for auxiliary in self.auxiliaries:
            if learnt.count(auxiliary.name) > 1:
                raise DeclarationError(f"catalog {self.dataset} declares task {auxiliary.name} twice")
            if auxiliary.quantity not in self.quantities:
                known = ", ".join(quantity.name for quantity in self.quantities) or "none"
                raise DeclarationError(
                    f"auxiliary task {auxiliary.name} asks for {auxiliary.quantity.name}, which is no "
                    f"quantity of {self.dataset}; it has {known}"
                )

    def _require_known(self, view: View) -> None:
        """Everything a view reads must be a column of the event table."""
        read: list[tuple[str, Iterable[str], Iterable[str]]] = []
        entities = [entity.name for entity in self.entities]
        read.append(("entity", (key.name for key in view.keys), entities))
        if not isinstance(view, Profile):
            read.append(("task", view.tasks, [task.name for task in self.tasks]))
        if isinstance(view, SequenceGroup):
            read.append(("entity", (element.name for element in view.elements), entities))
        if isinstance(view, FeatureGroup):
            read.append(("entity", (entity.name for entity in view.counted), entities))
            known = [quantity.name for quantity in self.quantities]
            read.append(("quantity", (quantity.name for quantity in view.quantities), known))
        for kind, used, declared in read:
            unknown = sorted(set(used) - set(declared))
            if unknown:
                raise DeclarationError(
                    f"view {view.name} uses the unknown {kind} {', '.join(unknown)}: the events of "
                    f"{self.dataset} have no column for it; they have {', '.join(declared) or 'none'}"
                )

    @cached_property
    def asked_for(self) -> tuple[Quantity, ...]:
        """The quantities that auxiliary tasks ask for, in order of declaration."""
        return tuple(
            quantity
            for quantity in self.quantities
            if any(auxiliary.quantity == quantity for auxiliary in self.auxiliaries)
        )

    @cached_property
    def aggregates(self) -> tuple[Aggregate, ...]:
        """Views built from events, in declaration order."""
        return tuple(view for view in self.views if not isinstance(view, Profile))

    @cached_property
    def profiles(self) -> tuple[Profile, ...]:
        return tuple(view for view in self.views if isinstance(view, Profile))

    def view(self, name: str) -> View:
        """The view called `name`; `DeclarationError` when there is none."""
        for view in self.views:
            if view.name == name:
                return view
        raise DeclarationError(
            f"{self.dataset} has no view {name!r}; it has {', '.join(view.name for view in self.views)}"
        )

    def service(self, name: str) -> Service:
        """The feature service called `name`; `DeclarationError` when there is none."""
        for service in self.services:
            if service.name == name:
                return service
        raise DeclarationError(
            f"{self.dataset} has no feature service {name!r}; "
            f"it has {', '.join(service.name for service in self.services)}"
        )

    def service_columns(self, service: str) -> Iterator[tuple[str, Feature]]:
        """Yield (training-set column, feature) of a service: `<view>__<feature>`, Feast's full names."""
        for name in self.service(service).views:
            for feature in self.view(name).features:
                yield f"{name}__{feature.name}", feature
