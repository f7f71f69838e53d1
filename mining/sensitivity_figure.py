"""The figure of a sensitivity analysis: its numbers as a frame, and its drawing. Pure."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from mining.drawing import styled
from mining.sensitivity import Sensitivity
from mining.study import Weights

DRAWS, STUDY = "draws", "study"
SELECTED, OTHERS = "selected", "others"

_MOST_DRAWS = 2000
"""More points than a panel can show apart; the draws are alike, so the first ones speak for all."""
_COLOURS = {SELECTED: "#0072B2", OTHERS: "#D55E00"}  # of Okabe and Ito


def figure_of(found: Sensitivity, weights: Weights) -> pd.DataFrame:
    """Return what the figure shows. Columns: series, x, y, jaccard.

    Series ``draws``, and ``study`` for its own weights: x is the share of stars in the weights'
    sum, y that of forks, and jaccard the overlap. Series ``selected`` (by the study) and
    ``others`` (those that some draw selects): x counts the repositories of the series from the
    one that most draws select, y is the share of the draws that select it.
    """
    draws = found.draws.head(_MOST_DRAWS)
    total = sum(weights.model_dump().values())
    shown = found.repositories[found.repositories["selected"] | (found.repositories["share"] > 0)]
    shown = shown.sort_values("share", ascending=False, kind="stable", ignore_index=True)
    study = pd.DataFrame({"x": [weights.stars / total], "y": weights.forks / total, "jaccard": 1.0})
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "series": DRAWS,
                    "x": draws["stars"] / total,
                    "y": draws["forks"] / total,
                    "jaccard": draws["jaccard"],
                }
            ),
            study.assign(series=STUDY),
            pd.DataFrame(
                {
                    "series": shown["selected"].map({True: SELECTED, False: OTHERS}),
                    "x": shown.groupby("selected").cumcount() + 1.0,
                    "y": shown["share"],
                    "jaccard": float("nan"),
                }
            ),
        ],
        ignore_index=True,
    )[["series", "x", "y", "jaccard"]]


def plot(frame: pd.DataFrame) -> Figure:
    """Plot the frame of ``figure_of``: the overlap by weights, and each repository's share."""
    series = {name: frame[frame["series"] == name] for name in (DRAWS, STUDY, SELECTED, OTHERS)}
    percent = PercentFormatter(1, decimals=0)
    with styled():
        figure = Figure(figsize=(6.6, 3.1), layout="constrained")
        overlap, shares = figure.subplots(1, 2)
        drawn, own = series[DRAWS], series[STUDY]
        points = overlap.scatter(
            drawn["x"], drawn["y"], 7, drawn["jaccard"], cmap="viridis", linewidths=0, vmax=1
        )
        overlap.scatter(
            own["x"], own["y"], 60, "#D55E00", marker="+", linewidths=1.5, label="study's weights"
        )
        overlap.legend(loc="upper right", handletextpad=0.2)
        # the third weight is what is left to the diagonal
        overlap.plot([0, 1], [1, 0], color="#BBBBBB", linewidth=0.8)
        overlap.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
        overlap.set(xlabel="weight of stars", ylabel="weight of forks")
        overlap.set_title("Overlap with the study's selection")
        overlap.xaxis.set_major_formatter(percent)
        overlap.yaxis.set_major_formatter(percent)
        figure.colorbar(points, ax=overlap, label="Jaccard", shrink=0.85)

        for name, label in ((SELECTED, "selected by the study"), (OTHERS, "not selected by it")):
            shares.plot(
                series[name]["x"],
                series[name]["y"],
                ".",
                color=_COLOURS[name],
                markersize=3,
                label=label,
            )
        shares.set(xlabel="repositories, by this share", ylim=(0, 1.28))
        shares.set_xlim(0)
        shares.set_yticks([0, 0.25, 0.5, 0.75, 1])  # the room above is the legend's
        shares.set_title("Share of the draws that select it")
        shares.yaxis.set_major_formatter(percent)
        shares.legend(loc="upper right", markerscale=3, handletextpad=0.2)
        return figure
