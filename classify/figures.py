"""The figures of the study: the numbers behind each as a frame, and its drawing as bytes. Pure.

A drawing is the same, byte for byte, wherever the same libraries draw it: it holds no date,
no random name, and no font from outside matplotlib.
"""

from __future__ import annotations

from itertools import product
from tempfile import TemporaryDirectory

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from venny4py.venny4py import venny4py

from classify.metrics import LOSSES, wilson
from mining.drawing import files_of, styled

EMPTY = "empty"
"""A repository in which no snippet is placed as a loss."""

# of Okabe and Ito, which the colour-blind tell apart
_COLOURS = dict(
    zip((*LOSSES, EMPTY), ("#D55E00", "#0072B2", "#CC79A7", "#009E73", "#555555"), strict=True)
)
_GREY = "#555555"
_MARKED = 100
"""So many points of a line are told apart; more only make the file large."""
_CAPTION_4_2 = (
    "Above: repositories that hold\njust the losses dotted below;\nno dot, none of them.\n\n"
    "Left: that hold it, alone\nor with others."
)


def figure_4_1(
    placements: pd.DataFrame, corpus: pd.DataFrame, confidence: float = 0.95
) -> pd.DataFrame:
    """Return how many repositories hold each category, as more are taken from each query.

    ``placements`` has the columns repository and placement; ``corpus`` repository, position
    (1-based among those taken from the query) and reason, of which those with a reason could
    not be had and are left out. Columns of the result: top (how many are taken from each
    query), repositories (how many those are), category (the four losses, or ``empty`` for
    none), holding (repositories which hold it), share, low and high of its Wilson interval, and
    the interval's confidence.
    A repository may hold several categories, so the shares do not add up to 1.
    """
    holds = _holds(placements, corpus)
    holds[EMPTY] = ~holds[list(LOSSES)].any(axis=1)
    holds["taken"] = True
    added = holds.groupby("position")[[*LOSSES, EMPTY, "taken"]].sum()
    tops = range(1, holds["position"].max() + 1 if len(holds) else 1)
    rows = []
    for top, *holdings, taken in added.reindex(tops, fill_value=0).cumsum().itertuples(name=None):
        for category, holding in zip((*LOSSES, EMPTY), holdings, strict=True) if taken else ():
            share = wilson(holding / taken, taken, confidence)
            between = (share.estimate, share.low, share.high, confidence)
            rows.append((top, taken, category, holding, *between))
    found = ["share", "low", "high", "confidence"]
    return pd.DataFrame(rows, columns=["top", "repositories", "category", "holding", *found])


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
    return files_of(plot_4_1(frame))


def draw_4_2(frame: pd.DataFrame) -> dict[str, bytes]:
    """Draw the frame of ``figure_4_2``; returns the file's bytes under ``svg`` and ``pdf``."""
    return files_of(plot_4_2(frame))


def draw_4_2_upset(frame: pd.DataFrame) -> dict[str, bytes]:
    """Draw the frame of ``figure_4_2`` as UpSet plot; returns as ``draw_4_2`` does."""
    return files_of(plot_4_2_upset(frame))


def plot_4_1(frame: pd.DataFrame) -> Figure:
    """Plot the frame of ``figure_4_1``: a panel a category, in which the others stand in grey."""
    with styled():
        figure = Figure(figsize=(6.6, 4.2), layout="constrained")
        *panels, caption = figure.subplots(2, 3, sharex=True, sharey=True).flat
        lines = {category: frame[frame["category"] == category] for category in (*LOSSES, EMPTY)}
        for axes, (category, line) in zip(panels, lines.items(), strict=True):
            axes.set_title(category)
            axes.yaxis.set_major_formatter(PercentFormatter(1))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            for other in lines.values():
                axes.plot(other["top"], other["share"], color="#BBBBBB", linewidth=0.8)
            if not line.empty:
                edges = [line["top"].iloc[0] - 0.5, *(line["top"] + 0.5)]
                colour = _COLOURS[category]
                axes.stairs(
                    line["high"], edges, baseline=line["low"], fill=True, color=colour, alpha=0.2
                )
                marked = ".-" if len(line) <= _MARKED else "-"
                axes.plot(
                    line["top"], line["share"], marked, color=colour, markersize=4, clip_on=False
                )
        panels[0].set_ylim(0, 1)
        panels[2].tick_params(labelbottom=True)  # nothing stands below it
        caption.set_axis_off()
        caption.text(0.04, 0.95, _caption_4_1(frame), transform=caption.transAxes, va="top")
        figure.supxlabel("Repositories taken from each query", fontsize=9)
        figure.supylabel("Share of repositories that hold it", fontsize=9)
        return figure


def plot_4_2(frame: pd.DataFrame) -> Figure:
    """Plot the frame of ``figure_4_2`` as a Venn diagram of four ellipses."""
    members: dict[str, set[int]] = {category: set() for category in LOSSES}
    first = 0
    for *combination, repositories in frame.itertuples(index=False, name=None):
        for category, holds in zip(LOSSES, combination, strict=True):
            if holds:
                members[category].update(range(first, first + repositories))
        first += repositories
    none = int(frame.loc[~frame[list(LOSSES)].any(axis=1), "repositories"].sum())
    with styled():
        figure = Figure(figsize=(5.4, 3.9), layout="constrained")
        axes = figure.add_subplot()
        # it writes the members to a file beside its drawing, whether one wants that or not
        with TemporaryDirectory() as unwanted:
            venny4py(
                members,
                out=unwanted,
                asax=axes,
                colors=[_COLOURS[category] for category in LOSSES],
                font_size=9,
                line_width=0.8,
                alpha=0.25,
            )
        # its first four texts are the totals; the sets are named there instead of in a legend
        if (legend := axes.get_legend()) is not None:
            legend.remove()
        sides = ("right", "right", "left", "left")
        for total, category, side in zip(axes.texts[:4], LOSSES, sides, strict=True):
            total.set(text=f"{category}\n{len(members[category])}", horizontalalignment=side)
        axes.text(97, 6, f"none of them\n{none}", ha="right", va="center")
        axes.set(xlim=(-6, 106), ylim=(0, 88), aspect="equal")
        return figure


def plot_4_2_upset(frame: pd.DataFrame) -> Figure:
    """Plot the frame of ``figure_4_2`` as an UpSet plot of the combinations that occur.

    Above, how many repositories hold just the losses dotted below; left, how many hold each.
    """
    found = frame[frame["repositories"] > 0]
    found = found.sort_values("repositories", ascending=False, kind="stable", ignore_index=True)
    totals = [int(found.loc[found[category], "repositories"].sum()) for category in LOSSES]
    lines = list(range(len(LOSSES)))
    with styled():
        figure = Figure(figsize=(6.6, 3.9), layout="constrained")
        panels = figure.subplots(2, 2, width_ratios=(1, 2.8), height_ratios=(1.7, 1))
        (caption, bars), (sizes, dots) = panels
        caption.set_axis_off()
        caption.text(0, 1, _CAPTION_4_2, va="top")

        of_combination = bars.bar(found.index, found["repositories"], 0.6, color=_GREY)
        most = max([1, *found["repositories"]])
        crowded = len(found) * len(str(most)) > 32  # digits that fit side by side
        bars.bar_label(of_combination, padding=2, rotation=90 if crowded else 0, fontsize=8)
        bars.set_ylabel("Repositories")
        bars.set_xlim(-0.8, max(len(found), 1) - 0.4)  # without repositories there are no bars
        bars.set_ylim(0, 1.15 * most)
        bars.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        bars.tick_params(bottom=False, labelbottom=False)

        dots.set(xlim=bars.get_xlim(), xticks=[], ylim=(len(LOSSES) - 0.5, -0.5))
        dots.set_yticks(lines, LOSSES)
        dots.tick_params(left=False)
        dots.spines[:].set_visible(False)
        for line, category in enumerate(LOSSES):
            holding = found.index[found[category]]
            dots.axhspan(line - 0.45, line + 0.45, color="#F2F2F2", linewidth=0, zorder=0)
            dots.scatter(found.index, [line] * len(found), 36, "#D0D0D0")
            dots.scatter(holding, [line] * len(holding), 36, _COLOURS[category], zorder=3)
        combinations = found[list(LOSSES)].itertuples(index=False, name=None)
        for place, combination in enumerate(combinations):
            held = [line for line, holds in zip(lines, combination, strict=True) if holds]
            dots.plot([place] * len(held), held, color=_GREY, linewidth=1.5)

        sizes.set_axis_off()
        sizes.set(xlim=(1.4 * max([1, *totals]), 0), ylim=dots.get_ylim())
        sizes.barh(lines, totals, 0.6, color=[_COLOURS[category] for category in LOSSES])
        for line, total in enumerate(totals):
            sizes.annotate(
                str(total),
                (total, line),
                (-3, 0),
                textcoords="offset points",
                ha="right",
                va="center",
            )
        return figure


def _caption_4_1(frame: pd.DataFrame) -> str:
    if frame.empty:
        return "No repository was taken."
    last = frame.iloc[-1]
    return (
        f"Repositories at {last['top']}: {last['repositories']}.\n\n"
        f"Bands: Wilson intervals at\n{last['confidence']:.0%} confidence, as of an\n"
        f"independent random sample.\nGrey: the other panels."
    )


def _holds(placements: pd.DataFrame, corpus: pd.DataFrame) -> pd.DataFrame:
    """Return, for each repository that could be had, its position and which losses it holds."""
    had = corpus.loc[corpus["reason"].isna(), ["repository", "position"]]
    holds = had.set_index("repository").astype({"position": "int64"})
    for category in LOSSES:
        holding = placements.loc[placements["placement"] == category, "repository"]
        holds[category] = holds.index.isin(holding)
    return holds
