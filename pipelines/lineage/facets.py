"""Facets: what an OpenLineage event says of a run, a job or a data set, each by a schema of its own."""

from __future__ import annotations

from typing import Any, TypeAlias

from pipelines.observing.run import CODE

Json: TypeAlias = dict[str, Any]

PRODUCER = f"urn:gatehouse:{CODE}"
SPEC = "https://openlineage.io/spec"


def facet(schema: str, /, **values: Any) -> Json:
    """A facet of a schema that is called like "1-0-1/NominalTimeRunFacet".

    One that its file defines beside others is named behind a "#".
    """
    file, _, definition = schema.partition("#")
    definition = definition or file.rpartition("/")[2]
    return {"_producer": PRODUCER, "_schemaURL": f"{SPEC}/facets/{file}.json#/$defs/{definition}", **values}
