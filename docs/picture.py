"""Make the pictures of the report, docs/report*.png, from the sample study."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from classify import pipeline
from classify.classification import PLACEMENTS
from mining.opening import open_run, writing

HERE = Path(__file__).parent
SIZE = {"width": 1280, "height": 800}


def main() -> None:
    """Run the study, write its report, and take two pictures of it."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        opened = open_run(HERE.parent / "data/studies/sample.toml", Path(folder))
        with writing(*opened) as (study, run):
            for _ in pipeline.run_all(study, run):
                pass
            pipeline.report(study, run)
        placed = run.read(PLACEMENTS)
        shown = placed[(placed["placement"] == "loss_in_model_runner")].iloc[0]["snippet_id"]
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=SIZE)
        for view, name, seen in (
            ("#/", "report.png", ".upset"),
            (f"#/snippet/{shown}", "report_snippet.png", ".path"),
        ):
            page.goto(f"file://{run.path('report/index.html').resolve()}{view}")
            page.wait_for_selector(seen)
            page.wait_for_timeout(300)
            page.screenshot(path=HERE / name)
        browser.close()


if __name__ == "__main__":
    main()
