"""The tables of the manual analysis of loss_unknown (4.2 to 4.4), and of framework usage (A). Pure.

The published values stand beside ours. Corpora differ in size, so it is shares that compare:
``difference`` is our share less the published one.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from classify.metrics import wilson
from classify.placement import Category
from classify.rendering import Table
from classify.special_cases import SpecialCase, read
from classify.types import STANDALONE, UnknownType

MISTAKES = (
    "loss_constructor",
    "loss_in_runner",
    "loss_call",
    "loss_in_model",
    "no_loss",
    "loss_in_model_runner",
)
"""The kinds of mistakes among snippets placed loss_unknown, in the published order."""

_BESIDE = ("type", "proposed", "share", "by_hand", "agreeing")
"""The columns of the tables 4.3 and 4.4 before the published ones."""
_PUBLISHED_UNKNOWN = 1314
"""Snippets placed loss_unknown that the published study read by hand."""
_PUBLISHED_STANDALONE = 956
"""Those of them that it found to be standalone losses."""


def mistake_of(label: str, loss_kind: str, qualname: str) -> str | None:
    """Return the kind of mistake that it was to place a snippet as loss_unknown; None: none.

    ``loss_kind`` of the gold file tells a mere call (``usage``) from no loss at all; without it
    both are ``no_loss``. A constructor without a loss of its own is a ``loss_constructor``.
    """
    if label == Category.LOSS_UNKNOWN:
        return None
    if label != Category.NO_LOSS:
        return label
    if qualname.rpartition(".")[2] == "__init__":
        return "loss_constructor"
    return "loss_call" if loss_kind == "usage" else "no_loss"


def table_4_2(rows: pd.DataFrame, theirs: pd.DataFrame) -> Table:
    """Count the kinds of mistakes among labelled snippets that were placed loss_unknown.

    ``rows`` are gold rows joined to placements (gold.match), ``theirs`` has the columns type and
    count. Columns: type, labelled, share (of those placed loss_unknown), published,
    published_share, difference.
    """
    placed = rows[rows["placement"] == Category.LOSS_UNKNOWN.value]
    kinds = placed["loss_kind"] if "loss_kind" in placed.columns else pd.Series("", placed.index)
    names = placed["qualname"] if "qualname" in placed.columns else pd.Series("", placed.index)
    found = pd.Series(
        [
            mistake_of(label, str(kind), str(name))
            for label, kind, name in zip(placed["label"], kinds, names, strict=True)
        ],
        dtype=object,
    )
    published = theirs.set_index("type")["count"]
    ours = [(kind, int((found == kind).sum()), int(published[kind])) for kind in MISTAKES]
    ours.append(("all mistakes", int(found.notna().sum()), int(published.sum())))
    right = int(found.isna().sum())
    ours.append((Category.LOSS_UNKNOWN.value, right, _PUBLISHED_UNKNOWN - int(published.sum())))
    frame = pd.DataFrame(ours, columns=["type", "labelled", "published"])
    return Table(
        "table_4_2",
        "What the snippets placed loss_unknown truly are",
        _with_shares(frame, "labelled", len(placed), _PUBLISHED_UNKNOWN),
        f"Of {len(placed)} labelled snippets placed loss_unknown; {_PUBLISHED_UNKNOWN} were read "
        "for the published study. A loss_call uses a loss that is calculated elsewhere. Shares "
        "are of the labelled snippets, not weighted by how these were drawn.",
        number="4.2",
        decimals=3,
    )


def table_4_3(proposed: pd.DataFrame, theirs: pd.DataFrame, by_hand: pd.DataFrame | None) -> Table:
    """Count the types of the snippets placed loss_unknown, proposed by rules and by hand.

    ``proposed`` are rows of types.parquet; ``by_hand`` has the columns unknown_type and type
    (proposals.propose_for_labels), None where there are no labels; ``theirs`` the columns type,
    count and standalone. Columns: type, proposed, share, by_hand, agreeing (rows that the rules
    give the same type), published, published_share, difference. ``by_hand`` counts labelled
    snippets wherever they were placed, so it is no part of ``proposed``.
    """
    published = {
        f"standalone_{type_}" if standalone else str(type_): int(count)
        for type_, count, standalone in zip(
            theirs["type"], theirs["count"], theirs["standalone"], strict=True
        )
    }
    groups = [(type_.value, [type_.value]) for type_ in UnknownType]
    standalone = [type_.value for type_ in STANDALONE]
    others = [type_.value for type_ in UnknownType if type_ not in STANDALONE]
    groups += [("all standalone", standalone), ("all others", others)]
    groups += [("all", [*standalone, *others])]
    rows = []
    for name, types in groups:
        hand = None if by_hand is None else by_hand[by_hand["unknown_type"].isin(types)]
        rows.append(
            (
                name,
                int(proposed["type"].isin(types).sum()),
                None if hand is None else len(hand),
                None if hand is None else int((hand["type"] == hand["unknown_type"]).sum()),
                sum(published.get(type_, 0) for type_ in types),
            )
        )
    return Table(
        "table_4_3",
        "Types of the snippets placed loss_unknown",
        _beside_published(rows, len(proposed), sum(published.values())),
        f"Proposed by rules for {len(proposed)} snippets, mistaken placements among them; the "
        f"published types were given by hand, after mistakes were taken out. "
        f"{agreement_note(by_hand)}",
        number="4.3",
        decimals=3,
    )


def agreement_note(by_hand: pd.DataFrame | None, confidence: float = 0.95) -> str:
    """Say how far the rules agree with the types given by hand, as one sentence."""
    if by_hand is None or by_hand.empty:
        return "No snippet of this run has a type by hand."
    agreeing = int((by_hand["type"] == by_hand["unknown_type"]).sum())
    return _agree_on(agreeing, len(by_hand), "labelled snippets", confidence)


def _cases_by_hand(
    by_hand: pd.DataFrame,
) -> list[tuple[frozenset[SpecialCase], frozenset[SpecialCase]]]:
    """Return the special cases by hand and by rules of each snippet whose label says them."""
    pairs = []
    for hand, rules in by_hand[["special_cases", "proposed_cases"]].itertuples(index=False):
        said = read(hand)
        if said is not None:
            pairs.append((said, read(rules) or frozenset()))
    return pairs


def _cases_note(
    pairs: Sequence[tuple[frozenset[SpecialCase], frozenset[SpecialCase]]],
    confidence: float = 0.95,
) -> str:
    if not pairs:
        return "No standalone loss of this run has special cases by hand."
    agreeing = sum(hand == rules for hand, rules in pairs)
    what = "labelled standalone losses, all special cases of each taken together"
    return _agree_on(agreeing, len(pairs), what, confidence)


def _agree_on(agreeing: int, n: int, what: str, confidence: float) -> str:
    found = wilson(agreeing / n, n, confidence)
    return (
        f"Rules and hand agree on {agreeing} of {n} {what} "
        f"({found.estimate:.2f}; {confidence:.0%} interval {found.low:.2f} to {found.high:.2f}, "
        f"if these are an independent random sample)."
    )


def confused_types(by_hand: pd.DataFrame) -> Table:
    """Count each pair of a type by hand and the one proposed: unknown_type, type, snippets."""
    pairs = by_hand.groupby(["unknown_type", "type"]).size().rename("snippets").reset_index()
    pairs = pairs.sort_values(["snippets", "unknown_type", "type"], ascending=[False, True, True])
    return Table(
        "confused_types",
        "Types by hand, and as proposed by rules",
        pairs.rename(columns={"unknown_type": "by_hand", "type": "proposed"}),
        agreement_note(by_hand),
    )


def table_4_4(proposed: pd.DataFrame, theirs: pd.DataFrame, by_hand: pd.DataFrame | None) -> Table:
    """Count the special cases of standalone losses, as the rules see them and by hand.

    ``proposed`` are rows of types.parquet; ``by_hand`` has the columns special_cases (by hand)
    and proposed_cases (proposals.propose_for_labels), None where there are no labels; ``theirs``
    the columns type and count. Columns: type, proposed, share (of the standalone losses),
    by_hand, agreeing (of those, the ones that the rules see too), published, published_share,
    difference. ``by_hand`` counts labelled snippets wherever they were placed.
    """
    standalone = proposed[proposed["type"].isin(list(STANDALONE))]
    published = theirs.set_index("type")["count"]
    pairs = None if by_hand is None else _cases_by_hand(by_hand)
    rows = []
    for case in SpecialCase:
        seen = None if pairs is None else [case in rules for hand, rules in pairs if case in hand]
        rows.append(
            (
                case.value,
                int(standalone[case.value].sum()),
                None if seen is None else len(seen),
                None if seen is None else sum(seen),
                int(published[case.value]),
            )
        )
    return Table(
        "table_4_4",
        "Special cases of the standalone losses",
        _beside_published(rows, len(standalone), _PUBLISHED_STANDALONE),
        f"Of {len(standalone)} snippets proposed as standalone losses; the published study found "
        f"{_PUBLISHED_STANDALONE} by hand. A loss may be several special cases. "
        f"{_cases_note(pairs or [])}",
        number="4.4",
        decimals=3,
    )


USAGE = (
    ("stackoverflow_2023", "A.1", "Frameworks by respondents of a survey"),
    ("github_search_2024-02-20", "A.2", "Frameworks by repositories found on GitHub"),
    ("pip_weekly_2024-02-20", "A.4", "Frameworks by weekly downloads from the package index"),
)
"""The published sources of framework usage: their name, the table's number and title."""


def tables_a(
    theirs: pd.DataFrame, used: pd.DataFrame, known: Sequence[str], repositories: int
) -> list[Table]:
    """Put beside each published figure of usage how many repositories of the run import it.

    ``theirs`` has the columns source, framework, value and unit; ``used`` has a row (repository,
    framework) for each framework that a repository imports (frameworks.parquet). ``known`` are
    the frameworks that an import shows; any other has empty cells. ``repositories`` is how many
    there are. Columns: framework, published, unit, importing (repositories), share.
    """
    counted = used.groupby("framework")["repository"].nunique()
    tables = []
    for source, number, title in USAGE:
        of_source = theirs[theirs["source"] == source]
        importing = [
            int(counted.get(framework, 0)) if framework in known else None
            for framework in of_source["framework"]
        ]
        unit = str(of_source["unit"].iloc[0])
        frame = pd.DataFrame(
            {
                "framework": of_source["framework"].to_list(),
                "published": of_source["value"].to_list(),
                "unit": unit,
                "importing": pd.array(importing, dtype="Int64"),
                "share": [
                    None if n is None or not repositories else n / repositories for n in importing
                ],
            }
        )
        tables.append(
            Table(
                f"table_{number.lower().replace('.', '_')}",
                title,
                frame.astype({"share": float}),
                f"importing: repositories out of the {repositories} of this run that import the "
                f"framework in some Python file, and their share. A corpus is chosen for its "
                f"frameworks, so this says nothing of usage at large.",
                number=number,
                decimals=3,
            )
        )
    return tables


def _beside_published(
    rows: Sequence[tuple[object, ...]], total: int, published_total: int
) -> pd.DataFrame:
    """Return (type, proposed, by_hand, agreeing, published) as a frame, with the shares."""
    frame = pd.DataFrame(rows, columns=["type", "proposed", "by_hand", "agreeing", "published"])
    frame = frame.astype({"by_hand": "Int64", "agreeing": "Int64"})
    shared = _with_shares(frame, "proposed", total, published_total)
    return shared[[*_BESIDE, "published", "published_share", "difference"]]


def _with_shares(
    frame: pd.DataFrame, counted: str, total: int, published_total: int
) -> pd.DataFrame:
    """Add our share, the published one and the difference; empty where there is nothing."""
    share = frame[counted] / total if total else float("nan")
    published = frame["published"] / published_total
    return frame[["type", counted]].assign(
        share=share,
        **{name: frame[name] for name in frame.columns if name not in ("type", counted)},
        published_share=published,
        difference=share - published,
    )
