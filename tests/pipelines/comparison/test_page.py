from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.benchmark import RESULTS, render
from pipelines.comparison.page import write_page
from pipelines.comparison.pictures import short
from pipelines.errors import MissingPartitionError
from tests.training.comparison.comparisons import TASKS, comparison


def rows(page: str, heading: str) -> dict[str, dict[str, str]]:
    """The table below a heading: model to column to cell."""
    lines = page.split(f"### {heading}\n\n")[1].split("\n\n")[0].splitlines()
    head, _, *body = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return {cells[0].strip("`"): dict(zip(head, cells, strict=True)) for cells in body}


def test_page_shows_the_models_of_a_task_from_the_best_down_with_spreads_and_intervals(tmp_path: Path):
    write_page([comparison("simulated")], tmp_path / "benchmark.md")
    table = rows((tmp_path / "benchmark.md").read_text(), "simulated: click")
    assert list(table) == ["pepnet", "shared_bottom", "lightgbm"]
    assert table["pepnet"]["AUC"] == ".7394 ± .0004"
    assert table["pepnet"]["by scenario"] == ".7194 ± .0010"
    assert table["pepnet"]["new users (1,000 rows)"] == ".7094 ± .0004"
    assert table["shared_bottom"]["less shared_bottom"] == "-"


def test_an_interval_is_bold_when_it_leaves_out_zero(tmp_path: Path):
    write_page([comparison("simulated")], tmp_path / "benchmark.md")
    page = (tmp_path / "benchmark.md").read_text()
    table = rows(page, "simulated: click")
    assert table["pepnet"]["less shared_bottom"] == "+.0010 **[+.0002, +.0018]**"
    assert table["pepnet"]["less lightgbm"] == "+.0017 [-.0002, +.0036]"
    assert "click, beside `shared_bottom`: interval above 0 for `pepnet`; below 0 for none; 1 of 2" in page


def test_page_says_what_networks_learnt_beside_the_tasks(tmp_path: Path):
    for weight, said in ((0.0, False), (0.5, True)):
        own = comparison("simulated").model_copy(update={"auxiliary_weight": weight})
        write_page([own], tmp_path / "benchmark.md")
        page = (tmp_path / "benchmark.md").read_text()
        assert ("as well, at 0.5 of a task's weight; trees learn one label each" in page) is said


def test_regret_is_shown_where_the_limit_is_known(tmp_path: Path):
    limits = {"feed": {"click": 0.75}, "tab": {"click": 0.71}}
    write_page([comparison("simulated", limits), comparison("other")], tmp_path / "benchmark.md")
    page = (tmp_path / "benchmark.md").read_text()
    # (.75 - .7394 + .71 - .6994) / 2
    assert rows(page, "simulated: click")["pepnet"]["regret by scenario"] == ".0106"
    assert rows(page, "simulated: like")["pepnet"]["regret by scenario"] == "-"
    assert "regret by scenario" not in rows(page, "other: click")["pepnet"]


def test_costs_show_what_tuning_gained_and_no_flops_of_trees(tmp_path: Path):
    write_page([comparison("simulated")], tmp_path / "benchmark.md")
    table = rows((tmp_path / "benchmark.md").read_text(), "simulated: cost and tuning")
    said = ("validation loss, committed", "best trial", "with new seeds")
    assert [table["pepnet"][column] for column in said] == ["1.2000", "1.1000", "1.1500 against diverged"]
    assert table["lightgbm"]["with new seeds"] == "-"
    assert (table["pepnet"]["FLOPs a row"], table["lightgbm"]["FLOPs a row"]) == ("24,000", "-")


def test_costs_say_where_a_trial_was_taken_unconfirmed(tmp_path: Path):
    before = comparison("simulated")
    taken = before.contenders["pepnet"].model_copy(update={"confirmation": None})
    contenders = before.contenders | {"pepnet": taken}
    write_page([before.model_copy(update={"contenders": contenders})], tmp_path / "benchmark.md")
    table = rows((tmp_path / "benchmark.md").read_text(), "simulated: cost and tuning")
    assert table["pepnet"]["with new seeds"] == "not tried"


def test_every_picture_of_the_page_is_there_and_small_and_drawn_the_same_twice(tmp_path: Path):
    for turn in ("one", "two"):
        write_page([comparison("simulated", {"feed": {"click": 0.75}})], tmp_path / turn / "benchmark.md")
    page = (tmp_path / "one" / "benchmark.md").read_text()
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", page)
    assert len(pictures) == 1 + len(TASKS)
    for name in pictures:
        picture = (tmp_path / "one" / name).read_bytes()
        assert len(picture) < 100_000
        assert picture == (tmp_path / "two" / name).read_bytes()
        assert b"pepnet" in picture


def test_render_writes_a_page_of_all_results_there_are(tmp_path: Path):
    (tmp_path / RESULTS).mkdir(parents=True)
    for dataset in ("one", "two"):
        (tmp_path / RESULTS / f"benchmark-{dataset}.json").write_text(comparison(dataset).model_dump_json())
    render(tmp_path)
    page = (tmp_path / "docs" / "benchmark.md").read_text()
    assert re.findall(r"^## (\w+)$", page, re.MULTILINE) == ["one", "two"]


def test_a_final_follows_its_comparison_and_says_who_is_in_it(tmp_path: Path):
    (tmp_path / RESULTS).mkdir(parents=True)
    first = comparison("one")
    final = first.model_copy(update={"finalists": 1, "trials": 12})
    for each in (first, final, comparison("two")):
        (tmp_path / RESULTS / f"benchmark-{each.name}.json").write_text(each.model_dump_json())
    render(tmp_path)
    page = (tmp_path / "docs" / "benchmark.md").read_text()
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == ["one", "one, the final", "two"]
    assert "benchmark --ds 2026-01-04 --finalists 1 --trials 12" in page
    assert "The bases, and the 1 of the comparison above whose validation loss was the lowest." in page
    assert rows(page, "one, the final: click") == rows(page, "one: click")
    assert (tmp_path / "docs" / "benchmark" / "one-final-click.svg").exists()


def test_render_says_what_to_run_when_there_are_no_results(tmp_path: Path):
    with pytest.raises(MissingPartitionError, match="gatehouse benchmark"):
        render(tmp_path)


def test_render_refuses_results_of_another_version(tmp_path: Path):
    (tmp_path / RESULTS).mkdir(parents=True)
    (tmp_path / RESULTS / "benchmark-old.json").write_text('{"dataset": "old"}')
    with pytest.raises(MissingPartitionError, match=r"benchmark-old\.json is not a comparison"):
        render(tmp_path)


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [(0.7394, False, ".7394"), (0.001, True, "+.0010"), (-0.5, True, "-.5000"), (10.5, False, "10.5000")],
)
def test_numbers_lose_a_leading_zero_and_nothing_else(value: float, signed: bool, text: str):
    assert short(value, signed=signed) == text
