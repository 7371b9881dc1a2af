"""The model registry: a git repository of DVC-tracked model folders, where GTO tags are versions and stages.

Any git and DVC client can read it: `git tag` lists versions (`pepnet@v3.0.0`) and what went into
production after what (`pepnet#prod#5`), and `dvc artifacts get REGISTRY pepnet --stage prod` fetches the
model that is there now. See https://dvc.org/doc/gto for the tags.
"""

from pipelines.registry.download import fetch, pull
from pipelines.registry.production import (
    PROD,
    champion_of,
    in_production,
    newest_reference,
    production_reference,
)
from pipelines.registry.references import LATEST, resolve
from pipelines.registry.repository import REMOTE, Registry, require_begun
from pipelines.registry.versions import Version, models, versions

__all__ = [
    "LATEST",
    "PROD",
    "REMOTE",
    "Registry",
    "Version",
    "champion_of",
    "fetch",
    "in_production",
    "models",
    "newest_reference",
    "production_reference",
    "pull",
    "require_begun",
    "resolve",
    "versions",
]
