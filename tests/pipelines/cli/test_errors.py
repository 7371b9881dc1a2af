"""Whatever the command line is given, it ends with a status and one readable line, never with a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.cli import main
from pipelines.settings import Settings
from tests.pipelines.servable import servable
from tests.pipelines.service_process import GATEHOUSE

COMMANDS = (
    ("use",), ("pull",), ("pull", "pepnet", "--into"), ("train",), ("validate",), ("ingest", "--ds"),
    ("ingest", "--end"), ("evaluate", "--ds"), ("publish", "--ds"), ("consistency", "--ds"),
    ("token", "--service"), ("token", "--service", "ranker_v1"), ("export", "--to", "exported"),
    ("lookup", "--user", "u", "--scenario", "s", "--item"),
    ("lookup", "--item", "i", "--scenario", "s", "--user"),
    ("rank", "--user", "u", "--scenario", "s", "--model"), ("unheard-of",), (),
)  # fmt: skip
ODD = (
    "[/x]", "[bold", "../..", "a b", "-1", "--", "1e999", "\n", "*", "$(touch x)", "; ls", "'", '"', "\udcff",
    "x" * 5000, "pepnet@v" + "9" * 9, "2022-02-30", "%s", "{0}", "~root", "--help", "",
)  # fmt: skip
TEXT = st.sampled_from(ODD) | st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return servable(tmp_path_factory.mktemp("cli"))


@pytest.fixture
def inside(served: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty working folder; the home is elsewhere."""
    monkeypatch.setenv("GATEHOUSE_HOME", str(served.home))
    monkeypatch.setenv("GATEHOUSE_TOKENS", str(tmp_path / "tokens"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@settings(max_examples=50, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(COMMANDS), TEXT)
def test_any_argument_ends_in_a_status_and_no_traceback(
    inside: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
    text: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["gatehouse", *command, text])
    with pytest.raises(SystemExit) as ended:  # anything else is a traceback
        main()
    said = capsys.readouterr().err
    assert ended.value.code in (0, 1, 2, 3), said
    if ended.value.code in (1, 3):
        [line] = [line for line in said.splitlines() if line.startswith("error:")]
        assert said.rstrip().endswith(line)
    assert not list(inside.glob("x*")), "nothing was given to a shell"


@pytest.mark.parametrize(
    "command", ["ingest --start", "ingest --end", "ingest --ds", "evaluate --ds", "consistency --ds"]
)
def test_an_empty_day_is_none_and_not_the_days_by_default(
    inside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """As `--end "$END"` gives it where END is not set."""
    monkeypatch.setattr(sys, "argv", ["gatehouse", *command.split(), ""])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "'' is not a day" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["../..", "x" * 300, "\udcff", "[/x]", "no such host"])
def test_host_that_is_none_is_refused(
    inside: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    monkeypatch.delenv("GATEHOUSE_TOKENS")
    monkeypatch.setattr(sys, "argv", ["gatehouse", "serve", "--host", host])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "is no address" in capsys.readouterr().err


def test_variable_of_the_environment_that_cannot_be_is_named() -> None:
    own = {**os.environ, "GATEHOUSE_SERVE_ROWS": "many", "GATEHOUSE_MODEL_POLL_SECONDS": "0"}
    refused = subprocess.run([GATEHOUSE, "use", "x"], env=own, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "GATEHOUSE_SERVE_ROWS: Input should be a valid integer" in refused.stderr
    assert "GATEHOUSE_MODEL_POLL_SECONDS" in refused.stderr
    assert "Traceback" not in refused.stderr
