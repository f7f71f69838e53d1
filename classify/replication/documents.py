"""The texts of a bundle that its authors go on writing, and the versions it was made with."""

from __future__ import annotations

import json
import platform
import re
import sqlite3
from importlib.metadata import PackageNotFoundError, requires, version

_NAME = re.compile(r"[A-Za-z0-9._-]+")


def readme(
    name: str,
    with_text: int,
    snippets: int,
    *,
    has_gold: bool,
    has_prompts: bool,
    has_loss_functions: bool,
) -> str:
    """Return README.md of a bundle."""
    left_out = snippets - with_text
    lines = [
        f"# Replication package of the study {name}",
        "",
        "What a run of [lossplace](CITATION.cff) holds, so that others can recompute it, and read "
        "on which answers each number rests.",
        "",
        "```",
        "pip install lossplace==" + version("lossplace"),
        "lossplace verify .              # recomputes placements and tables, and compares",
        "sha256sum -c MANIFEST.sha256    # the files alone, without lossplace",
        "```",
        "",
        "This folder is a run: `lossplace evaluate`, `paper`, `compare` and `export` work on a "
        "copy of it.",
        "",
        "| File | What it holds |",
        "| --- | --- |",
        "| `study.json` | every setting |",
        "| `repositories.parquet`, `ranking.parquet`, `funnel.parquet` | what the search found "
        "(absent of a local corpus), with stars, forks, licence and score, and where it ended |",
        "| `corpus.parquet`, `files.parquet`, `classes.parquet`, `dropped.parquet` | what was "
        "read, and what left the flow |",
        "| `snippets.parquet` | each snippet; `names_loss`: whether it names a known loss |",
        "| `asks.parquet` | the hash of the prompt of each question about each snippet |",
        "| `votes.sqlite` | the answers, with their text, by the hash of the prompt |",
        "| `placements.parquet` | where each snippet's loss is, and the verdicts |",
        "| `paper/` | tables and figures |",
    ]
    if has_gold:
        lines.append("| `gold.csv` | the hand labels |")
    if has_loss_functions:
        lines.append("| `loss_functions.csv` | the names of known losses |")
    if has_prompts:
        lines.append("| `prompts/` | what the model was asked |")
    lines += [
        "| `environment.txt` | versions of what made this |",
        "| `croissant.json` | the files and their columns, for programs |",
        "| `CHECKLIST.md`, `CITATION.cff`, this file | to be completed by the authors; in no "
        "manifest |",
        "",
        f"The text of {with_text} of {snippets} snippets is here, under the licence of its "
        "repository each.",
    ]
    if left_out:
        lines += [
            f"Of the other {left_out} the licence does not let it be passed on, or is not known: "
            "repository, commit, path and lines say where it is, its hash what it was, and "
            "`names_loss` and `asks.parquet` hold what placing needs of it."
        ]
    lines += [
        "",
        "Figures are compared by the numbers drawn in them; their drawings, which depend on the "
        "version of matplotlib, by the manifest alone.",
    ]
    return "\n".join(lines) + "\n"


def citation(name: str) -> str:
    """Return CITATION.cff of a bundle, with places for what only the authors know."""
    title = json.dumps(f"Replication package of the study {name}")
    return (
        "cff-version: 1.2.0\n"
        'message: "If you use this data, please cite it."\n'
        f"title: {title}\n"
        "type: dataset\n"
        "authors:\n"
        '  - name: "(the authors of the study)"\n'
        "# doi: 10.5281/zenodo.\n"
        "references:\n"
        "  - type: software\n"
        '    title: "lossplace: where deep-learning code defines its loss"\n'
        f"    version: {version('lossplace')}\n"
        "    authors:\n"
        '      - name: "The lossplace developers"\n'
    )


def environment() -> str:
    """Return the versions of Python, SQLite and every library that lossplace needs, a line each."""
    found: dict[str, str] = {}
    waiting = ["lossplace"]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # of another platform
            continue
        waiting += [
            match[0].lower().replace("_", "-")
            for requirement in requires(name) or ()
            if "extra ==" not in requirement and (match := _NAME.match(requirement))
        ]
    lines = [f"# Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"]
    return "\n".join([*lines, *(f"{name}=={found[name]}" for name in sorted(found))]) + "\n"
