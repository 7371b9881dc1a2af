"""Open the Feast store and register a data set's objects in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from feast import FeatureStore, FeatureView, RepoConfig
from feast.protos.feast.core.Registry_pb2 import Registry
from google.protobuf.message import DecodeError

from features.compile.feast import FeastObjects, compile_feast
from features.declarations.catalog import Catalog
from features.files import sole_owner
from features.stores.errors import StoreError

CONFIG = Path(__file__).with_name("feature_store.yaml")


def open_store(home: Path, config: Path | None = None) -> FeatureStore:
    """The Feast store whose state lies under `home`; its `repo_path` is that folder, `home`/feast.

    Settings come from the file `config`, else the one FEAST_FS_YAML_FILE_PATH names, else
    features/feature_store.yaml. Relative paths in it are read as if it lay in `home`/features, so that a home
    of its own has a store of its own.

    Raises:
        StoreError: the registry is empty or cut off; Feast would take that for a store with less in it, and
            write it so.
    """
    path = config or Path(os.environ.get("FEAST_FS_YAML_FILE_PATH") or CONFIG)
    settings = yaml.safe_load(os.path.expandvars(path.read_text(encoding="utf-8")))
    _rebase(settings, home / "features")
    state = home / "feast"
    state.mkdir(parents=True, exist_ok=True)
    parsed = RepoConfig(**settings, repo_path=state)
    registry = Path(parsed.registry.path)
    if parsed.registry.registry_type == "file" and registry.is_file():
        _require_whole(registry)
    return FeatureStore(repo_path=str(state), config=parsed)


def apply(store: FeatureStore, catalog: Catalog, lake: Path) -> FeastObjects:
    """Register the catalog's objects; remove those it no longer has, and all of another data set.

    Views of another data set lose their online rows too: its ids mean other users and items. Who registers
    objects meanwhile is waited for.
    """
    objects = compile_feast(catalog, lake)
    with sole_owner(Path(store.repo_path) / ".apply.lock"):
        _register(store, catalog, objects)
    return objects


def _require_whole(registry: Path) -> None:
    """Refuse a registry file that has lost its end, where projects stand."""
    content = registry.read_bytes()
    try:
        whole = bool(Registry.FromString(content).projects)
    except DecodeError:
        whole = False
    if not whole:
        state = "an empty file" if not content else f"cut off or damaged ({len(content):,} bytes)"
        raise StoreError(
            f"the registry {registry} is {state}. Nothing was written to it. "
            "Remove it and run `gatehouse materialize`, which makes it anew from the declarations"
        )


def _register(store: FeatureStore, catalog: Catalog, objects: FeastObjects) -> None:
    names = {(type(known), known.name) for known in objects}
    registered = [*store.list_feature_services(), *store.list_feature_views(), *store.list_entities()]
    gone = [
        known
        for known in registered
        if known.tags.get("dataset") != catalog.dataset or (type(known), known.name) not in names
    ]
    if gone:
        sources = [known.batch_source for known in gone if isinstance(known, FeatureView)]
        store.apply([], objects_to_delete=[*gone, *sources], partial=False)
    store.apply(list(objects))


def _rebase(settings: dict[str, Any], folder: Path) -> None:
    """Make the relative paths in `settings` absolute, below `folder`."""
    registry, online = settings["registry"], settings["online_store"]
    if isinstance(registry, str):
        registry = settings["registry"] = {"path": registry}
    for section in (registry, online):
        path = section.get("path")
        if path is not None and "://" not in path:
            section["path"] = os.path.normpath(folder / path)
