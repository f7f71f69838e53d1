"""The figures of the study: the numbers behind each as a frame, and its drawing as bytes. Pure.

A drawing is the same, byte for byte, wherever the same libraries draw it: it holds no date,
no random name, and no font from outside matplotlib.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from itertools import product
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from venny4py.venny4py import venny4py

from classify.metrics import LOSSES, wilson

EMPTY = "empty"
"""A repository in which no snippet is placed as a loss."""

# Okabe and Ito's colours, which the colour-blind tell apart; the dashes serve print in grey
_COLOURS = dict(
    zip((*LOSSES, EMPTY), ("#D55E00", "#0072B2", "#CC79A7", "#009E73", "#555555"), strict=True)
)
_DASHES: Mapping[str, Any] = dict(
    zip(
        (*LOSSES, EMPTY), ("-", (0, (6, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), "-"), strict=True
    )
)
_STYLE = MappingProxyType(
    {
        "axes.spines.right": False,
        "axes.spines.top": False,
        "figure.dpi": 100,
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "legend.frameon": False,
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "lossplace",
    }
)


def figure_4_1(
    placements: pd.DataFrame, corpus: pd.DataFrame, confidence: float = 0.95
) -> pd.DataFrame:
    """Return how many repositories hold each category, as more are taken from each query.

    ``placements`` has the columns repository and placement; ``corpus`` repository, position
    (1-based among those taken from the query) and reason, of which those with a reason could
    not be had and are left out. Columns of the result: top (how many are taken from each
    query), repositories (how many those are), category (the four losses, or ``empty`` for
    none), holding (repositories which hold it), share, and low and high of its Wilson interval.
    A repository may hold several categories, so the shares do not add up to 1.
    """
    holds = _holds(placements, corpus)
    holds[EMPTY] = ~holds[list(LOSSES)].any(axis=1)
    rows = []
    for top in range(1, int(holds["position"].max()) + 1 if len(holds) else 1):
        taken = holds[holds["position"] <= top]
        if taken.empty:
            continue
        for category in (*LOSSES, EMPTY):
            holding = int(taken[category].sum())
            share = wilson(holding / len(taken), len(taken), confidence)
            rows.append((top, len(taken), category, holding, share.estimate, share.low, share.high))
    columns = ["top", "repositories", "category", "holding", "share", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def figure_4_2(placements: pd.DataFrame, corpus: pd.DataFrame) -> pd.DataFrame:
    """Return in how many repositories the losses occur together, for all 16 combinations.

    Reads what ``figure_4_1`` reads. Columns: one of each loss, True where the combination holds
    it, and repositories: how many hold just this combination.
    """
    holds = _holds(placements, corpus)
    found = holds.groupby(list(LOSSES)).size().to_dict()
    combinations = sorted(product((True, False), repeat=len(LOSSES)), key=sum)
    rows = [(*combination, int(found.get(combination, 0))) for combination in combinations]
    return pd.DataFrame(rows, columns=[*LOSSES, "repositories"])


def draw_4_1(frame: pd.DataFrame) -> dict[str, bytes]:
    """Draw the frame of ``figure_4_1``; returns the file's bytes under ``svg`` and ``pdf``."""
    with mpl.rc_context(dict(_STYLE)):
        figure = Figure(figsize=(6.6, 3.6), layout="constrained")
        axes = figure.add_subplot()
        _draw_shares(axes, frame)
        return _files(figure)


def draw_4_2(frame: pd.DataFrame) -> dict[str, bytes]:
    """Draw the frame of ``figure_4_2``; returns the file's bytes under ``svg`` and ``pdf``."""
    with mpl.rc_context(dict(_STYLE)):
        figure = Figure(figsize=(5.2, 4.2), layout="constrained")
        axes = figure.add_subplot()
        draw_venn(axes, frame)
        return _files(figure)


def _draw_shares(axes: Axes, frame: pd.DataFrame) -> None:
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylabel("Share of repositories")
    axes.set_xlabel("Repositories taken from each query")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if frame.empty:
        axes.text(0.5, 0.5, "no repository", transform=axes.transAxes, ha="center")
        axes.set_xticks([])
        return
    last = frame[frame["top"] == frame["top"].max()]
    # the legend follows the lines' order at the right, where it stands
    for category in last.sort_values("share", ascending=False, kind="stable")["category"]:
        line = frame[frame["category"] == category]
        look = {"color": _COLOURS[category]}
        axes.fill_between(line["top"], line["low"], line["high"], alpha=0.12, lw=0, **look)
        axes.plot(
            line["top"],
            line["share"],
            linestyle=_DASHES[category],
            marker="o",
            markersize=2.5,
            linewidth=1.5,
            label=category,
            **look,
        )
    top, repositories = int(last["top"].iloc[0]), int(last["repositories"].iloc[0])
    axes.set_xlim(min(0.5, frame["top"].min() - 0.5), top + 0.5)
    axes.set_xlabel(f"Repositories taken from each query (at {top}: {repositories} in all)")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=3, labelspacing=0.8)


def draw_venn(axes: Axes, frame: pd.DataFrame) -> None:
    """Draw the combinations of ``figure_4_2`` as a Venn diagram of four ellipses."""
    members: dict[str, set[int]] = {category: set() for category in LOSSES}
    next_member = 0
    for *combination, repositories in frame.itertuples(index=False, name=None):
        of_combination = range(next_member, next_member + repositories)
        next_member += repositories
        for category, holds in zip(LOSSES, combination, strict=True):
            if holds:
                members[category].update(of_combination)
    colours = [_COLOURS[category] for category in LOSSES]
    # it lists the members in a file beside its drawing, whether one wants that or not
    with TemporaryDirectory() as unwanted:
        venny4py(
            members,
            out=unwanted,
            asax=axes,
            colors=colours,
            font_size=9,
            line_width=0.8,
            alpha=0.25,
        )
    axes.get_legend().remove()
    sides = ("right", "right", "left", "left")
    for total, category, side in zip(axes.texts, LOSSES, sides, strict=False):
        total.set_text(f"{category}\n{len(members[category])}")
        total.set_horizontalalignment(side)
        total.set_color(_COLOURS[category])
    none = int(frame.loc[~frame[list(LOSSES)].any(axis=1), "repositories"].sum())
    axes.text(98, 6, f"none of them\n{none}", ha="right", va="center")
    axes.set_aspect("equal")


def _holds(placements: pd.DataFrame, corpus: pd.DataFrame) -> pd.DataFrame:
    """Return, for each repository that could be had, its position and which losses it holds."""
    had = corpus.loc[corpus["reason"].isna(), ["repository", "position"]]
    holds = had.set_index("repository").astype({"position": "int64"})
    for category in LOSSES:
        holding = placements.loc[placements["placement"] == category, "repository"]
        holds[category] = holds.index.isin(holding)
    return holds


def _files(figure: Figure) -> dict[str, bytes]:
    undated: dict[str, dict[str, Any]] = {
        "svg": {"Date": None},
        "pdf": {"CreationDate": None},
    }
    files = {}
    for kind, metadata in undated.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, metadata=metadata)
        files[kind] = buffer.getvalue()
    return files
