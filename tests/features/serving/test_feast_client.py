"""An existing Feast client asks the service when its online store names the URL, and nothing else changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from feast import FeatureStore, RepoConfig
from feast.errors import FeatureServiceNotFoundException
from feast.permissions.client.http_auth_requests_wrapper import HttpSessionManager

from features.serving.service import Configuration
from features.serving.web.tokens import Tokens, add_token
from pipelines.settings import Settings
from tests.features.serving.running import serving
from tests.features.serving.test_online_features import IDS

FEATURES = ["item_profile:author_id", "item_engagement:click_rate_1d", "user_positives:item_ids"]


@pytest.fixture(scope="module")
def guarded(store: FeatureStore, served: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The URL of a service that asks for tokens, and one of them."""
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    token = add_token(path, "feast", ["ranker_v1"], rank=False)
    with serving(Configuration(store, served.catalog, tokens=Tokens(path))) as url:
        yield url, token


def client(store: FeatureStore, url: str, token: str) -> FeatureStore:
    """A Feast store with the same registry, whose online store is the service."""
    HttpSessionManager.close_session()  # Feast keeps one session a process, whatever its token is
    config = RepoConfig(
        project=store.config.project,
        provider="local",
        registry=store.config.registry.model_dump(),
        online_store={"type": "remote", "path": url},
        auth={"type": "oidc", "token": token},
        entity_key_serialization_version=3,
    )
    return FeatureStore(config=config)


@pytest.mark.parametrize("full_feature_names", [False, True])
def test_feast_client_reads_the_values_it_reads_in_process(
    store: FeatureStore, guarded: Any, full_feature_names: bool
) -> None:
    asked: dict[str, Any] = {"entity_rows": IDS, "full_feature_names": full_feature_names}
    remote = client(store, *guarded).get_online_features(FEATURES, **asked).to_dict()
    assert remote == store.get_online_features(FEATURES, **asked).to_dict()


def test_feast_client_reads_all_features_of_a_service(
    store: FeatureStore, served: Settings, guarded: Any
) -> None:
    names = [name.replace("__", ":", 1) for name, _ in served.catalog.service_columns("ranker_v1")]
    own = store.get_online_features(names, IDS, full_feature_names=True).to_dict()
    # Feast's client takes a value's type from the value, and gives up at an empty list, whoever serves it.
    read = [name for name in names if [] not in own[name.replace(":", "__")]]
    remote = client(store, *guarded).get_online_features(read, IDS, full_feature_names=True).to_dict()
    assert remote == {name: own[name] for name in remote}
    assert len(remote) > 0.9 * len(names)


def test_feast_client_names_a_feature_service(store: FeatureStore, guarded: Any) -> None:
    service = store.get_feature_service("ranker_v1")
    unknown = {key: ["never seen"] for key in IDS}
    remote = client(store, *guarded).get_online_features(service, unknown, full_feature_names=True).to_dict()
    assert remote == store.get_online_features(service, unknown, full_feature_names=True).to_dict()


def test_feast_client_raises_feasts_own_error(store: FeatureStore, guarded: Any) -> None:
    service = store.get_feature_service("ranker_v1")
    service.name = "unheard_of"
    with pytest.raises(FeatureServiceNotFoundException, match="unheard_of"):
        client(store, *guarded).get_online_features(service, IDS, full_feature_names=True)


def test_feast_client_is_refused_with_a_wrong_token(store: FeatureStore, guarded: Any) -> None:
    with pytest.raises(RuntimeError, match="401"):
        client(store, guarded[0], "not a token").get_online_features(FEATURES, IDS)
