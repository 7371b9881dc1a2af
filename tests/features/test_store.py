from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import features
from features.declarations.catalogs import find_catalog
from features.store import apply, open_store
from features.stores.errors import StoreError
from tests.features.hand_made_lake import settings_of

FEATURES = Path(features.__file__).parent


def test_state_lies_under_home_and_nowhere_else(tmp_path: Path) -> None:
    store = open_store(tmp_path / "home")
    apply(store, find_catalog("simulated"), tmp_path / "lake")
    assert {path.name for path in (tmp_path / "home" / "feast").iterdir()} >= {"registry.db", "online.db"}
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_objects_of_another_data_set_are_gone_after_apply(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    apply(store, find_catalog("movielens-100k"), tmp_path / "movielens")
    apply(store, find_catalog("simulated"), tmp_path / "simulated")
    simulated = find_catalog("simulated")
    assert {view.name for view in store.list_feature_views()} == {view.name for view in simulated.views}
    assert {entity.name for entity in store.list_entities()} == {entity.name for entity in simulated.entities}
    assert {source.folder.parts[-3] for source in store.list_data_sources()} == {"simulated"}


def test_error_says_what_to_do_when_the_registry_is_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "feast").mkdir()
    (tmp_path / "feast" / "registry.db").touch()
    with pytest.raises(StoreError, match=r"registry\.db is an empty file.*gatehouse materialize"):
        open_store(tmp_path)


def test_another_settings_file_is_used_when_the_environment_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (FEATURES / "feature_store.yaml").read_text()
    other = tmp_path / "other.yaml"
    other.write_text(text.replace("../feast/online.db", "../elsewhere/online.db"))
    monkeypatch.setenv("FEAST_FS_YAML_FILE_PATH", str(other))
    store = open_store(tmp_path / "home")
    assert store.config.online_store.path == str(tmp_path / "home" / "elsewhere" / "online.db")


@pytest.mark.slow
def test_feast_apply_registers_the_data_set_of_params(tmp_path: Path) -> None:
    settings_of(tmp_path, "simulated")
    shutil.copytree(FEATURES, tmp_path / "features", ignore=shutil.ignore_patterns("__pycache__"))
    ran = subprocess.run(
        [str(Path(sys.executable).with_name("feast")), "apply"],
        cwd=tmp_path / "features",
        env={**os.environ, "GATEHOUSE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    store = open_store(tmp_path)
    assert {view.name for view in store.list_feature_views()} == {
        view.name for view in find_catalog("simulated").views
    }
