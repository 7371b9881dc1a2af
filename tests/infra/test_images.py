"""The images' Dockerfile, their packages, and the programs they start: all that needs no Docker engine."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.utils import canonicalize_name

from infra.images.pins import IMAGES, pins
from pipelines.settings import CHECKOUT
from tests.infra.tools import INFRA

IMAGE = INFRA / "images"
DOCKERFILE = (IMAGE / "Dockerfile").read_text(encoding="utf-8")
OURS = ("features", "pipelines", "training")
# Imported within functions that the image never calls: Spark fills the store elsewhere.
ELSEWHERE = {"road": set[str](), "service": {"pyspark"}}


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, IMAGE / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_all_images_start_from_a_base_that_is_pinned_by_tag_and_digest() -> None:
    stages = set(re.findall(r"^FROM .* AS (\S+)$", DOCKERFILE, re.MULTILINE))
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)) - stages
    assert bases == {"${PYTHON}", "scratch"}
    assert re.search(r"^ARG PYTHON=python:[\w.-]+@sha256:[0-9a-f]{64}$", DOCKERFILE, re.MULTILINE)


@pytest.mark.parametrize("image", ["cpu", "gpu", "service"])
def test_an_image_runs_as_a_fixed_user_and_takes_no_secret_with_it(image: str) -> None:
    lines = _stage(image)
    users = [line.split()[1] for line in lines if line.startswith("USER")]
    assert users[-1] == "10001:10001"
    assert any(line.startswith("HEALTHCHECK") for line in lines)
    assert any("org.opencontainers.image.version" in line for line in lines)
    assert not [line for line in lines if re.search("(?i)password|secret|token", line)]


def test_only_what_is_named_is_sent_to_the_builder() -> None:
    rules = (IMAGE / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    assert next(rule for rule in rules if not rule.startswith("#")) == "**"
    allowed = {rule[1:].removesuffix("/**") for rule in rules if rule.startswith("!")}
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert copied
    for source in copied:
        assert any(Path(source).match(rule) for rule in allowed), source
        assert (CHECKOUT / source).exists(), source


@pytest.mark.parametrize("image", IMAGES)
def test_pins_of_an_image_are_those_of_the_lock(image: str) -> None:
    written = (IMAGE / f"{image}.txt").read_text(encoding="utf-8")
    assert written == pins(image), "run infra/images/pins.py"


@pytest.mark.parametrize(
    ("image", "roots"),
    [
        ("road", ("dags", "features", "pipelines", "training")),
        ("service", ("pipelines.cli", "pipelines.serve", "features.serving.service", "features.store")),
    ],
)
def test_an_image_has_what_its_code_imports(image: str, roots: tuple[str, ...]) -> None:
    """Followed statically, imports within functions included, and classes that Feast loads by name."""
    installed = {
        canonicalize_name(line.partition("==")[0])
        for line in (IMAGE / f"{image}.txt").read_text(encoding="utf-8").splitlines()
    }
    providers = packages_distributions()
    missing = {
        package
        for package in _imported(roots)
        if package not in sys.stdlib_module_names and package not in (*OURS, "dags")
        if not {canonicalize_name(name) for name in providers.get(package, [package])} & installed
    }
    assert missing == ELSEWHERE[image]


def _imported(roots: tuple[str, ...]) -> set[str]:
    """Names of the packages that modules import, from `roots` on through this project's own.

    Of the command line, only what `serve` and `token` import is followed: each command imports its own stage.
    """
    waiting = [path for root in roots for path in _modules(root)] + list(_loaded_by_name())
    seen, packages = set[Path](), set[str]()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = tree.body if path.parent.name == "cli" else ast.walk(tree)
        for node in nodes:
            for name in _names(node):
                package = name.partition(".")[0]
                packages.add(package)
                if package in OURS:
                    waiting += _modules_of_import(name)
    return packages


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def _modules(root: str) -> list[Path]:
    """The file of a module, or all files of a package that is named alone."""
    place = CHECKOUT.joinpath(*root.split("."))
    return sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]


def _modules_of_import(name: str) -> list[Path]:
    place = CHECKOUT.joinpath(*name.split("."))
    return [path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()]


def _loaded_by_name() -> Iterator[Path]:
    settings = yaml.safe_load((CHECKOUT / "features" / "feature_store.yaml").read_text(encoding="utf-8"))
    for section in settings.values():
        if isinstance(section, dict) and str(section.get("type", "")).startswith("features."):
            yield from _modules_of_import(section["type"].rpartition(".")[0])


def _stage(name: str) -> list[str]:
    """Instructions of a stage and of those of this file that it starts from."""
    stages: dict[str, list[str]] = {}
    parents: dict[str, str] = {}
    for line in DOCKERFILE.splitlines():
        if started := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            current = started[2]
            parents[current], stages[current] = started[1], []
        elif "current" in locals() and not line.startswith("#"):
            stages[current].append(line)
    lines = list[str]()
    while name in stages:
        lines, name = stages[name] + lines, parents[name]
    return lines


def test_the_entrypoint_reads_settings_from_files_and_passes_the_command_on(tmp_path: Path) -> None:
    url = "redis://:pass word$(id)@h:6379/0"
    (tmp_path / "url").write_text(url)
    show = [sys.executable, "-c", "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"]
    done = subprocess.run(
        [IMAGE / "entrypoint", *show, "a b", "$HOME"], capture_output=True, text=True, check=True,
        env={"PATH": os.environ["PATH"], "GATEHOUSE_REDIS_URL_FILE": str(tmp_path / "url"), "A_FILE": "kept"},
    )  # fmt: skip
    arguments, environment = json.loads(done.stdout)
    assert arguments == ["a b", "$HOME"]
    assert environment["GATEHOUSE_REDIS_URL"] == url
    assert "GATEHOUSE_REDIS_URL_FILE" not in environment
    assert environment["A_FILE"] == "kept"


def test_the_entrypoint_refuses_a_file_that_it_cannot_read(tmp_path: Path) -> None:
    done = subprocess.run(
        [IMAGE / "entrypoint", "true"], capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "GATEHOUSE_REDIS_URL_FILE": str(tmp_path / "none")},
    )  # fmt: skip
    assert done.returncode == 2
    assert "GATEHOUSE_REDIS_URL_FILE names" in done.stderr
