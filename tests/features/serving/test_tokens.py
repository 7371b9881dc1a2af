"""The file of tokens: what it holds, who may read it, and what is refused."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.serving.web.errors import TokenError
from features.serving.web.tokens import Tokens, add_token, read_grants


def test_file_holds_the_hash_and_not_the_token_and_is_its_owners_only(tmp_path: Path) -> None:
    os.umask(0)  # even where new files are everybody's
    token = add_token(tmp_path / "below" / "tokens", "web", ["ranker_v1"], rank=True)
    path = tmp_path / "below" / "tokens"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert token not in path.read_text()
    grant = Tokens(path).find(token)
    assert grant is not None
    assert (grant.name, grant.services, grant.rank) == ("web", ("ranker_v1",), True)


def test_tokens_are_long_and_all_different(tmp_path: Path) -> None:
    tokens = {add_token(tmp_path / "tokens", f"t{n}", ["s"], rank=False) for n in range(20)}
    assert len(tokens) == 20
    assert all(len(token) >= 43 for token in tokens), "32 random bytes"


def test_tokens_made_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda n: add_token(path, f"t{n}", ["s"], rank=False), range(16)))
    tokens = Tokens(path)
    assert [grant.name for token in made if (grant := tokens.find(token))] == [f"t{n}" for n in range(16)]


@pytest.mark.parametrize("token", ["", "wrong", "\ud800", "a" * 10_000])
def test_unknown_token_has_no_grant(tmp_path: Path, token: str) -> None:
    add_token(tmp_path / "tokens", "web", ["s"], rank=False)
    assert Tokens(tmp_path / "tokens").find(token) is None


def test_second_token_of_a_name_is_refused(tmp_path: Path) -> None:
    add_token(tmp_path / "tokens", "web", ["s"], rank=False)
    with pytest.raises(TokenError, match="has a token of web already"):
        add_token(tmp_path / "tokens", "web", ["s"], rank=True)


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 64, "two\nlines"])
def test_name_that_cannot_be_one_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(TokenError, match="is no name for a token"):
        add_token(tmp_path / "tokens", name, ["s"], rank=False)


def test_damaged_line_is_named_without_being_shown(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    add_token(path, "web", ["s"], rank=False)
    with path.open("a") as stream:
        stream.write(json.dumps({"name": "x", "sha256": "secret", "services": ["s"]}) + "\n")
    with pytest.raises(TokenError, match="line 2 is not a token's: sha256") as error:
        read_grants(path)
    assert "secret" not in str(error.value)


def test_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(TokenError, match="gatehouse token"):
        Tokens(tmp_path / "tokens")
