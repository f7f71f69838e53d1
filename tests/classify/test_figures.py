from itertools import product
from xml.etree import ElementTree

import matplotlib as mpl
import pandas as pd
import pytest
from matplotlib.patches import Ellipse

from classify.figures import (
    draw_4_1,
    draw_4_2,
    draw_4_2_upset,
    figure_4_1,
    figure_4_2,
    plot_4_1,
    plot_4_2,
    plot_4_2_upset,
)
from classify.metrics import CATEGORIES, LOSSES, wilson

RUN, MOD, BOTH, UNK, NOT = CATEGORIES


def study(*repositories):
    """Placements and corpus, from (name, query, position, placements, reason) of repositories."""
    placements = [(name, p) for name, _, _, placed, *_ in repositories for p in placed]
    corpus = [
        (name, q, k, reason[0] if reason else None) for name, q, k, _, *reason in repositories
    ]
    return (
        pd.DataFrame(placements, columns=["repository", "placement"]).astype("str"),
        pd.DataFrame(corpus, columns=["repository", "query", "position", "reason"]).astype(
            {"position": "int64", "reason": "str"}
        ),
    )


SMALL = study(
    ("o/a", "q1", 1, [UNK, UNK, MOD]),
    ("o/b", "q1", 2, [NOT, None]),
    ("o/c", "q2", 1, [UNK]),
    ("o/d", "q2", 2, [RUN, MOD, BOTH, UNK]),
    ("o/e", "q2", 3, [], "clone failed"),
)
NOTHING_PLACED = study(("o/a", "q", 1, [None]), ("o/b", "q", 2, [NOT]), ("o/c", "q", 3, []))
ONE = study(("o/a", "q", 1, [UNK]))
NOBODY = study()


# --- the numbers


def test_figure_4_1_counts_repositories_as_more_are_taken():
    frame = figure_4_1(*SMALL, confidence=0.9)
    holding = frame.pivot(index="top", columns="category", values="holding")
    assert holding.loc[1].to_dict() == {UNK: 2, MOD: 1, RUN: 0, BOTH: 0, "empty": 0}
    assert holding.loc[2].to_dict() == {UNK: 3, MOD: 2, RUN: 1, BOTH: 1, "empty": 1}
    assert frame.groupby("top")["repositories"].unique().to_dict() == {1: [2], 2: [4]}
    last = frame[(frame["top"] == 2) & (frame["category"] == UNK)].iloc[0]
    expected = wilson(3 / 4, 4, 0.9)
    assert (last["share"], last["low"], last["high"], last["confidence"]) == (
        0.75,
        expected.low,
        expected.high,
        0.9,
    )


def test_a_repository_that_could_not_be_had_is_not_empty():
    lost = figure_4_1(*SMALL).set_index(["top", "category"])["holding"]
    assert 3 not in lost.index.get_level_values("top")
    assert lost[(2, "empty")] == 1


def test_figure_4_2_counts_every_combination_once():
    frame = figure_4_2(*SMALL)
    assert len(frame) == len(frame[list(LOSSES)].drop_duplicates()) == 16
    assert frame["repositories"].sum() == 4
    found = frame[frame["repositories"] > 0].set_index(list(LOSSES))["repositories"]
    assert found.to_dict() == {
        (False, False, False, False): 1,
        (False, False, False, True): 1,
        (False, True, False, True): 1,
        (True, True, True, True): 1,
    }


@pytest.mark.parametrize(
    ("corpus", "rows", "empty"), [(NOTHING_PLACED, 15, 3), (ONE, 5, 0), (NOBODY, 0, 0)]
)
def test_small_corpora(corpus, rows, empty):
    assert len(figure_4_1(*corpus)) == rows
    overlaps = figure_4_2(*corpus)
    assert len(overlaps) == 16
    assert overlaps.loc[~overlaps[list(LOSSES)].any(axis=1), "repositories"].item() == empty


# --- the drawings


def test_every_number_stands_in_its_region_of_the_venn_diagram():
    combinations = list(product((False, True), repeat=4))
    frame = pd.DataFrame(combinations, columns=list(LOSSES))
    frame["repositories"] = range(100, 116)
    (axes,) = plot_4_2(frame).axes
    ellipses = [p for p in axes.patches if isinstance(p, Ellipse) and p.get_facecolor()[3]]
    assert len(ellipses) == 4

    def around(text):
        point = axes.transData.transform(text.get_position())
        return tuple(bool(e.contains_point(point)) for e in ellipses)

    found = {int(t.get_text()): around(t) for t in axes.texts if t.get_text().isdecimal()}
    assert found == {100 + i: c for i, c in enumerate(combinations) if any(c)}
    words = [t.get_text() for t in axes.texts if not t.get_text().isdecimal()]
    totals = frame[list(LOSSES)].mul(frame["repositories"], axis=0).sum()
    assert words == [f"{c}\n{totals[c]}" for c in LOSSES] + ["none of them\n100"]


def test_figure_4_1_has_a_panel_for_each_category():
    frame = figure_4_1(*SMALL)
    *panels, caption = plot_4_1(frame).axes
    assert [axes.get_title() for axes in panels] == [*LOSSES, "empty"]
    for axes in panels:
        *_, line = axes.lines
        of_category = frame[frame["category"] == axes.get_title()]
        assert line.get_ydata().tolist() == of_category["share"].tolist()
        (band,) = axes.patches
        assert band.get_data().values.tolist() == of_category["high"].tolist()
        assert band.get_data().baseline.tolist() == of_category["low"].tolist()
        assert all(tick == int(tick) for tick in axes.get_xticks())
    (text,) = caption.texts
    assert "Repositories at 2: 4." in text.get_text()
    assert "95% confidence" in text.get_text()


def upset_columns(figure):
    """What an UpSet plot shows: the dotted losses of each column, with the number above it."""
    _, bars, _, dots = figure.axes
    heights = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in bars.patches}
    dotted = dots.collections[1::2]  # of each loss: all places in grey, then those that hold it
    held = {
        place: frozenset(
            category
            for category, points in zip(LOSSES, dotted, strict=True)
            if place in points.get_offsets()[:, 0]
        )
        for place in heights
    }
    return [(held[place], heights[place]) for place in sorted(heights)]


def test_every_combination_stands_in_its_column_of_the_upset_plot():
    combinations = list(product((False, True), repeat=4))
    frame = pd.DataFrame(combinations, columns=list(LOSSES))
    frame["repositories"] = range(16)
    figure = plot_4_2_upset(frame)
    expected = [
        (frozenset(category for category, holds in zip(LOSSES, c, strict=True) if holds), i)
        for i, c in enumerate(combinations)
    ]
    assert upset_columns(figure) == expected[:0:-1]
    sizes, dots = figure.axes[2:]
    totals = frame[list(LOSSES)].mul(frame["repositories"], axis=0).sum().tolist()
    assert [int(text.get_text()) for text in sizes.texts] == totals
    assert [bar.get_width() for bar in sizes.patches] == totals
    assert [label.get_text() for label in dots.get_yticklabels()] == list(LOSSES)
    assert sizes.get_ylim() == dots.get_ylim()


@pytest.mark.parametrize("repositories", [12, 640, 9999])
def test_no_overlap_of_texts_in_the_upset_plot(repositories):
    figure = plot_4_2_upset(figure_4_2(*SMALL).assign(repositories=repositories))
    figure.draw_without_rendering()
    caption, bars, sizes, dots = figure.axes
    texts = [*caption.texts, *bars.texts, *sizes.texts, *dots.get_yticklabels(), bars.yaxis.label]
    boxes = [text.get_window_extent() for text in texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(figure.bbox.contains(*corner) for box in boxes for corner in box.corners())


@pytest.mark.parametrize("corpus", [SMALL, NOTHING_PLACED, ONE, NOBODY])
def test_drawings_are_whole_undated_and_the_same_again(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    overlaps = figure_4_2(*corpus)
    for draw, frame in (
        (draw_4_1, figure_4_1(*corpus)),
        (draw_4_2, overlaps),
        (draw_4_2_upset, overlaps),
    ):
        drawn = draw(frame)
        assert ElementTree.fromstring(drawn["svg"]).tag.endswith("svg")
        assert b"<dc:date>" not in drawn["svg"]
        assert drawn["pdf"].startswith(b"%PDF-")
        assert drawn["pdf"].rstrip().endswith(b"%%EOF")
        assert b"CreationDate" not in drawn["pdf"]
        with mpl.rc_context({"font.size": 30, "axes.grid": True, "savefig.dpi": 300}):
            assert draw(frame) == drawn  # whatever the user's own settings are
    assert list(tmp_path.iterdir()) == []


def test_no_overlap_of_texts_in_the_venn_diagram():
    frame = figure_4_2(*SMALL).assign(repositories=640)
    figure = plot_4_2(frame)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(figure.bbox.contains(*corner) for box in boxes for corner in box.corners())
