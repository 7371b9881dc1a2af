"""One road, told three times: the stage table, dvc.yaml and the DAGs must tell the same."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.lineage.of_stage import FLOWS, names_of
from pipelines.observing.run import StageRun
from pipelines.settings import CHECKOUT, Settings
from pipelines.stages import STAGES
from tests.homes import make_home

Graph = dict[str, set[str]]
DATASET = yaml.safe_load((CHECKOUT / "params.yaml").read_text())["dataset"]
TABLE: Graph = {stage.name: set(stage.needs) for stage in STAGES}
# Code that moves results about without deciding them; stages do not run again when it changes.
PLUMBING = {
    "features.declarations.errors", "features.declarations.names", "features.files", "pipelines.children",
    "pipelines.days", "pipelines.errors", "pipelines.files", "pipelines.lake", "pipelines.manifest",
    "pipelines.observing.books", "pipelines.observing.console", "pipelines.observing.logs",
    "pipelines.observing.run", "pipelines.parquet", "pipelines.records", "pipelines.settings",
    "pipelines.spark.session", "pipelines.stages", "pipelines.verdicts", "training",
}  # fmt: skip
# Declarations reach these stages inside the data they read; a reworded description must not retrain.
DECLARED_IN_THE_DATA = {"train", "evaluate", "promote"}


def _closure(graph: Graph) -> Graph:
    """Stage to everything that runs before it."""
    before: Graph = {}
    for name in graph:
        waiting, seen = list(graph[name]), set[str]()
        while waiting:
            need = waiting.pop()
            if need not in seen:
                seen.add(need)
                waiting.extend(graph[need])
        before[name] = seen
    return before


@pytest.fixture(scope="module")
def dvc_stages() -> list[Any]:
    from dvc.repo import Repo

    with Repo(str(CHECKOUT)) as repo:
        return [stage for stage in repo.index.stages if stage.cmd]


def _plain(name: str) -> str:
    return name.partition("@")[0]


def test_dvc_runs_stages_in_the_order_of_the_table(dvc_stages: list[Any]) -> None:
    makers = {out.fs_path: stage.name for stage in dvc_stages for out in stage.outs}
    graph: Graph = {}
    for stage in dvc_stages:
        needs = graph.setdefault(_plain(stage.name), set())
        for dep in stage.deps:
            needs |= {
                _plain(maker)
                for path, maker in makers.items()
                if path == dep.fs_path or Path(dep.fs_path) in Path(path).parents
            }
    assert _closure(graph) == _closure(TABLE)


def test_dvc_runs_the_commands_of_the_table(dvc_stages: list[Any]) -> None:
    models = yaml.safe_load((CHECKOUT / "params.yaml").read_text())["train"]["models"]
    expected = {
        (f"{stage.name}@{model}" if model else stage.name): " ".join(
            ["gatehouse", *stage.command, *([model] if model else [])]
        )
        for stage in STAGES
        for model in (models if stage.mapped else [None])
    }
    assert {stage.name: stage.cmd for stage in dvc_stages} == expected


# Notes about data rather than data, which lineage leaves out, and what stands for several data sets.
NOTES = {"counts", "baselines"}
STANDS_FOR = {
    "feast/served.json": "feast/simulated",
    "registry/simulated/published.json": "registry/simulated",
}
# Written, but for no later stage of the graph to depend on.
KEPT_ASIDE = {"lake/simulated/quarantine", "lake/simulated/tiles"}


def _data(paths: Iterable[str]) -> set[str]:
    """Data sets among DVC's paths. A verdict stands for the data it let through."""
    found = set()
    for path in paths:
        top, *rest = Path(path).relative_to(CHECKOUT).parts
        if rest[1:2] == ["verdicts"]:
            del rest[1]
        name = "/".join(("simulated" if part == DATASET else part) for part in (top, *rest))
        if top not in ("features", "params.yaml", "pipelines", "training") and not NOTES & set(rest):
            found.add(STANDS_FOR.get(name, name))
    return found


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_lineage_reads_and_writes_what_dvc_does(dvc_stages: list[Any], stage: Any, tmp_path: Path) -> None:
    settings = Settings(home=make_home(tmp_path / "home", "simulated"))
    day = settings.dataset_params.days.end
    for dvc_stage in dvc_stages:
        name, _, model = dvc_stage.name.partition("@")
        if name != stage.name:
            continue
        run = StageRun.of("simulated", name, day, model)
        reads = names_of(FLOWS[name].reads, settings, run)
        writes = {*names_of(FLOWS[name].writes, settings, run)}
        writes = {path for path in writes if not any(path.startswith(kept) for kept in KEPT_ASIDE)}
        deps = _data(dep.fs_path for dep in dvc_stage.deps)
        outs = _data(out.fs_path for out in dvc_stage.outs if not out.metric and not out.plot)
        assert _covered(reads, deps), (reads, deps)
        if not stage.gate:
            assert _covered(writes, outs), (writes, outs)


def _covered(names: Iterable[str], folders: set[str]) -> bool:
    """Whether each name lies in one of the folders, and no folder is without a name."""
    inside = {name: {own for own in folders if f"{name}/".startswith(f"{own}/")} for name in names}
    return all(inside.values()) and set().union(*inside.values()) == folders


def test_dvc_neither_deletes_nor_restores_what_stages_swap_in(dvc_stages: list[Any]) -> None:
    assert [str(out) for stage in dvc_stages for out in stage.outs if not out.persist] == []


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_dvc_stage_depends_on_all_code_it_imports(dvc_stages: list[Any], stage: Any) -> None:
    for dvc_stage in dvc_stages:
        name, _, model = dvc_stage.name.partition("@")
        if name != stage.name:
            continue
        deps = [Path(dep.fs_path) for dep in dvc_stage.deps]
        code = _imported([f"pipelines.{stage.command[0]}", *([f"training.models.{model}"] if model else [])])
        if name in DECLARED_IN_THE_DATA:
            code -= set((CHECKOUT / "features" / "declarations").glob("*.py"))
        forgotten = sorted(
            str(path.relative_to(CHECKOUT))
            for path in code
            if not any(path == dep or dep in path.parents for dep in deps)
        )
        assert forgotten == [], dvc_stage.name


def test_dvc_code_dependencies_exist(dvc_stages: list[Any]) -> None:
    code = {
        Path(dep.fs_path)
        for stage in dvc_stages
        for dep in stage.deps
        if Path(dep.fs_path).relative_to(CHECKOUT).parts[0] in ("features", "pipelines", "training")
    }
    assert sorted(path for path in code if not path.exists()) == []


def _imported(modules: list[str]) -> set[Path]:
    """Files of the project's modules that `modules` import, they included, but for the plumbing.

    A package's own file counts only when it is more than a docstring.
    """
    waiting, seen = list(modules), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name in PLUMBING or _file(name) is None:
            continue
        seen.add(name)
        path = _file(name)
        assert path is not None
        for node in _run_code(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
    return {path for name in seen if (path := _file(name)) and len(ast.parse(path.read_text()).body) > 1}


def _run_code(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those that only the type checker sees."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        yield from _run_code(node)


def _file(module: str) -> Path | None:
    if module.partition(".")[0] not in ("features", "pipelines", "training"):
        return None
    path = CHECKOUT.joinpath(*module.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None
