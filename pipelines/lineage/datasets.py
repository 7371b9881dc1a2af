"""Data sets as OpenLineage events describe them: version, columns, partitions, what a gate said."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from features.declarations.catalog import Catalog
from pipelines.lineage.facets import Json, facet
from pipelines.lineage.of_stage import FEW
from pipelines.lineage.parts import Part
from pipelines.settings import Settings
from pipelines.verdicts import Verdict

SHOWN_FAILURES = 20


class Datasets:
    """Data sets as events describe them."""

    def __init__(self, settings: Settings, namespace: str) -> None:
        self._settings = settings
        self._namespace = namespace
        self._schemas = _schemas(settings.catalog)

    def read(self, name: str, parts: Sequence[Part], verdicts: Sequence[Verdict]) -> Json:
        facets = {}
        if parts:
            facets["subset"] = facet(
                "1-0-0/BaseSubsetDatasetFacet#InputSubsetInputDatasetFacet", inputCondition=_subset(parts)
            )
        if verdicts:
            facets["dataQualityAssertions"] = _assertions(verdicts)
        return self._dataset(name, parts) | {"inputFacets": facets}

    def written(self, name: str, parts: Sequence[Part]) -> Json:
        facets = {}
        if parts:
            facets["subset"] = facet(
                "1-0-0/BaseSubsetDatasetFacet#OutputSubsetOutputDatasetFacet",
                outputCondition=_subset(parts),
            )  # fmt: skip
            totals = {"rowCount": [p.rows for p in parts], "size": [p.size for p in parts]}
            known = {
                what: sum(n for n in numbers if n is not None)
                for what, numbers in totals.items()
                if any(n is not None for n in numbers)
            }
            facets["outputStatistics"] = facet("1-0-2/OutputStatisticsOutputDatasetFacet", **known)
        return self._dataset(name, parts) | {"outputFacets": facets}

    def _dataset(self, name: str, parts: Sequence[Part]) -> Json:
        facets = {}
        if parts:
            facets["version"] = facet("1-0-1/DatasetVersionDatasetFacet", datasetVersion=_version(parts))
            columns = self._schemas.get(name.removeprefix(f"lake/{self._settings.dataset}/"))
            if columns is not None:
                facets["schema"] = facet("1-2-0/SchemaDatasetFacet", fields=columns)
        return {"namespace": self._namespace, "name": name, "facets": facets}


def _version(parts: Sequence[Part]) -> str:
    """The hash of the only part, or one that stands for them all."""
    if len(parts) == 1:
        return parts[0].content
    return hashlib.sha256("".join(part.content for part in parts).encode()).hexdigest()[:FEW]


def _subset(parts: Sequence[Part]) -> Json:
    """The partitions that were touched; an identifier is the hash of a partition's content."""
    return {
        "type": "partition",
        "partitions": [
            {"dimensions": {} if part.ds is None else {"ds": part.ds}, "identifier": part.content}
            for part in parts
        ],
    }


def _assertions(verdicts: Sequence[Verdict]) -> Json:
    """What a gate said of each partition, then what was not met."""
    gates = [
        {
            "assertion": "gate", "success": own.passed, "name": f"{own.table}, {own.ds or 'all'}",
            "actual": f"{len(own.failures)} of {own.checks} expectations not met",
        }
        for own in verdicts
    ]  # fmt: skip
    failures = [
        {
            "assertion": failure.expectation, "success": False, "column": failure.column,
            "name": f"{own.table}, {own.ds or 'all'}", "actual": failure.observed,
        }
        for own in verdicts
        for failure in own.failures
    ]  # fmt: skip
    return facet("1-1-0/DataQualityAssertionsDatasetFacet", assertions=gates + failures[:SHOWN_FAILURES])


def _schemas(catalog: Catalog) -> dict[str, list[Json]]:
    """Table of the lake to its declared columns."""
    instants = [_column("event_timestamp", "timestamp"), _column("created_timestamp", "timestamp")]
    events = [
        _column("event_id", "string"),
        *instants,
        *(_column(entity.column, "string") for entity in catalog.entities),
        *(_column(task.column, "int8", task.description) for task in catalog.tasks),
        *(_column(quantity.name, "float32") for quantity in catalog.quantities),
        *(_column(feature.name, feature.dtype, feature.description) for feature in catalog.context),
    ]
    views = {
        f"features/{view.name}": [
            *(_column(key.column, "string") for key in view.keys),
            *instants,
            *(_column(feature.name, feature.dtype, feature.description) for feature in view.features),
        ]
        for view in catalog.views
    }
    return {"events": events} | views


def _column(name: str, kind: str, description: str = "") -> Json:
    return {"name": name, "type": str(kind), **({"description": description} if description else {})}
