"""The page of what a chip can run, from the rules and the cells themselves."""

from __future__ import annotations

import inspect

from hybrid.graph.cells import KINDS
from hybrid.graph.synapses import LINEAR
from hybrid.partition.legality import RULES


def rules_markdown() -> str:
    """The legality rules, one line each."""
    lines = [f"- `{rule.__name__}`: {_text(rule.__doc__)}" for rule in RULES]
    return "\n".join([*lines, "", f"Operations that multiply out: {LINEAR}."])


def cells_markdown() -> str:
    """A table of the cells that are known."""
    lines = ["| cell | a call takes | on a chip |", "|---|---|---|"]
    for path, kind in sorted(KINDS.items()):
        library = path.partition(".")[0]
        lines.append(f"| `{kind.name}` ({library}) | {kind.layout.value} | {_text(kind.law.__doc__)} |")
    return "\n".join(lines)


def _text(doc: str | None) -> str:
    return " ".join(inspect.cleandoc(doc or "").split())
