"""The way back in words, and as a tree on the terminal."""

from __future__ import annotations

from rich.text import Text
from rich.tree import Tree

from pipelines.lineage.parts import Part
from pipelines.lineage.way import Feed, Step, Way

SHOWN_DIGITS = 12


def draw(way: Way) -> Tree:
    """A tree that grows from what was made down to the raw log; a job is drawn where it is met first."""
    root = Tree(Text.assemble((_name(way.goal), "bold"), (f"  {way.goal.content[:SHOWN_DIGITS]}", "dim")))
    _grow(root, way, way.last, set())
    return root


def _grow(tree: Tree, way: Way, job: str, drawn: set[str]) -> None:
    step = way.steps[job]
    if job in drawn:
        tree.add(Text.assemble((job, "green"), ("  see above", "dim")))
        return
    drawn.add(job)
    branch = tree.add(Text.assemble((job, "bold green"), (f"  {runs_of(step)}", "dim")))
    for feed in step.feeds:
        leaf = branch.add(Text.assemble(feed.kind, (f"  {holds(feed)}", "dim")))
        for maker in feed.makers:
            _grow(leaf, way, maker, drawn)


def runs_of(step: Step) -> str:
    """For example "2026-01-01..2026-01-06, 6 runs"."""
    days = span(min(run.start for run in step.runs), max(run.end for run in step.runs))
    return days if len(step.runs) == 1 else f"{days}, {len(step.runs)} runs"


def holds(feed: Feed) -> str:
    """For example "12 partitions of 2026-01-05..2026-01-06, all let through by their gate"."""
    days = [part.ds for part in feed.parts if part.ds is not None]
    what = feed.parts[0].content[:SHOWN_DIGITS] if len(feed.parts) == 1 else f"{len(feed.parts)} partitions"
    return f"{what}{f' of {span(min(days), max(days))}' if days else ''}{_gate(feed)}"


def span(first: str, last: str) -> str:
    return first if first == last else f"{first}..{last}"


def _gate(feed: Feed) -> str:
    if not feed.passed:
        return ""
    of_many = "all " if feed.passed == len(feed.parts) else f"{feed.passed} "
    return f", {'' if len(feed.parts) == 1 else of_many}let through by their gate"


def _name(part: Part) -> str:
    """A version is called by its tag, anything else by its data set and day."""
    top, _, rest = part.name.partition("/")
    if top == "registry":
        return rest.partition("/")[2]
    return f"{part.name}/ds={part.ds}" if part.ds else part.name
