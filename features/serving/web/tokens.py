"""Bearer tokens: who may ask for what. A file holds their hashes, a line of JSON each; tokens are not kept.

A token is 32 random bytes, so nobody can try them all, and a plain SHA-256 guards it as well as a slow hash
would; slow hashes are for passwords, which can be guessed.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import uuid
from collections.abc import Sequence
from pathlib import Path

import structlog
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.serving.web.errors import TokenError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
_BYTES = 32


class Grant(BaseModel):
    """What the bearer of one token may do.

    Attributes:
        name: whose token it is, for people.
        sha256: of the token, as hexadecimal digits.
        services: feature services that may be looked up.
        rank: whether items may be ranked with a model of one of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    services: tuple[str, ...]
    rank: bool = False


class Tokens:
    """The grants of a file, which is read again when it has changed: a removed line ends its token at once.

    Raises:
        TokenError: there is no such file, or a line of it is not a grant.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = _stamp(path)
        if self._stamp is None:
            raise TokenError(f"there is no file of tokens {path}; make one with `gatehouse token NAME`")
        self._grants = read_grants(path)

    def find(self, token: str) -> Grant | None:
        """The grant of `token`; None when it has none. Takes as long whichever it is."""
        given = hashlib.sha256(token.encode(errors="replace")).hexdigest()
        found = None
        for grant in self._current():
            if hmac.compare_digest(grant.sha256, given):
                found = grant
        return found

    def _current(self) -> Sequence[Grant]:
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._grants = read_grants(self._path) if stamp else []
            except TokenError as error:
                self._grants = []
                structlog.get_logger().error("nobody is let in: the tokens are unreadable", reason=str(error))
        return self._grants


def read_grants(path: Path) -> list[Grant]:
    """The grants of a file, empty lines aside.

    Raises:
        TokenError: a line is not a grant; its number is named, its text is not.
    """
    grants = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            try:
                grants.append(Grant.model_validate_json(line))
            except ValidationError as error:
                wrong = "; ".join(f"{'.'.join(map(str, e['loc']))} {e['msg']}" for e in error.errors())
                raise TokenError(f"{path}, line {number} is not a token's: {wrong}") from None
    return grants


def add_token(path: Path, name: str, services: Sequence[str], *, rank: bool) -> str:
    """Make a new token, add its hash to the file, and return the token, which is kept nowhere else.

    The file appears whole, readable by its owner only.

    Raises:
        TokenError: the name cannot be one or is taken.
    """
    if not _NAME.match(name):
        raise TokenError(f"{name!r} is no name for a token; use up to 63 letters, digits, '.', '_' and '-'")
    path.parent.mkdir(parents=True, exist_ok=True)
    token = secrets.token_urlsafe(_BYTES)
    digest = hashlib.sha256(token.encode()).hexdigest()
    with FileLock(path.with_name(f".{path.name}.lock")):
        grants = read_grants(path) if path.exists() else []
        if name in {grant.name for grant in grants}:
            raise TokenError(f"{path} has a token of {name} already; remove its line, or choose another name")
        grants.append(Grant(name=name, sha256=digest, services=tuple(services), rank=rank))
        _write(path, "".join(grant.model_dump_json() + "\n" for grant in grants))
    return token


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Changes when the file does; None when there is none."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_ino, facts.st_mtime_ns, facts.st_size
