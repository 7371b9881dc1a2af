"""From sections to one HTML file that needs nothing else: no script, no font, no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pipelines.reporting.blocks import Facts, Section


@dataclass(frozen=True, slots=True)
class Head:
    """What the page opens with.

    Attributes:
        dataset: the data set's name.
        day: last day of the run, in words.
        verdict: the outcome in a sentence or two.
        outcome: "passed", "failed" or "open".
        reasons: why, one sentence each.
        facts: days, models and version.
    """

    dataset: str
    day: str
    verdict: str
    outcome: str
    reasons: tuple[str, ...]
    facts: Facts


def render(head: Head, sections: Sequence[Section]) -> str:
    """The page's HTML; all text is escaped, equal input gives equal bytes."""
    environment = Environment(
        loader=PackageLoader("pipelines.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = files("pipelines.reporting").joinpath("templates", "style.css").read_text(encoding="utf-8")
    template = environment.get_template("page.html.j2")
    # The style sheet is the package's own, and CSS must not be escaped.
    return template.render(head=head, sections=sections, style=Markup(style)) + "\n"  # noqa: S704
