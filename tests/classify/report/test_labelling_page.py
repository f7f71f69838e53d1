"""Labelling in a real browser, against the server as the command starts it."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from classify.classification import PLACEMENTS
from classify.metrics import CATEGORIES, LOSSES

pytestmark = pytest.mark.browser

SNIPPETS = 4


@pytest.fixture
def queue(sample, tmp_path):
    """A queue of functions and methods of the sample run."""
    placed = sample[1].read(PLACEMENTS)
    chosen = placed[placed["kind"] == "method"].iloc[:: len(placed) // 20].head(SNIPPETS)
    path = tmp_path / "q.csv"
    chosen[["repository", "path", "start_line"]].to_csv(path, index=False)
    return path


def labels(queue, reader="ada"):
    path = queue.with_name(f"q.{reader}.csv")
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["label"], row["unknown_type"], row["note"]) for row in csv.DictReader(file)]


@contextmanager
def served(run, queue, port=0):
    """The command as a user starts it: its process, and where it says that labelling is."""
    command = [sys.executable, "-c", "from classify.cli import main; main()", "report"]
    options = ["--serve", "--port", str(port), "--queue", str(queue), "--reader", "ada"]
    process = subprocess.Popen(
        [*command, str(run.folder), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        for line in process.stdout:
            if found := re.search(r"labelling is at (http://127\.0\.0\.1:\d+)/label", line):
                yield process, found.group(1)
                return
        raise AssertionError("the server ended")
    finally:
        process.kill()
        process.wait()


def open_desk(page, base):
    page.goto(f"{base}/label")
    page.wait_for_selector(".code, h1")


def press(page, keys, queue, wait=True):
    """Press keys, and wait until each label that they make is on disk."""
    for key in keys:
        page.wait_for_selector("main[aria-busy=false] >> .code, h1:has-text('All')")
        before = labels(queue)
        page.keyboard.press(key)
        if wait:
            deadline = time.monotonic() + 60
            while labels(queue) == before and time.monotonic() < deadline:
                page.wait_for_timeout(20)


def test_one_key_labels_and_is_on_disk_before_the_next(page, sample, queue):
    with served(sample[1], queue) as (_, base):
        open_desk(page, base)
        press(page, "nm", queue)
        assert [row[0] for row in labels(queue)] == ["no_loss", "loss_in_model"]
        page.wait_for_selector("header:has-text('2 of 4')")
        press(page, "z", queue)
        page.wait_for_selector("header:has-text('1 of 4')")
        press(page, "u", queue, wait=False)
        page.wait_for_selector("text=What kind of standalone loss?")
        press(page, "z", queue, wait=False)
        page.wait_for_selector("button:has-text('no_loss')")
        press(page, "u", queue, wait=False)
        page.wait_for_selector("text=What kind of standalone loss?")
        press(page, "t", queue)
        assert labels(queue)[1][:2] == ("loss_unknown", "test")
        page.wait_for_selector("main[aria-busy=false] >> .code")
        page.keyboard.press("t")
        page.keyboard.type("n m why, though")
        page.keyboard.press("Enter")
        page.wait_for_selector("text=noted")
        press(page, "s", queue, wait=False)
        page.wait_for_selector("text=comes again at the end")
        press(page, "rb", queue)
        page.wait_for_selector("h1:has-text('All 4')")
        assert labels(queue)[2] == ("loss_in_model_runner", "", "n m why, though")
        assert labels(queue)[3] == ("loss_in_runner", "", "")


def test_two_tabs_lose_no_row_and_the_second_is_told(page, sample, queue):
    with served(sample[1], queue) as (_, base):
        open_desk(page, base)
        page.wait_for_selector(".code")
        second = page.context.new_page()
        open_desk(second, base)
        press(page, "nn", queue)
        press(second, "m", queue)
        second.wait_for_selector("[role=alert]:has-text('no_loss')")
        assert [row[0] for row in labels(queue)] == ["loss_in_model", "no_loss"]
        for each in (page, second):  # else the end of the server would be its trouble
            each.wait_for_selector("main[aria-busy=false]")


def test_labels_outlive_a_killed_server_and_the_page_says_what_is_not_saved(page, sample, queue):
    with served(sample[1], queue) as (process, base):
        open_desk(page, base)
        press(page, "nm", queue)
        page.wait_for_selector("header:has-text('2 of 4')")
        page.wait_for_selector(".code")
        process.send_signal(signal.SIGKILL)
        process.wait()
        page.keyboard.press("b")
        page.wait_for_selector("[role=alert]:has-text('Not saved')")
    assert [row[0] for row in labels(queue)] == ["no_loss", "loss_in_model"]
    with served(sample[1], queue, int(base.rpartition(":")[2])) as (_, again):
        assert again == base
        page.keyboard.press("b")
        page.wait_for_selector("header:has-text('3 of 4')")
    page.trouble.clear()  # the browser says that the server was gone


def test_the_terminal_goes_on_with_what_the_page_labelled(page, sample, queue, monkeypatch, capsys):
    from classify.labelling import label_queue

    keys = iter("bq")
    with served(sample[1], queue) as (_, base):
        open_desk(page, base)
        press(page, "n", queue)
        label_queue(sample[1], queue, "ada", ask=lambda _: next(keys))
        assert "1 of 4 labelled" in capsys.readouterr().out
        page.wait_for_selector(".code")
        press(page, "m", queue)
        page.wait_for_selector("[role=alert]:has-text('loss_in_model_runner')")
    assert [row[0] for row in labels(queue)] == ["no_loss", "loss_in_model"]


def test_a_reader_is_blind_to_the_judge(page, sample, queue):
    loaded = []
    page.on("response", lambda response: loaded.append(response))
    with served(sample[1], queue) as (_, base):
        open_desk(page, base)
        page.wait_for_selector(".code")
        texts = {response.url: response.text() for response in loaded}
    assert not any("/data/" in url for url in texts)
    for url, text in texts.items():
        if "/label/snippet" in url:
            assert not any(category in text for category in CATEGORIES)
        if "/label/queue" in url:
            assert not any(f'"category":"{loss}"' in text for loss in LOSSES)
            assert "placement" not in text


def test_the_desk_is_for_everybody(page, sample, queue):
    import axe_playwright_python

    axe = (__import__("pathlib").Path(axe_playwright_python.__path__[0]) / "axe.min.js").read_text()
    with served(sample[1], queue) as (_, base):
        open_desk(page, base)
        page.wait_for_selector(".code")
        page.evaluate(axe)
        for width in (360, 1920):
            page.set_viewport_size({"width": width, "height": 800})
            for theme in ("light", "dark"):
                page.emulate_media(color_scheme=theme)
                page.wait_for_timeout(50)
                found = page.evaluate(
                    "axe.run({ preload: false }).then((r) => r.violations"
                    ".filter((v) => ['serious', 'critical'].includes(v.impact)).map((v) => v.id))"
                )
                assert found == []
                assert page.evaluate("document.documentElement.scrollWidth") <= width
