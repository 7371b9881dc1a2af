from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from pipelines.errors import ReportError
from pipelines.gates.comparison import Comparison, Drift
from pipelines.lake import Lake
from pipelines.promotion.verdict import Champion, Difference, promotion_path
from pipelines.report import report
from pipelines.reporting.figures import Line, epoch_lines
from pipelines.settings import Settings
from pipelines.training_sets import encoded_folder
from tests.homes import make_home
from tests.pipelines.finished_run import (
    DS,
    PARAMS,
    random_metrics,
    write_drift,
    write_events,
    write_gates,
    write_model_of,
    write_outcome,
    write_promotion,
    write_published,
    write_run,
)
from tests.training.rows import training_rows
from training.artifact import load_model
from training.data.arrays import EncodedArrays
from training.devices import find_device
from training.evaluation import ModelMetrics
from training.understanding import look_inside


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a finished run; tests work on copies of it."""
    home = make_home(tmp_path_factory.mktemp("finished") / "home", "simulated", **PARAMS)
    write_run(Settings(home=home))
    return home


@pytest.fixture
def settings(finished: Path, tmp_path: Path) -> Settings:
    shutil.copytree(finished, tmp_path / "home")
    return Settings(home=tmp_path / "home")


class _Page(HTMLParser):
    """Text, tables (rows of cell texts, in order) and every address of a page; fails on unbalanced tags."""

    VOID = frozenset({"meta", "wbr", "path", "use", "link", "br", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.rows, self.addresses, self.ids = "", [], [], []
        self._open: list[str] = []
        self.feed(html)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self._open.append(tag)
        self.addresses += [value for name, value in attrs if name in ("href", "src", "xlink:href")]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            return
        self.text += data
        if {"th", "td"} & set(self._open):
            self.rows[-1][-1] += data.strip()

    def row(self, *start: str) -> list[str]:
        """The first row that starts with these texts."""
        return next(row for row in self.rows if row[: len(start)] == list(start))


def _page(settings: Settings) -> _Page:
    return _Page(report(settings, DS).read_text(encoding="utf-8"))


def test_report_needs_nothing_else_when_it_is_opened(settings: Settings) -> None:
    html = report(settings, DS).read_text(encoding="utf-8")
    page = _Page(html)
    assert all(address.startswith("#") for address in page.addresses)
    assert {address.removeprefix("#") for address in page.addresses} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert "<script" not in html
    assert "@import" not in html
    assert "url(http" not in html


def test_report_is_the_same_bytes_when_it_is_written_again(settings: Settings) -> None:
    first = report(settings, DS).read_bytes()
    assert report(settings, DS).read_bytes() == first


def test_report_says_what_is_missing_when_nothing_has_run(home: Callable[..., Path]) -> None:
    page = _page(Settings(home=home("simulated", **PARAMS)))
    for command in ("ingest", "validate events", "assemble", "train", "evaluate"):
        assert f"gatehouse {command}" in page.text
    assert "not been evaluated yet" in page.text


def test_report_counts_every_raw_row_when_some_were_refused(settings: Settings) -> None:
    page = _page(settings)
    assert "2,025 raw rows on 4 days: 2,000 became events, 16 repeated" in page.text
    assert page.row("user_id is missing")[1:] == ["7", "77.8\u2009%"]


def test_report_names_days_when_they_were_never_ingested(settings: Settings) -> None:
    (settings.lake / "counts" / "ds=2026-01-02.json").unlink()
    assert "1 day of 2026-01-01..2026-01-04 was never ingested" in _page(settings).text


def test_report_shows_a_scenarios_label_rates_as_the_events_have_them(settings: Settings) -> None:
    events = training_rows(settings.catalog, rows=2000).to_pandas()
    for scenario, own in events.groupby("scenario_id"):
        rates = [f"{100 * own[label].mean():.2f}\u2009%" for label in ("label_click", "label_like")]
        shown = _page(settings).row(str(scenario))
        assert [shown[1], *shown[3:]] == [f"{len(own):,}", *rates]


def test_report_shows_a_failure_in_words_and_escaped_when_a_gate_stopped_a_partition(
    settings: Settings,
) -> None:
    failure = {
        "ds": "2026-01-03", "column": "user_id", "expectation": "never null", "observed": "<b>3</b> nulls",
        "rows": 3, "examples": ["event_id=<script>alert(1)</script>"], "message": "3 nulls",
    }  # fmt: skip
    write_gates(settings, failure)
    html = report(settings, DS).read_text(encoding="utf-8")
    page = _Page(html)
    assert page.row("events", "2026-01-03") == [
        "events",
        "2026-01-03",
        "user_id",
        "never null",
        "<b>3</b> nulls",
        "3",
    ]
    assert page.row("events", "stopped")[-1] == "1"
    assert "<script" not in html


def test_report_links_data_docs_when_they_are_there(settings: Settings) -> None:
    docs = settings.reports / "data_docs" / "index.html"
    docs.parent.mkdir(parents=True)
    docs.write_text("docs")
    assert "data_docs/index.html" in _page(settings).addresses


def compared(column: str, psi: float, nulls: float = 0.0, unjudged: str = "") -> Comparison:
    """A feature whose zeros became more, and its nulls from none."""
    return Comparison(
        column=column, psi=psi, max_psi=0.5, unjudged=unjudged,
        shift="the share of 0 went from 12% to 71%",
        null_share=nulls, usual_null_share=0.0, max_null_shift=0.1,
    )  # fmt: skip


def test_report_ranks_features_by_what_they_take_up_of_their_bounds(settings: Settings) -> None:
    features = (compared("a", 0.01), compared("b", 0.02, nulls=0.2), compared("c", 1.5), compared("d", 0.3))
    write_drift(
        settings, "training", "training_sets/ranker_v1", Drift(baseline="2026-01-01", features=features)
    )
    page = _page(settings)
    ranked = [row for row in page.rows if row[0] in "abcd" and len(row) == 7]
    assert [row[:2] for row in ranked] == [
        ["c", "drifted"],
        ["b", "drifted"],
        ["d", "close"],
        ["a", "steady"],
    ]
    assert ranked[0][2:] == ["0 went from 12% to 71%", "1.500", "0.5", "0%", "10%"]
    assert ranked[1][2] == "nulls went from 0% to 20%"
    assert "2 of 4 features of the training set drifted between 2026-01-01" in page.text
    assert "2 of 4" in page.text[: page.text.index("Data health")]


def test_report_says_why_a_feature_is_not_judged(settings: Settings) -> None:
    few = compared("few", 9.0, unjudged="4 keys may differ that much by chance")
    write_drift(
        settings, "training", "training_sets/ranker_v1", Drift(baseline="2026-01-01", features=(few,))
    )
    page = _page(settings)
    assert page.row("few") == ["few", "4 keys may differ that much by chance", "9.000"]
    assert "0 of 1 feature of the training set drifted" in page.text


def test_report_names_view_and_day_of_a_snapshot_that_drifted(settings: Settings) -> None:
    write_drift(
        settings, "features", "features/user_engagement",
        Drift(baseline="2026-01-01", features=(compared("click_rate_7d", 2.0),)),
    )  # fmt: skip
    write_drift(settings, "features", "features/user_profile", Drift(note="no baseline yet"), ds=None)
    page = _page(settings)
    assert page.row("user_engagement, 2026-01-04: click_rate_7d")[1] == "drifted"
    assert "1 of 1 feature drifted in the newest snapshots of 1 view; 1 could be judged" in page.text
    assert "1 view not compared: no baseline yet" in page.text


def test_report_says_so_when_nothing_was_compared(settings: Settings) -> None:
    assert "has not been compared with its training days" in _page(settings).text


def test_report_tells_how_served_values_compare_with_the_offline_store(settings: Settings) -> None:
    write_outcome(settings, date(2026, 1, 5), different=3)
    write_outcome(settings, date(2026, 1, 6), different=0)
    page = _page(settings)
    assert "30 rows of 10 requests of 2026-01-06, answered from the snapshot of 2026-01-04" in page.text
    assert page.row("user_engagement", "57") == ["user_engagement", "57", "0", "0.0\u2009%", "2", "1"]
    assert "Not compared: 2 requests degraded." in page.text
    write_outcome(settings, date(2026, 1, 6), different=3)
    page = _page(settings)
    assert page.row("user_engagement", "54") == ["user_engagement", "54", "3", "5.3\u2009%", "2", "1"]
    assert page.row("user_engagement__click_rate_7d")[1:] == [
        "user_id=17", "2026-01-05T00:00:00+00:00", "0.25", "0.5",
    ]  # fmt: skip


def test_report_says_so_when_nothing_that_was_served_was_compared(settings: Settings) -> None:
    assert "gatehouse consistency" in _page(settings).text


def test_report_names_the_file_when_an_outcome_cannot_be_read(settings: Settings) -> None:
    write_outcome(settings, date(2026, 1, 6), different=0).write_text("{}")
    with pytest.raises(ReportError, match=r"ds=2026-01-06\.json.*gatehouse consistency --ds 2026-01-06"):
        report(settings, DS)


def test_report_shows_a_views_rows_as_the_manifest_counts_them(settings: Settings) -> None:
    page = _page(settings)
    for view in map(settings.catalog.view, settings.catalog.service("ranker_v1").views):
        assert page.row(view.name)[-2:] == [str(len(view.features)), str(len(view.name))]


def test_report_marks_the_best_model_and_says_why_a_scenario_has_no_auc(settings: Settings) -> None:
    html = report(settings, DS).read_text(encoding="utf-8")
    aucs = [
        float(row[1])
        for row in _Page(html).rows
        if row[0] in ("pepnet", "pooled_mlp", "lightgbm") and len(row) == 7
    ]
    assert f"<b>{max(aucs[:3]):.4f}</b>" in html
    assert f"<b>{min(aucs[:3]):.4f}</b>" not in html
    assert re.search(r"n/a: \d+ positives, fewer than 70", html)


def a_champion(metrics: ModelMetrics | None, reason: str | None = None) -> Champion:
    return Champion(
        model="pepnet", version="v2.0.0", ds="2026-01-03", hashes="1" * 64, production=True,
        metrics=metrics, reason=reason,
    )  # fmt: skip


def test_report_compares_with_the_champion_when_another_version_was_published(settings: Settings) -> None:
    arrays = EncodedArrays(encoded_folder(Lake(settings.lake), "ranker_v1", DS))
    metrics = random_metrics(arrays, seed=9)
    write_promotion(settings, champion=a_champion(metrics))
    page = _page(settings)
    assert page.row("pepnet@v2.0.0")[1] == f"{metrics.overall['click'].auc:.4f}"
    assert "The champion is pepnet@v2.0.0 of 2026-01-03, the version in production." in page.text


def test_report_says_why_when_the_champion_could_not_be_scored(settings: Settings) -> None:
    write_promotion(settings, champion=a_champion(None, "it is gone"))
    sentence = "The champion is pepnet@v2.0.0 of 2026-01-03. It could not be scored: it is gone"
    assert sentence in _page(settings).text


def test_report_shows_every_difference_its_interval_and_what_blocks(settings: Settings) -> None:
    shared = {"task": "click", "champion": 0.7, "tolerance": 0.005, "rows": 900, "positives": 90, "users": 50}
    differences = (
        Difference(
            scenario="s1", metric="auc", challenger=0.66, gain=-0.04, low=-0.06, high=-0.02, passed=False,
            **shared,
        ),
        Difference(
            scenario="s2", metric="log_loss", challenger=0.69, gain=0.01, low=-0.1, high=0.12, passed=True,
            **shared,
        ),
        Difference(
            scenario="s3", task="click", metric="log_loss", rows=7, positives=1, users=3, passed=True,
            reason="3 users, fewer than 20",
        ),
    )  # fmt: skip
    write_promotion(settings, ("AUC of click in scenario s1 fell",), a_champion(None), differences)
    html = report(settings, DS).read_text(encoding="utf-8")
    page = _Page(html)
    minus = "\u2212"
    assert page.row("s1") == [
        "s1", "50", "0.7000", "0.6600", f"{minus}0.0400", f"{minus}0.0600 to {minus}0.0200",
        "0.0050",
    ]  # fmt: skip
    assert page.row("s2, log loss")[4] == "+0.0100"
    assert page.row("s3, log loss")[-1] == "not judged: 3 users, fewer than 20"
    assert f"<b>{minus}0.0400</b>" in html
    assert page.row("all rows", "click") == ["all rows", "click", "500", "1.100", "1.400", "0.800 to 1.250"]
    assert "Calibration: 1 of 1 ratio outside the bounds" in page.text
    assert page.row("click", "0.0100") == ["click", "0.0100", "0.9000", "0.0\u2009%", "0.070"]
    assert "500 candidates is scored within 250 ms" in page.text


def test_report_says_so_when_the_chosen_model_was_not_judged(settings: Settings) -> None:
    promotion_path(settings, DS).unlink()
    page = _page(settings)
    assert "pepnet of 4 January 2026 has not been judged yet." in page.text
    assert "gatehouse promote --ds 2026-01-04" in page.text


def test_report_shows_pepnets_mean_gates_and_names_models_without(settings: Settings) -> None:
    page = _page(settings)
    assert "No gates, mixtures of experts or generated weights to show in pooled_mlp." in page.text
    model, _ = load_model(settings.models / "pepnet" / f"ds={DS}")
    arrays = EncodedArrays(encoded_folder(Lake(settings.lake), "ranker_v1", DS))
    gate = look_inside(model, arrays, find_device("cpu")).gates[0]
    user = gate.fields.index("user_id")
    own = gate.means[:, user]
    gates = [f"{value:.2f}" for value in (*own, own.max() - own.min(), gate.distance[user])]
    assert page.row("user_id") == ["user_id", *gates]


def test_report_shows_experts_and_generated_weights(settings: Settings) -> None:
    write_model_of(settings, "m2m")
    path = settings.home / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["train"]["models"] = {"m2m": {}}
    path.write_text(yaml.safe_dump(params), encoding="utf-8")
    settings = Settings(home=settings.home)
    model, _ = load_model(settings.models / "m2m" / f"ds={DS}")
    arrays = EncodedArrays(encoded_folder(Lake(settings.lake), "ranker_v1", DS))
    seen = look_inside(model, arrays, find_device("cpu"))
    page = _page(settings)
    shares = [f"{100 * share:.0f}" for share in seen.mixtures[0].weights[:, 0, 0]]
    assert [cell.split("\u2009")[0] for cell in page.row("expert 1")[1:-1]] == shares
    first = seen.generated[0].cosine[0]
    assert page.row(seen.scenarios[0], "1.000") == [seen.scenarios[0], *(f"{value:.3f}" for value in first)]


def test_report_refuses_to_explain_a_model_when_its_rows_have_changed(settings: Settings) -> None:
    card = settings.models / "pepnet" / f"ds={DS}" / "card.json"
    text = card.read_text(encoding="utf-8")
    card.write_text(re.sub(r'"data": "\w+"', '"data": "0123456789abcdef"', text), encoding="utf-8")
    assert "pepnet was trained on other rows than those there are now" in _page(settings).text


@pytest.mark.parametrize(
    ("reasons", "published", "sentence"),
    [
        ((), None, "pepnet passed. It is not published yet."),
        ((), "v3.0.0", "pepnet passed and is published as pepnet@v3.0.0."),
        (
            ("AUC of click fell by 0.2",),
            "v3.0.0",
            "pepnet did not pass and will not be published.",
        ),
    ],
)
def test_report_opens_with_how_the_run_ended(
    reasons: tuple[str, ...], published: str | None, sentence: str, settings: Settings
) -> None:
    write_promotion(settings, reasons)
    if published:
        write_published(settings, published)
    page = _page(settings)
    assert sentence in page.text
    assert all(reason in page.text for reason in reasons)


def test_report_says_so_when_the_lake_has_changed_since_the_training_set(settings: Settings) -> None:
    assert "still holds every partition" in _page(settings).text
    write_events(settings, Lake(settings.lake), training_rows(settings.catalog, rows=2000, seed=1))
    assert "4 partitions changed since the training set was joined from them" in _page(settings).text


def test_report_names_the_file_when_a_note_cannot_be_read(settings: Settings) -> None:
    (settings.runs / "ingest.json").write_text("{")
    with pytest.raises(ReportError, match=r"ingest\.json is not JSON"):
        report(settings, DS)


def test_epoch_lines_draw_every_line_and_no_two_alike_when_there_are_more_than_colours() -> None:
    names = [f"model{number}" for number in range(9)]
    svg = str(epoch_lines("click", [Line(name, (0.1 * place, 0.5)) for place, name in enumerate(names)]))
    assert all(f">{name}</text>" in svg for name in names)
    looks = re.findall(
        r'style="fill: none;( stroke-dasharray: [^;]+;)?[^"]*stroke: var\(--series-(\d)\)', svg
    )
    assert len(set(looks)) == len(names)


def test_report_lists_stage_times_in_the_order_of_the_road(settings: Settings) -> None:
    stages = [row for row in _page(settings).rows if row[-1] == "12 s"]
    assert [row[0] for row in stages] == ["ingest", "train pepnet"]
    assert stages[0][1] == "rows 2,100, kept 2,000"
