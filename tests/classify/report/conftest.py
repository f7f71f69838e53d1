"""Runs and their reports, made once a session; and the browser that opens them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from classify import pipeline
from mining.artifacts import Run
from mining.opening import open_run
from mining.study import Study, override, read_study
from tests.classify.report.voters import vote
from tests.opening import classified

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "data" / "studies" / "sample.toml"


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    """The sample study, judged by the rules: (study, run)."""
    study, run = read_study(SAMPLE), Run(tmp_path_factory.mktemp("sample") / "run")
    classified(study, run)
    return study, run


@pytest.fixture(scope="session")
def voted(tmp_path_factory):
    """The sample study, judged by a model that votes five times: (study, run)."""
    run = vote(read_study(SAMPLE), tmp_path_factory.mktemp("voted") / "run")
    return open_run(run.folder)


@pytest.fixture(scope="session")
def reported(sample, voted):
    """The folder of the voted run's report, against that of the rules."""
    pipeline.report(*voted, against=sample)
    return voted[1].path("report")


HOSTILE = {
    "evil__repo/a b/<img src=x onerror=alert(1)>.py": (
        "def loss(a, b):\n"
        "    '''</script><script>document.title = 'owned'</script>\n"
        "    <img src='https://example.invalid/x' onerror='document.title = 1'>\n"
        "    {{ constructor.constructor('alert(1)')() }} ${alert(1)} <%= 1 %>\n"
        "    '''\n"
        "    s = '\u202ereversed\u2066 \u200b \x1b[31mred\x07 \u2028'\n"
        "    return ((a - b) ** 2).mean() + 0.1 * a.abs().sum()\n"
        "for x in data:\n"
        "    loss = criterion(x) + 0.1 * other_loss(x)\n"
        "    loss.backward()\n"
        "    optimizer.step()\n"
    ),
}
HOSTILE_ANSWER = (
    "<script>document.title = 'owned'</script></textarea><img src=//example.invalid/y onerror=1>"
    "\u202e\u2066\x1b]0;owned\x07\x00 javascript:alert(1) {{7*7}}\nDecision: True"
)


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    """The folder of a report whose code, names and answers all attack who reads them."""
    from tests.classify.judges.llm_server import completion

    folder = tmp_path_factory.mktemp("hostile")
    for path, text in HOSTILE.items():
        place = folder / "corpus" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")
    study = override(Study(name="hostile"), corpus={"local": folder / "corpus"})
    run = vote(
        study, folder / "run", lambda body: completion([HOSTILE_ANSWER] * body["n"]), votes=2
    )
    pipeline.report(*open_run(run.folder))
    return run.path("report")


@pytest.fixture
def copied(sample, tmp_path):
    """A copy of the sample run, to be worked on."""
    return sample[0], Run(shutil.copytree(sample[1].folder, tmp_path / "run"))


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium, without a window."""
    pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium on the PATH (.ci/install-chromium installs it)")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser):
    """A page that notes every request, and fails the test for any error or foreign request."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    trouble, foreign = [], []
    opened.on("pageerror", lambda error: trouble.append(error.message))
    opened.on("console", lambda said: trouble.append(said.text) if said.type == "error" else None)
    opened.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("file:", "http://127.0.0.1", "data:", "about:"))
            else foreign.append(request.url)
        ),
    )
    opened.trouble = trouble
    yield opened
    context.close()
    assert foreign == []
    assert trouble == []
