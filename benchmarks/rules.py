"""How right the rules judge is against hand labels, what its parts are worth, and how fast it is.

    python benchmarks/rules.py REPOSITORIES GOLD [--out FILE]

REPOSITORIES is a folder with one folder ``owner__name`` for each repository of GOLD, a CSV of
labelled snippets (columns repository, path, start_line, qualname, label; where they are there,
loss_kind, training_loop, model_definition, class_is_model, class_is_runner; and sampling_stratum
with stratum_size, the number of snippets that the stratum was drawn from). Prints tables; FILE gets
them as JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from classify.judges.rules import rule
from classify.judges.rules.program import Bases
from classify.metrics import CATEGORIES, LOSSES
from classify.placement import Placement, Verdict, functions_asked, place
from classify.questions import Ask, Question
from classify.subjects import names_known_loss
from mining.code import RepositoryCode
from mining.decode import decode
from mining.hierarchy import functions_by_class
from mining.records import Kind, Snippet
from mining.study import PlacementSettings

VARIANTS: dict[str, tuple[Bases, bool]] = {
    "all": ("follow", True),
    "bases ignored": ("ignore", True),
    "functions read alone": ("follow", False),
    "both": ("ignore", False),
}
"""By name: whether base classes are followed, and whether calls are between functions."""
QUESTIONS = {
    "loss_definition": "loss_kind",
    "training_loop": "training_loop",
    "model_definition": "model_definition",
    "class_is_model": "class_is_model",
    "class_is_runner": "class_is_runner",
}
"""What is asked of a snippet or its class, with the gold column that holds the answer."""


@dataclass(frozen=True)
class Rater:
    """Answers about the snippets of one repository, each given once."""

    code: RepositoryCode
    functions: dict[str, list[Snippet]]
    bases: Bases
    interprocedural: bool
    verdicts: dict[Ask, Verdict]

    def verdict(self, ask: Ask) -> Verdict:
        """Return the rules' verdict on an ask."""
        if ask not in self.verdicts:
            ruling = rule(
                ask.question,
                ask.snippet,
                self.code,
                interprocedural=self.interprocedural,
                bases=self.bases,
            )
            self.verdicts[ask] = Verdict.YES if ruling.decision else Verdict.NO
        return self.verdicts[ask]

    def says(self, question: Question, snippet: Snippet) -> bool:
        """Say whether the verdict is yes."""
        return self.verdict(Ask(question, snippet)) is Verdict.YES

    def around(self, snippet: Snippet) -> list[Snippet]:
        """Return the functions of a method's class."""
        return self.functions.get(f"{snippet.path}::{snippet.class_qualname}", [])

    def category(self, snippet: Snippet) -> str:
        """Return where the snippet is placed."""
        placed = place(snippet, self.around(snippet), self.verdict, NAMES_LOSS)
        assert isinstance(placed, Placement) and placed.category is not None
        return placed.category.value


NAMES_LOSS = names_known_loss(PlacementSettings())


def read(folder: Path, repository: str) -> RepositoryCode:
    """Read a repository's Python files; those that are no text are left out."""
    home = folder / repository.replace("/", "__")
    texts = {}
    for path in sorted(home.rglob("*.py")):
        if path.is_file() and not path.is_symlink():
            decoded = decode(path.read_bytes())
            if decoded is not None:
                texts[path.relative_to(home).as_posix()] = decoded.text
    return RepositoryCode(repository, None, texts)


def rater(code: RepositoryCode, bases: Bases, interprocedural: bool) -> Rater:
    """Return what answers about a repository's snippets."""
    follow = bases == "follow"
    functions = functions_by_class(snippets_of(code), code.classes.values(), follow=follow)
    return Rater(code, functions, bases, interprocedural, {})


def snippets_of(code: RepositoryCode) -> list[Snippet]:
    """Return all snippets of a repository."""
    return [snippet for each in code.extractions.values() for snippet in each.snippets]


def judged(folder: Path, gold: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each labelled snippet and variant: the placement, and what was asked."""
    rows: list[dict[str, Any]] = []
    for repository, labelled in gold.groupby("repository"):
        code = read(folder, str(repository))
        snippets = {(s.path, s.start_line, s.qualname): s for s in snippets_of(code)}
        for variant, (bases, interprocedural) in VARIANTS.items():
            by = rater(code, bases, interprocedural)
            for index, row in labelled.iterrows():
                key = (row["path"], row["start_line"], row["qualname"])
                if key not in snippets:
                    raise SystemExit(f"{repository} holds no snippet {key}: is it the commit?")
                answers = dict(answers_about(snippets[key], by))
                placed = by.category(snippets[key])
                rows.append({"row": index, "variant": variant, "placed": placed, **answers})
    return pd.DataFrame(rows).set_index("row")


def answers_about(snippet: Snippet, by: Rater) -> Iterator[tuple[str, bool]]:
    """Give each question with its answer; those on the class only for a method."""
    for question in (Question.LOSS_DEFINITION, Question.TRAINING_LOOP, Question.MODEL_DEFINITION):
        yield question.value, by.says(question, snippet)
    if snippet.kind is Kind.METHOD:
        around = by.around(snippet)
        for name, asked in (
            ("class_is_model", Question.MODEL_DEFINITION),
            ("class_is_runner", Question.TRAINING_LOOP),
        ):
            functions = functions_asked(asked, snippet, around)
            yield name, any(by.says(asked, each) for each in functions)


def weighted_f1(true: pd.Series, placed: pd.Series, weights: pd.Series, of: list[str]) -> float:
    """Return the mean F1 of some categories by their true (weighted) occurrences."""
    total = 0.0
    for category in of:
        is_true, is_placed = true == category, placed == category
        both = weights[is_true & is_placed].sum()
        either = weights[is_true].sum() + weights[is_placed].sum()
        total += weights[is_true].sum() * (2 * both / either if either else 0.0)
    return float(total / weights[true.isin(of)].sum())


def figures(gold: pd.DataFrame, found: pd.DataFrame) -> dict[str, float]:
    """Return the weighted F1 over all categories, over loss categories, and over loss rows."""
    true, placed = gold["label"], found["placed"]
    ones = pd.Series(1.0, gold.index)
    loss_rows = true.isin(LOSSES)
    some = [c for c in CATEGORIES if (true == c).any()]
    losses = [c for c in some if c in LOSSES]
    result = {
        "all rows": weighted_f1(true, placed, ones, some),
        "loss rows": weighted_f1(true[loss_rows], placed[loss_rows], ones[loss_rows], losses),
        "loss categories": weighted_f1(true, placed, ones, losses),
    }
    if {"sampling_stratum", "stratum_size"} <= set(gold.columns):
        sampled = gold.groupby("sampling_stratum")["label"].transform("size")
        weights = gold["stratum_size"] / sampled
        result["population, all"] = weighted_f1(true, placed, weights, some)
        result["population, loss categories"] = weighted_f1(true, placed, weights, losses)
    return result


def by_question(gold: pd.DataFrame, found: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the precision and recall of each question whose answer the gold set holds."""
    rows = []
    for question, column in QUESTIONS.items():
        if column not in gold:
            continue
        known = gold[column].notna() & found[question].notna()
        said = found.loc[known, question].astype(bool)
        if column == "loss_kind":
            true = gold.loc[known, column].isin(["definition", "reduction"])
        else:
            true = gold.loc[known, column].map(lambda value: str(value).lower() in ("true", "1"))
        both = int((true & said).sum())
        rows.append(
            {
                "question": question,
                "rows": int(known.sum()),
                "true": int(true.sum()),
                "precision": both / max(1, int(said.sum())),
                "recall": both / max(1, int(true.sum())),
            }
        )
    return rows


def speed(folder: Path, repositories: list[str]) -> dict[str, float]:
    """Place every snippet of the repositories on one core; reading the files is not counted."""
    count, seconds = 0, 0.0
    for repository in repositories:
        code = read(folder, repository)
        start = time.process_time()
        by = rater(code, "follow", True)
        for snippet in snippets_of(code):
            by.category(snippet)
            count += 1
        seconds += time.process_time() - start
    return {"snippets": count, "seconds": seconds, "snippets_per_second": count / seconds}


def report(folder: Path, gold: pd.DataFrame) -> dict[str, Any]:
    """Return all tables."""
    found = judged(folder, gold)
    by_variant = {name: found[found["variant"] == name] for name in VARIANTS}
    best = by_variant["all"].loc[gold.index]
    table = pd.crosstab(gold["label"], best["placed"])
    table = table.reindex(index=list(CATEGORIES), columns=list(CATEGORIES), fill_value=0)
    return {
        "rows": len(gold),
        "repositories": int(gold["repository"].nunique()),
        "weighted_f1": {n: figures(gold, f.loc[gold.index]) for n, f in by_variant.items()},
        "questions": by_question(gold, best),
        "confusion": table.to_dict("index"),
        "speed": speed(folder, sorted(gold["repository"].unique())),
        "versions": {"python": platform.python_version(), "lossplace": version("lossplace")},
    }


def show(result: dict[str, Any]) -> None:
    """Print the tables."""
    print(f"{result['rows']} labelled snippets of {result['repositories']} repositories")
    print("\nweighted F1 over")
    for variant, figures_of in result["weighted_f1"].items():
        print(f"  {variant:<22}" + "".join(f"{n} {f:.3f}   " for n, f in figures_of.items()))
    print(f"\n{'question':<20}{'rows':>6}{'true':>6}{'precision':>11}{'recall':>8}")
    for row in result["questions"]:
        head = f"{row['question']:<20}{row['rows']:>6}{row['true']:>6}"
        print(f"{head}{row['precision']:>11.3f}{row['recall']:>8.3f}")
    print("\n" + pd.DataFrame.from_dict(result["confusion"], "index").to_string())
    of_speed = result["speed"]
    count, rate = of_speed["snippets"], of_speed["snippets_per_second"]
    print(f"\n{count} snippets, {rate:.0f} a second on one core")


def main() -> None:
    """Print the tables, and write them as JSON."""
    parser = argparse.ArgumentParser(description="The rules judge against hand labels.")
    parser.add_argument("repositories", type=Path)
    parser.add_argument("gold", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    gold = pd.read_csv(options.gold)
    result = report(options.repositories, gold[gold["label"].notna()].reset_index(drop=True))
    show(result)
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
