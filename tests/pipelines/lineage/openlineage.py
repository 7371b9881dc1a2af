"""Reads events back through the classes that OpenLineage generates from its JSON schemas."""

from __future__ import annotations

from typing import Any

from openlineage.client import event_v2
from openlineage.client.facet_v2 import (
    base_subset_dataset,
    data_quality_assertions_dataset,
    dataset_version_dataset,
    error_message_run,
    job_type_job,
    nominal_time_run,
    output_statistics_output_dataset,
    parent_run,
    processing_engine_run,
    schema_dataset,
)
from openlineage.client.serde import Serde

FACETS: dict[str, Any] = {
    "nominalTime": nominal_time_run.NominalTimeRunFacet,
    "processing_engine": processing_engine_run.ProcessingEngineRunFacet,
    "errorMessage": error_message_run.ErrorMessageRunFacet,
    "jobType": job_type_job.JobTypeJobFacet,
    "version": dataset_version_dataset.DatasetVersionDatasetFacet,
    "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
}


def read_back(event: dict[str, Any]) -> dict[str, Any]:
    """The event as OpenLineage's client would send it; a field that its schemas do not know raises."""
    made = event_v2.RunEvent(
        eventTime=event["eventTime"],
        producer=event["producer"],
        eventType=event_v2.RunState(event["eventType"]),
        run=event_v2.Run(event["run"]["runId"], _facets(event["run"]["facets"])),
        job=event_v2.Job(event["job"]["namespace"], event["job"]["name"], _facets(event["job"]["facets"])),
        inputs=[
            event_v2.InputDataset(
                own["namespace"], own["name"],
                facets=_facets(own["facets"]), inputFacets=_facets(own["inputFacets"]),
            )
            for own in event["inputs"]
        ],
        outputs=[
            event_v2.OutputDataset(
                own["namespace"], own["name"],
                facets=_facets(own["facets"]), outputFacets=_facets(own["outputFacets"]),
            )
            for own in event["outputs"]
        ],
    )  # fmt: skip
    return Serde.to_dict(made)


def _facets(found: dict[str, Any]) -> dict[str, Any]:
    return {name: _facet(name, values) for name, values in found.items()}


def _facet(name: str, values: dict[str, Any]) -> Any:
    plain = {key: value for key, value in values.items() if not key.startswith("_")}
    made: Any
    if name == "schema":
        fields = [schema_dataset.SchemaDatasetFacetFields(**own) for own in plain["fields"]]
        made = schema_dataset.SchemaDatasetFacet(fields=fields)
    elif name == "dataQualityAssertions":
        assertions = [data_quality_assertions_dataset.Assertion(**own) for own in plain["assertions"]]
        made = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(assertions=assertions)
    elif name == "subset":
        [(way, condition)] = plain.items()
        partitions = [base_subset_dataset.Partition(**own) for own in condition["partitions"]]
        subset = base_subset_dataset.PartitionSubsetCondition(partitions=partitions, type=condition["type"])
        kind = {
            "inputCondition": base_subset_dataset.InputSubsetInputDatasetFacet,
            "outputCondition": base_subset_dataset.OutputSubsetOutputDatasetFacet,
        }[way]
        made = kind(subset)
    elif name == "parent":
        root = plain.get("root")
        made = parent_run.ParentRunFacet(
            run=parent_run.Run(**plain["run"]),
            job=parent_run.Job(**plain["job"]),
            root=None if root is None else _root(root),
        )
    else:
        made = FACETS[name](**plain)
    made._producer = values["_producer"]
    return made


def _root(values: dict[str, Any]) -> parent_run.Root:
    return parent_run.Root(parent_run.RootRun(**values["run"]), parent_run.RootJob(**values["job"]))


def without_empty(value: Any) -> Any:
    """Nested values without the empty lists and objects that the classes fill in by themselves."""
    if isinstance(value, dict):
        kept = {key: without_empty(own) for key, own in value.items()}
        return {key: own for key, own in kept.items() if own not in ({}, [], None)}
    return [without_empty(own) for own in value] if isinstance(value, list) else value
