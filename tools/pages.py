"""Pages of the documentation that are made of the program itself, as a hook of MkDocs: nothing in them goes stale."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click

import hybrid
from hybrid.cli import app

SCHEMA = Path(hybrid.__file__).parent / "report" / "report.schema.json"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Called by MkDocs: adds every decision to the navigation."""
    folder = Path(config.docs_dir)
    decisions = [path.relative_to(folder).as_posix() for path in sorted(folder.glob("decisions/*.md"))]
    config.nav = [*(config.nav or []), {"Decisions": decisions}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Called by MkDocs: adds the generated pages."""
    for name, content in (("cli.md", cli_page()), ("report-json.md", report_page(json.loads(SCHEMA.read_text())))):
        files.append(File.generated(config, name, content=content))
    return files


def cli_page() -> str:
    """Every command with its arguments, options and example, in Markdown."""
    command = typer.main.get_command(app)
    title = "The command line"
    text = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name="hybrid"), name="hybrid", title=title)
    text = re.sub(r"Example: \[bold\](.+?)\[/bold\]", r"Example: `\1`", text, flags=re.S)
    # the list of commands comes with its sentences cut off
    commands: dict[str, Any] = command.commands  # type: ignore[attr-defined]
    sentences = [f"* [`{name}`](#hybrid-{name}): {_first_line(found.help)}" for name, found in commands.items()]
    return re.sub(r"(?<=\*\*Commands\*\*:\n\n).+?(?=\n\n## )", lambda _: "\n".join(sentences), text, flags=re.S)


def _first_line(text: str) -> str:
    return text.strip().split("\n\n")[0].replace("\n", " ")


def report_page(schema: dict[str, Any]) -> str:
    """Every field of `report.json`, by the JSON Schema that the package ships, in Markdown."""
    parts = [
        "# The report's JSON\n",
        "`hybrid run` writes `report.json`; its JSON Schema is `hybrid/report/report.schema.json` in the package. "
        "[Running and reports](run.md) says what the figures mean.\n",
        *_section("Report", schema),
        *(line for name, part in sorted(schema["$defs"].items()) for line in _section(name, part)),
    ]
    return "\n".join(parts)


def _section(name: str, part: dict[str, Any]) -> Iterator[str]:
    yield f"## {name}\n"
    yield part.get("description", "").replace("\n", " ") + "\n"
    if "properties" not in part:
        return
    yield "| field | type | what it is |\n|---|---|---|"
    for field, value in part["properties"].items():
        needed = "" if field in part.get("required", ()) else " (may be absent)"
        yield f"| `{field}` | {_type(value)}{needed} | {value.get('description', '')} |"
    yield ""


def _type(value: dict[str, Any]) -> str:
    """The type in words, with links to the sections of other objects."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in value:
        return " or ".join(map(_type, value["anyOf"]))
    if "enum" in value:
        return ", ".join(f"`{x}`" for x in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    kind = value.get("type", "any value")
    if kind == "array":
        return f"list of {_type(value.get('items', {}))}"
    if kind == "object" and isinstance(value.get("additionalProperties"), dict):
        return f"object of {_type(value['additionalProperties'])}"
    return str(kind)
