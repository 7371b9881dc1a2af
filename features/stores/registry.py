"""Feast's registry in a file that is replaced in one step.

Feast's own file store empties the file and then writes it: a kill in between leaves an empty registry,
which Feast takes for an empty store.
"""

from __future__ import annotations

import uuid

from feast.infra.registry.file import FileRegistryStore
from feast.protos.feast.core.Registry_pb2 import Registry

from features.files import write_whole


class WholeFileRegistryStore(FileRegistryStore):  # type: ignore[misc]
    """A reader or a kill finds the old registry or the new one."""

    def _write_registry(self, registry_proto: Registry) -> None:
        registry_proto.version_id = str(uuid.uuid4())
        registry_proto.last_updated.GetCurrentTime()
        write_whole(self._filepath, registry_proto.SerializeToString())
