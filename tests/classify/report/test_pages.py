"""Every page in a real browser, from a file: what it shows, where it leads, and what it never does."""

import csv
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from classify.classification import PLACEMENTS
from tests.classify.report.conftest import HOSTILE_ANSWER

pytestmark = pytest.mark.browser

PAGES = [
    "#/",
    "#/repositories",
    "#/repository?name=brackenmarsh/rbm-notes",
    "#/snippets",
    "#/snippets?q=loss",
    "#/snippet/{method}",
    "#/evaluation",
    "#/compare",
    "#/nowhere",
]
SIZES = [(360, 740), (1920, 1080)]


def method_of(run):
    """A method that is placed after questions about its whole class."""
    placed = run.read(PLACEMENTS)
    return placed[(placed["kind"] == "method") & placed["model_definition"].notna()].iloc[0]


def go(page, folder, address):
    page.goto("about:blank")
    page.goto(f"file://{folder}/index.html{address}")
    page.wait_for_selector("main h1")
    page.wait_for_function("() => !document.querySelector('.loading')")


def number(text):
    return int(re.search(r"[\d,]+", text).group().replace(",", ""))


def shown(page):
    return number(page.inner_text("p.result b"))


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="session")
def axe():
    """The text of axe-core, which finds what keeps people out."""
    found = find_spec("axe_playwright_python")
    if found is None:
        pytest.skip("axe-playwright-python is not installed")
    return (Path(found.submodule_search_locations[0]) / "axe.min.js").read_text("utf-8")


@pytest.mark.parametrize("address", PAGES)
def test_a_page_fits_and_shuts_nobody_out(page, reported, voted, axe, address):
    go(page, reported, address.format(method=method_of(voted[1])["snippet_id"]))
    page.evaluate(axe)
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            page.wait_for_timeout(50)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            found = page.evaluate(
                "axe.run({ preload: false, resultTypes: ['violations'] }).then((r) => r.violations"
                ".filter((v) => ['serious', 'critical'].includes(v.impact))"
                ".map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(' ')}`))"
            )
            assert found == [], (width, theme)


def test_the_numbers_are_those_of_the_paper_and_open_their_snippets(page, reported, voted):
    go(page, reported, "#/")
    table = {row["category"]: row for row in rows(voted[1].path("paper/table_4_1.csv"))}
    for category, row in table.items():
        cells = page.locator("table").first.locator(
            "tr", has=page.locator(f"th:text-is('{category}')")
        )
        cells = cells.or_(
            page.locator("table").first.locator(
                "tr", has=page.locator(f".p-{category.replace(' ', '_')}")
            )
        )
        told = [number(text) for text in cells.locator("td").all_inner_texts()]
        assert told == [int(row[c]) for c in ("instances", "repositories", "distinct_texts")]
    for column, listed in ((1, "p.result b"), (2, ".result b"), (3, "p.result b")):
        go(page, reported, "#/")
        cell = (
            page.locator("table")
            .first.locator("tr", has=page.locator(".p-loss_in_model"))
            .locator(f"td:nth-child({column + 1}) a")
        )
        expected = number(cell.inner_text())
        cell.click()
        page.wait_for_selector(listed)
        assert number(page.inner_text(listed)) == expected


def test_the_figures_are_those_of_the_paper(page, reported, voted):
    go(page, reported, "#/")
    page.click("summary:text('The numbers')")
    told = page.locator("details table tbody tr").all_inner_texts()
    expected = rows(voted[1].path("paper/figure_4_1.csv"))
    assert len(told) == len(expected)
    for line, row in zip(told, expected, strict=True):
        fields = line.split("\t")
        assert [fields[0], fields[1], fields[2], fields[3]] == [
            row["top"],
            row["repositories"],
            row["category"].replace("empty", "no loss at all"),
            row["holding"],
        ]
        assert fields[4] == f"{100 * float(row['share']):.1f} %"
    sets = sorted(
        (
            int(r["repositories"])
            for r in rows(voted[1].path("paper/figure_4_2.csv"))
            if r["repositories"] != "0"
        ),
        reverse=True,
    )
    assert [int(text) for text in page.locator(".upset-bar span").all_inner_texts()] == sets
    page.locator(".upset-bar").first.click()
    page.wait_for_selector(".filters")
    assert number(page.inner_text(".result b")) == sets[0]
    page.go_back()
    panel = page.locator(".panel").nth(1)
    panel.hover(position={"x": 40, "y": 60})
    assert "the first 1 repository" in page.inner_text(".readout")
    panel.focus()
    page.keyboard.press("ArrowRight")
    assert "the first 2 repositories" in page.inner_text(".readout")


FILTERS = [
    ("placement", "loss_in_model", lambda p, _: p["placement"] == "loss_in_model"),
    ("placement", "loss", lambda p, _: p["placement"].str.startswith("loss")),
    ("kind", "loop", lambda p, _: p["kind"] == "loop"),
    ("framework", "TensorFlow", lambda p, r: p["repository"].isin(r["TensorFlow"])),
    ("other", "different", lambda p, r: p["placement"] != r["other"]),
    ("gold", "wrong", lambda p, r: p["snippet_id"].isin(r["wrong"])),
]


@pytest.mark.parametrize(
    ("name", "value", "expected"), FILTERS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_a_filter_shows_what_it_says(page, reported, voted, sample, name, value, expected):
    from classify.gold import match, read_gold
    from mining.frameworks import FRAMEWORKS

    placed = voted[1].read(PLACEMENTS)
    frameworks = voted[1].read(FRAMEWORKS).sort_values("files", ascending=False, kind="stable")
    first = frameworks.drop_duplicates("repository")
    gold = match(read_gold(voted[0].evaluation.gold).rows, placed).rows
    known = {
        "TensorFlow": set(first.loc[first["framework"] == "TensorFlow", "repository"]),
        "other": sample[1].read(PLACEMENTS)["placement"],
        "wrong": set(gold.loc[gold["label"] != gold["placement"], "snippet_id"]),
    }
    go(page, reported, "#/snippets")
    assert shown(page) == len(placed)
    page.select_option(f"select[name={name}]", value)
    page.wait_for_function("() => document.querySelector('p.result').innerText.includes(' of ')")
    assert shown(page) == int(expected(placed, known).sum()) > 0
    assert f"{name}={value}" in page.url
    page.reload()  # what one sees stands in the address
    page.wait_for_selector("p.result b")
    assert page.input_value(f"select[name={name}]") == value


def test_margins_are_those_of_the_votes(page, reported, voted):
    go(page, reported, "#/snippets?sort=margin")
    margins = [
        int(text) for text in page.locator(".row:not(.head) > :nth-child(6)").all_inner_texts()
    ]
    assert margins == sorted(margins)
    assert margins[0] == 1
    page.locator(".row:not(.head) a").first.click()
    page.wait_for_selector(".votes")
    tallies = page.locator(".tally").all_inner_texts()
    leads = []
    for tally in tallies:
        yes, no = (
            int(m.group(1)) if (m := re.search(rf"(\d+) {word}", tally)) else 0
            for word in ("yes", "no")
        )
        leads.append(abs(yes - no))
    assert min(leads) == 1


def test_a_search_finds_every_snippet_with_the_text(page, reported, voted):
    from mining.extracted import Corpus

    corpus = Corpus(voted[1])
    texts = [s.text for r in corpus.repositories for s in corpus.snippets(r)]
    go(page, reported, "#/snippets")
    page.keyboard.press("/")
    for typed in ("CROSS_Entropy", "optimizer.step()", "no such text anywhere"):
        page.fill("#search", typed)
        page.wait_for_function(
            "(t) => location.hash.includes(new URLSearchParams({ q: t }).toString()) && document.querySelector('p.result').innerText.includes(t) && !document.querySelector('progress')",
            arg=typed,
        )
        expected = sum(typed.lower() in text.lower() for text in texts)
        page.wait_for_function(
            "(n) => document.querySelector('p.result b').innerText.startsWith(`${n} `)",
            arg=expected,
        )
    page.fill("#search", "optimizer.step()")
    page.wait_for_selector(".hit")
    assert "optimizer.step()" in page.locator(".hit code").first.inner_text()


def test_every_vote_on_the_way_is_shown_with_its_reasons_losing_ones_too(page, reported, voted):
    from classify.votes import reading

    row = method_of(voted[1])
    go(page, reported, f"#/snippet/{row['snippet_id']}")
    page.wait_for_selector(".votes")
    closed = page.locator(".path details:not([open])")
    while closed.count():
        closed.first.locator("summary").click()
    page.wait_for_function("() => !document.querySelector('.loading')")
    answers = page.locator(".answer").all_inner_texts()
    told = page.locator(".vote h3 .verdict").all_inner_texts()
    decided = [{True: "yes", False: "no"}[reading(a, "stop").decision] for a in answers]
    assert told == decided
    assert any("What I notice first" in answer for answer in answers)
    assert page.locator(".path > li.end .place").inner_text() == row["placement"]
    code = page.locator(".code .no").all_inner_texts()
    assert [int(n) for n in code] == list(range(row["start_line"], row["end_line"] + 1))


def test_the_reasons_of_the_rules_lead_to_the_lines_they_rest_on(page, sample):
    from classify import pipeline

    pipeline.report(*sample)
    placed = sample[1].read(PLACEMENTS)
    row = placed[(placed["placement"] == "loss_in_runner") & (placed["kind"] == "function")].iloc[0]
    go(page, sample[1].path("report"), f"#/snippet/{row['snippet_id']}")
    page.wait_for_selector(".line.marked")
    reasons = " ".join(page.locator(".reason").all_inner_texts())
    marked = {int(text) for text in page.locator(".line.marked .no").all_inner_texts()}
    assert marked == {int(n) for n in re.findall(r"line (\d+)", reasons, re.I)}
    page.locator(".to-line").first.click()


def test_keys_go_through_the_list_that_one_comes_from(page, reported):
    go(page, reported, "#/snippets?placement=loss_in_model")
    first = page.locator(".row:not(.head) a").first
    listed = [each.get_attribute("href") for each in page.locator(".row:not(.head) a").all()]
    first.focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_function(
        "(href) => document.activeElement.getAttribute('href') === href", arg=listed[1]
    )
    page.keyboard.press("Enter")
    at = 2
    for key, to in (("j", 3), ("k", 2), ("k", 1)):
        page.wait_for_selector(f"p.crumbs:has-text('{at} of {len(listed)}')")
        page.keyboard.press(key)
        page.wait_for_function("(href) => location.hash === href", arg=listed[to - 1])
        at = to
    page.wait_for_selector(f"p.crumbs:has-text('1 of {len(listed)}')")
    page.keyboard.press("u")
    page.wait_for_selector(".rows")
    assert page.evaluate("location.hash") == "#/snippets?placement=loss_in_model"


@pytest.mark.parametrize("start", ["#/evaluation", "#/compare"])
def test_a_cell_of_a_matrix_opens_its_snippets(page, reported, start):
    go(page, reported, start)
    cells = page.locator("table.matrix").first.locator("td.other a")
    expected = [number(text) for text in cells.all_inner_texts()]
    assert expected
    for place, count in enumerate(expected[:3]):
        cells.nth(place).click()
        page.wait_for_selector("p.result b")
        assert shown(page) == count
        page.go_back()
        page.wait_for_selector("table.matrix")


def test_repositories_are_sorted_by_any_column(page, reported):
    go(page, reported, "#/repositories")
    page.click("button.sort:text('Snippets')")
    counts = [number(text) for text in page.locator("tbody td:nth-child(4)").all_inner_texts()]
    assert counts == sorted(counts, reverse=True)
    assert page.locator("th[aria-sort=descending]").inner_text().startswith("Snippets")
    page.click("button.sort:text('Snippets')")
    counts = [number(text) for text in page.locator("tbody td:nth-child(4)").all_inner_texts()]
    assert counts == sorted(counts)
    page.locator("tbody th a").last.click()
    page.wait_for_selector("h2:text('Where its losses are')")


def test_printing_shows_rows_and_code_whole(page, reported):
    go(page, reported, "#/snippets")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.wait_for_selector(".rows.printed")
    assert page.locator(".row:not(.head)").count() > 200
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.querySelector('.top')).display") == "none"


def test_hostile_text_is_shown_and_nothing_of_it_happens(page, hostile):
    titles = []
    page.on("dialog", lambda dialog: (titles.append(dialog.message), dialog.dismiss()))
    for address in (
        "#/",
        "#/repositories",
        "#/repository?name=evil/repo",
        "#/snippets",
        "#/snippets?q=alert(1)",
        "#/<img src=x onerror=alert(1)>",
        "#/snippet/<script>alert(1)</script>",
        "#/repository?name=<script>alert(1)</script>",
    ):
        go(page, hostile, address)
        assert page.evaluate(
            "document.scripts.length === document.querySelectorAll('head script').length"
        )
        assert page.locator("main img, main script, main iframe").count() == 0
    go(page, hostile, "#/snippets")
    page.locator(".row a", has_text="loss").first.click()
    page.wait_for_selector(".answer")
    code = page.locator(".code").inner_text()
    assert "</script><script>document.title = 'owned'</script>" in code
    for mark in ("U+202E", "U+2066", "U+200B", "U+001B", "U+0007", "U+2028"):
        assert mark in code
    answer = page.locator(".answer").first.inner_text()
    assert "<script>document.title = 'owned'</script></textarea>" in answer
    assert "U+202E" in answer
    assert "U+001B" in answer
    assert "U+0000" in answer
    assert "<img src=x onerror=alert(1)>.py" in page.inner_text(".where")
    assert "owned" not in page.title()
    assert titles == []
    assert "{{7*7}}" in HOSTILE_ANSWER
    assert "{{7*7}}" in answer


def test_the_policy_forbids_scripts_that_are_not_the_report_s_own(page, reported):
    go(page, reported, "#/")
    blocked = page.evaluate(
        """() => {
            const found = [];
            document.addEventListener('securitypolicyviolation', (e) => found.push(e.effectiveDirective));
            try { document.body.innerHTML = '<b>x</b>'; } catch (e) { found.push(e.name); }
            try { document.createElement('script').src = 'data:,1'; } catch (e) { found.push(e.name); }
            return fetch('index.html').then(() => found, () => [...found, 'fetch']);
        }"""
    )
    page.trouble.clear()  # the browser says what it blocked
    assert blocked.count("TypeError") == 2
    assert "fetch" in blocked


def test_a_report_without_labels_or_votes_says_what_is_missing(page, tmp_path):
    from classify import pipeline
    from mining.artifacts import Run
    from mining.study import Study, override
    from tests.opening import classified

    place = tmp_path / "corpus" / "o__r" / "a.py"
    place.parent.mkdir(parents=True)
    place.write_text("def f():\n    return 1\n")
    study = override(Study(name="s"), corpus={"local": tmp_path / "corpus"})
    run = Run(tmp_path / "run")
    classified(study, run)
    pipeline.report(study, run)
    for address, told in (
        ("#/", "unplaced"),
        ("#/evaluation", "No hand labels"),
        ("#/compare", "--against"),
        ("#/snippets", "1 snippet"),
        ("#/repositories", "o/r"),
    ):
        go(page, run.path("report"), address)
        assert told in page.inner_text("main")


def test_a_missing_shard_is_an_error_that_says_so(page, reported, tmp_path):
    import shutil

    folder = shutil.copytree(reported, tmp_path / "report")
    (folder / "data" / "snippets.js").unlink()
    page.goto(f"file://{folder}/index.html#/snippets")
    page.wait_for_selector("main.broken")
    assert "data/snippets.js" in page.inner_text("main")
    page.trouble.clear()
