"""A data set folder as Hugging Face reads it: one Parquet file, and its data card. Pure."""

from __future__ import annotations

import json

import pandas as pd

from classify.placement import Category
from classify.rendering import Table

DATA = "data/snippets.parquet"

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))

_FIELDS = {
    "snippet_id": "names this occurrence, the same in every run",
    "repository, commit, path, start_line, end_line": "where it is; lines are 1-based",
    "kind": "function, method or loop (an outermost one at the module level)",
    "qualname, class_qualname": "its name, and that of the class around a method",
    "code_sha256": "equal for equal code",
    "license": "of the repository, as GitHub found it (SPDX); null: none known",
    "permalink": "its lines on GitHub; null: the commit is not known",
    "placement": "where the loss is; null: the votes decide nothing, and `reason` says why",
    "loss_related, loss_definition, training_loop, model_definition": (
        "the verdict on each question: yes, no or none; null: not asked. For a method, the last "
        "two speak of its class"
    ),
    "judge": "who answered",
    "flip_risk": "how likely votes that were left out would have changed a verdict; mostly 0",
    "text": "the code; null where its licence does not let it be passed on, or is not known",
}


def data_card(name: str, frame: pd.DataFrame) -> str:
    """Return README.md of the folder: YAML for the hub, then what a reader must know.

    ``frame`` is that of snippets.snippets_table.
    """
    size = next((label for most, label in _SIZES if len(frame) < most), "1M<n<10M")
    judges = ", ".join(sorted(frame["judge"].dropna().unique())) or "none"
    placed = frame["placement"].value_counts()
    counted = [(each.value, int(placed.get(each.value, 0))) for each in Category]
    counted.append(("unplaced", int(frame["placement"].isna().sum())))
    repositories = (
        frame.assign(with_text=frame["text"].notna(), license=frame["license"].fillna("not known"))
        .groupby(["repository", "license"])
        .agg(snippets=("snippet_id", "size"), with_text=("with_text", "sum"))
        .reset_index()
    )
    table = Table("licenses", "Repositories, their licences, and snippets", repositories)
    title = f"Where deep-learning code defines its loss: {name}"
    return "\n".join(
        [
            "---",
            f"pretty_name: {json.dumps(title, ensure_ascii=False)}",
            "license: other",
            "license_name: per-repository",
            "language:",
            "- code",
            "task_categories:",
            "- text-classification",
            "size_categories:",
            f"- {size}",
            "tags:",
            "- mining-software-repositories",
            "- deep-learning",
            "- loss-function",
            "configs:",
            "- config_name: default",
            "  data_files:",
            "  - split: train",
            f"    path: {DATA}",
            "---",
            "",
            f"# {title}",
            "",
            f"{len(frame)} snippets of {len(repositories)} repositories, each placed by the judge "
            f"{judges}. Placements are answers of a judge, not hand labels: see the study for how "
            "often they are right.",
            "",
            "| placement | snippets |",
            "| --- | ---: |",
            *(f"| {category} | {count} |" for category, count in counted),
            "",
            "## Fields",
            "",
            *(f"- **{fields}**: {meaning}" for fields, meaning in _FIELDS.items()),
            "",
            "## Licences",
            "",
            "Each text is under the licence of its repository, whose terms (naming the authors, "
            "above all) go with it; the permalink leads there. Text is left out where that "
            "licence does not let it be passed on, or is not known.",
            "",
            table.to_markdown(),
        ]
    )
