"""A real S3 server for tests, with a key that it asks for: rclone over a folder, on loopback."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.valkeys import free_port

_RCLONE = Path(sys.executable).with_name("rclone")
_PATIENCE = 30.0


@dataclass
class Bucket:
    """A bucket, and the server that it is on.

    Attributes:
        folder: what the server keeps; the bucket is a folder in it, its objects are files.
        name: of the bucket.
        key: id of the only key that is let in.
        secret: and its secret.
    """

    folder: Path
    name: str = "models"
    key: str = "a-key-of-tests"
    secret: str = "s3cr3t-of-the-bucket"  # noqa: S105 -- of this server only
    port: int = field(default_factory=free_port)
    _server: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What any S3 client is told, to get in."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_CONFIG_FILE": str(self.folder / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "none"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def objects(self) -> list[Path]:
        """Files of the objects, in order of their names."""
        return sorted(path for path in (self.folder / self.name).rglob("*") if path.is_file())

    def start(self) -> None:
        """Start the server, on the same port every time."""
        (self.folder / self.name).mkdir(parents=True, exist_ok=True)
        # Tests alter the folder behind the server's back, so that it may remember nothing of it for long;
        # told to remember nothing at all, rclone lists for ever.
        address = f"127.0.0.1:{self.port}"
        self._server = subprocess.Popen(
            [_RCLONE, "serve", "s3", self.folder, "--addr", address, "--dir-cache-time", "10ms"],
            env={"RCLONE_AUTH_KEY": f'"{self.key},{self.secret}"', "RCLONE_CONFIG": "/dev/null"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"rclone does not serve {self.folder}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            return httpx.get(self.endpoint, timeout=5).is_client_error  # it wants a key
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """Kill the server, as a machine that goes down does."""
        if self._server is not None:
            self._server.kill()
            self._server.wait()


@contextmanager
def bucket(folder: Path) -> Iterator[Bucket]:
    """A bucket whose server runs; a test may stop it and start it again."""
    served = Bucket(folder)
    try:
        served.start()
        yield served
    finally:
        served.stop()
