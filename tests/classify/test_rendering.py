import csv
import io
import re
import shutil
import subprocess
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classify.latex import breakable, escaped
from classify.rendering import Table

HOSTILE = [
    "=HYPERLINK(1)",
    "+1",
    "-1",
    "@SUM",
    "\ttab",
    "a,b",
    'a"b',
    "a|b",
    "a\nb",
    "a & b",
    "100%",
    "$x$",
    "#1",
    "a_b",
    "__init__.py",
    "{}",
    "~",
    "^",
    "\\",
    "\\input{x}",
    "[4cm]",
    "*",
    "a--b---c",
    "`code`",
    "<b>&amp;</b>",
    "![x](y)",
    "'quoted'",
    "",
]
LONG = [
    "src/very/deep/folder/with_many_parts/model_that_does_everything.py",
    "NeuralNetworkWithAVeryLongCamelCaseName",
    "x" * 90,
    "12345678901234567890" * 3,
    "words and words and words and words and words and words",
]
HEADS = ["type", "proposed", "share", "by_hand", "agreeing", "published", "published_share"]
WIDE = Table(
    "wide",
    "A wide table",
    pd.DataFrame([(t, *[1] * 6, t) for t in (*LONG, *HOSTILE)], columns=[*HEADS, "path"]),
    "A note.",
)


def table(*values, **fields):
    return Table("t", "A title", pd.DataFrame({"name": values}, dtype=object), **fields)


# --- CSV


@pytest.mark.parametrize("text", HOSTILE)
def test_csv_gives_the_text_back_but_never_a_formula(text):
    _, (cell,) = csv.reader(io.StringIO(table(text).to_csv())) if text else ([], [""])
    assert cell.removeprefix("'") == text.removeprefix("'")
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (-3, "-3"),
        (-0.25, "-0.25"),
        (1 / 3, "0.333333"),
        (30.0, "30"),
        (True, "yes"),
        (None, ""),
        (float("nan"), ""),
        (pd.NA, ""),
    ],
)
def test_csv_keeps_numbers_numbers(value, cell):
    frame = pd.DataFrame({"a": pd.Series([value], dtype=object), "b": ["x"]})
    assert Table("t", "", frame).to_csv() == f"a,b\n{cell},x\n"


def test_csv_heads_are_no_formulas_either():
    assert Table("t", "", pd.DataFrame({"=a": [1]})).to_csv() == "'=a\n1\n"


# --- Markdown


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_the_text_as_it_is(text):
    markdown_it = pytest.importorskip("markdown_it")
    page = markdown_it.MarkdownIt("commonmark").enable("table")
    tokens = page.parse(table(text, "last").to_markdown())
    cells = [
        "".join(part.content for part in token.children)
        for token in tokens
        if token.type == "inline"
    ]
    kinds = {part.type for token in tokens if token.type == "inline" for part in token.children}
    shown = "".join(c if c.isprintable() else " " for c in text).strip()
    assert cells == ["A title", "name", shown, "last"]
    assert kinds <= {"text", "text_special", "strong_open", "strong_close"}


def test_markdown_aligns_numbers_and_rounds_them():
    frame = pd.DataFrame({"category": ["a"], "n": [3], "share": [2 / 3], "known": [True]})
    assert Table("t", "T", frame, "A note.").to_markdown() == (
        "**T**\n"
        "\n"
        "| category | n | share | known |\n"
        "| --- | ---: | ---: | --- |\n"
        "| a | 3 | 0.67 | yes |\n"
        "\n"
        "A note.\n"
    )


# --- LaTeX


def latex_faults(text):
    """What a LaTeX run would stumble over: braces, environments, cells in a row."""
    bare = re.sub(r"\\[\\{}&%$#_]", "", text)
    if bare.count("{") != bare.count("}"):
        return "braces"
    if re.search(r"[%$#_^~]", bare.replace("tab:t_1", "")):
        return "an active character"
    opened = re.findall(r"\\begin\{(\w+)\}", text)
    if sorted(opened) != sorted(re.findall(r"\\end\{(\w+)\}", text)):
        return "environments"
    if re.search(r"\\\\\s*[\[*]", text):
        return "an argument of the line break"
    columns = {len(re.findall(r"(?<!\\)&", row)) for row in text.splitlines() if row[-2:] == r"\\"}
    return "" if len(columns - {0}) <= 1 else "cells"


@pytest.mark.parametrize("text", HOSTILE)
def test_latex_of_a_hostile_cell_is_well_formed(text):
    assert latex_faults(table(text, text, note=text).to_latex()) == ""


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_latex_of_any_text_is_well_formed(texts):
    assert latex_faults(table(*texts).to_latex()) == ""


def test_the_check_of_latex_finds_faults():
    good = table("x").to_latex()
    for bad in ("{", "50% off", r"\begin{a}", "\\\\[4cm]", "a & b \\\\\na & b & c \\\\"):
        assert latex_faults(good + bad) != ""


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("a_b & 50%", r"a\_b \& 50\%"),
        ("\\", r"\textbackslash{}"),
        ("a--b", "a-{}-b"),
        ("[x]", "{[}x]"),
        ("0.8 ± 0.1", r"0.8 \ensuremath{\pm} 0.1"),
    ],
)
def test_latex_escapes(text, latex):
    assert f"\n{latex} \\\\\n" in table(text).to_latex()


@pytest.mark.parametrize(("rows", "environment"), [(40, "table"), (41, "longtable")])
def test_a_long_table_breaks_over_pages(rows, environment):
    text = table(*["x"] * rows, note="A note.").to_latex()
    assert text.startswith(rf"\begin{{{environment}}}")
    assert latex_faults(text) == ""
    assert r"\label{tab:t}" in text


def test_a_table_that_fits_is_set_as_it_is():
    text = table("a" * 60).to_latex()
    assert "footnotesize" not in text
    assert r"\begin{tabular}{l}" in text


def test_a_wide_table_is_set_narrower():
    text = WIDE.to_latex()
    assert r"\footnotesize" in text
    assert r"\shortstack[r]{published\_\\share}" in text
    assert re.search(r"\{p\{0\.\d+\\linewidth\}r{6}p\{0\.\d+\\linewidth\}\}", text)
    assert "with_many_parts".replace("_", r"\_\allowbreak{}") in text


@given(st.text(), st.integers(1, 40))
def test_what_may_break_is_the_same_text(text, width):
    line = "".join(c if c.isprintable() else " " for c in text)
    assert breakable(line, width).replace(r"\allowbreak{}", "").replace("-{}", "-") == escaped(
        line
    ).replace("-{}", "-")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles_and_stays_within_the_page(tmp_path):
    hostile = [table(*HOSTILE, note="A note."), table(*HOSTILE * 2)]
    long = replace(WIDE, frame=pd.concat([WIDE.frame] * 3))
    tables = "".join(each.to_latex() for each in (*hostile, WIDE, long))
    source = (
        "\\documentclass{article}\\usepackage{booktabs,longtable}\\begin{document}\n"
        f"{tables}\\end{{document}}\n"
    )
    (tmp_path / "t.tex").write_text(source, "utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert [line for line in done.stdout.splitlines() if line.startswith("Overfull")] == []


# --- text


def test_lines_for_a_terminal():
    frame = pd.DataFrame({"category": ["loss_in_model", "no_loss"], "n": [3, 1200]})
    assert Table("t", "T", frame, "A note.").lines() == [
        "T",
        "",
        "category          n",
        "loss_in_model     3",
        "no_loss        1200",
        "",
        "A note.",
    ]


def test_a_table_without_rows_has_its_heads():
    empty = Table("t", "T", pd.DataFrame({"a": [], "b": []}))
    assert empty.to_csv() == "a,b\n"
    assert empty.lines() == ["T", "", "a  b"]
    assert latex_faults(empty.to_latex()) == ""
