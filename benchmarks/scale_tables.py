"""The tables of docs/scale.md, from the figures of the other benchmarks; measures nothing.

    python benchmarks/scale_tables.py [--write]

Prints three tables: extraction beside its peers, the growth of each stage, and what a million
repositories would cost, with the arithmetic and the command that each input figure comes from.
``--write`` puts them into docs/scale.md, each between its two comments.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.measuring import RESULTS  # noqa: E402

PAGE = ROOT / "docs" / "scale.md"
REPOSITORIES = 1_000_000

# what no benchmark here measured; docs/scale.md has the sources
SEARCHES_A_MINUTE = 30
RESULTS_A_PAGE = 100
GPU_TOKENS_PER_S = 52_415.9 / 8 / 3
GPU_PRICE_PER_HOUR = 2.7
ANSWER_TOKENS = 250
MEMORY_GIB = 64
"""Of the machine that is said to run out of it."""


@dataclass(frozen=True, slots=True)
class Input:
    """A figure that the arithmetic starts from."""

    name: str
    value: float
    unit: str
    source: str


def main() -> None:
    """Print the tables, or write them."""
    parser = argparse.ArgumentParser(description="Tables of docs/scale.md.")
    parser.add_argument("--write", action="store_true", help="put them into docs/scale.md")
    options = parser.parse_args()
    growing = result("scaling", "REPOSITORIES")
    extraction = result("extraction", "REPOSITORIES")
    inputs = inputs_of(growing, extraction)
    tables = {
        "extraction": extraction_table(extraction),
        "growth": growth_table(growing),
        "inputs": inputs_table(inputs),
        "million": million_table({each.name: each.value for each in inputs}),
    }
    page = PAGE.read_text("utf-8") if options.write else ""
    for name, lines in tables.items():
        if options.write:
            page = replaced(page, name, lines)
        else:
            print("\n".join(["", *lines]))
    if options.write:
        PAGE.write_text(page, "utf-8")
        print(f"written to {PAGE}")


def result(name: str, arguments: str = "") -> dict[str, Any]:
    """Return the figures of a benchmark. Raises SystemExit where it was not run."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        raise SystemExit(f"No {path}: run `python benchmarks/{name}.py {arguments}` first.")
    fields: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return fields


def replaced(page: str, name: str, lines: Iterable[str]) -> str:
    """Return the page with other lines between the comments of a table."""
    begin, end = f"<!-- {name}: benchmarks/scale_tables.py -->\n", f"<!-- /{name} -->"
    between = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not between.search(page):
        raise SystemExit(f"No comments {begin.strip()} and {end} in {PAGE}.")
    return between.sub(lambda _: begin + "\n".join([*lines, ""]) + end, page)


def extraction_table(found: dict[str, Any]) -> list[str]:
    """Return `lossplace extract` beside what else reads Python."""
    speed = found["speed"]
    ours, two = speed["lossplace"], speed["lossplace, two cores"]
    parse = speed["tree-sitter, parse"]
    rows = [
        [
            "`lossplace extract`, one core",
            f"{ours['mb_per_s']:.1f}",
            f"{ours['ratio']['median']:.2f} ({ours['ratio']['min']:.2f} to "
            f"{ours['ratio']['max']:.2f})",
            f"{found['peers'][0]['functions']:,}",
            f"{found['peers'][0]['files_not_read']}",
        ],
        [
            "`lossplace extract`, two cores",
            f"{two['mb_per_s']:.1f}",
            f"{two['times_one_core']:.2f} times one core",
            "",
            "",
        ],
        [
            "tree-sitter, parse, two at once",
            f"{speed['tree-sitter, parse, two cores']['mb_per_s']:.1f}",
            f"{speed['tree-sitter, parse, two cores']['times_one_core']:.2f} times one core",
            "",
            "",
        ],
    ]
    for peer in found["peers"][1:]:
        alone = peer["peer"] == "tree-sitter, parse"
        rate = parse["mb_per_s"] if alone else peer["ratio"] * parse["mb_per_s"]
        functions = "" if peer["functions"] is None else f"{peer['functions']:,}"
        rows.append(
            [
                str(peer["peer"]),
                f"{rate:.1f}",
                f"{peer['ratio']:.2f}",
                functions,
                f"{peer['files_not_read']}",
            ]
        )
    sizes = ", ".join(
        f"{row['times_one_core']:.2f} times one core and {row['peak_mib']} MiB at "
        f"{row['megabytes']:.0f} MB"
        for row in found["growth"]
    )
    return [
        *markdown(["", "MB/s", "Of the parse", "Functions found", "Files not read"], rows),
        "",
        f"{found['files']:,} files of {found['repositories']} real repositories, "
        f"{found['megabytes']:.0f} MB, median of {found['pairs']} turns; peers and functions on a "
        f"sample of the files. Two cores, with the peak memory of all processes, as the corpus "
        f"grows: {sizes}.",
    ]


def growth_table(found: dict[str, Any]) -> list[str]:
    """Return what each stage takes at each size, and its exponents."""
    exponents = {(row["series"], row["stage"]): row for row in found["growth"]}
    lines: list[str] = []
    for series in dict.fromkeys(row["series"] for row in found["rows"]):
        sizes = [row for row in found["rows"] if row["series"] == series]
        heads = [f"{row['repositories']:,} ({row['megabytes']:.2g} MB)" for row in sizes]
        rows = []
        for stage in sizes[0]["stages"]:
            taken = [row["stages"][stage] for row in sizes]
            growth = exponents.get((series, stage), {})
            rows.append(
                [
                    f"`{stage}`",
                    *(
                        f"{each['seconds']:.1f} s, {each['peak_mib']:.0f} MiB, "
                        f"{each['disk_bytes'] / 1e6:.2g} MB"
                        for each in taken
                    ),
                    ", ".join(
                        "-" if growth.get(key) is None else f"{growth[key]:.2f}"
                        for key in ("seconds", "peak_mib", "disk_bytes")
                    ),
                ]
            )
        lines += [
            *([""] if lines else []),
            f"Repositories: {series}.",
            "",
            *markdown(["", *heads, "Exponents"], rows),
        ]
    return lines


def inputs_of(growing: dict[str, Any], extraction: dict[str, Any]) -> list[Input]:
    """Return the figures that the arithmetic starts from."""
    real = [row for row in growing["rows"] if row["series"] == "real"]
    if not real:
        raise SystemExit("No real repositories in results/scaling.json: run it with them.")
    largest = max(real, key=lambda row: row["repositories"])
    count = largest["repositories"]
    stages = largest["stages"]
    search = result("search")["populations"][0]
    fetch = result("fetch", "FOLDER")["total"]
    cloned = fetch["code"]["repositories"]
    votes = result("votes", "savings REPOSITORIES")
    paper = result("paper_scale")
    lossless = max(
        (step for step in votes["savings"]["steps"] if step["lossless"]),
        key=lambda step: step["times_fewer"]["tokens"],
    )
    gated = next(s for s in votes["savings"]["steps"] if s["saving"] == "and the rules gate")
    snippets = votes["savings"]["snippets"]
    memory = votes["memory"]
    peak = max(row["peak_mib"] for row in paper["rows"])
    scaling = f"`scaling.py`, {count} real repositories"
    return [
        Input("searches", search["requests_by_least"], "of the fewest requests", "`search.py`"),
        Input("clone_bytes", fetch["code"]["bytes"] / cloned, "B/repository", "`fetch.py`"),
        Input("clone_s", fetch["code"]["seconds"] / cloned, "s/repository", "`fetch.py`"),
        Input("clone_disk", fetch["disk_bytes"] / cloned, "B/repository", "`fetch.py`"),
        Input("python_bytes", largest["megabytes"] * 1e6 / count, "B/repository", scaling),
        Input("snippets", largest["snippets"] / count, "per repository", scaling),
        Input(
            "extract_rate",
            extraction["speed"]["lossplace"]["mb_per_s"] * 1e6,
            "B/s and core",
            "`extraction.py`",
        ),
        Input("tables", stages["extract"]["disk_bytes"] / count, "B/repository", scaling),
        Input(
            "rules_rate",
            largest["snippets"] / stages["classify"]["processor_s"],
            "snippets/s and core",
            scaling,
        ),
        Input("rules_disk", stages["classify"]["disk_bytes"] / count, "B/repository", scaling),
        Input("votes", lossless["votes"] / snippets, "per snippet", "`votes.py savings`"),
        Input(
            "votes_gated",
            gated["votes"] / snippets,
            "per snippet, rules gate",
            "`votes.py savings`",
        ),
        Input(
            "vote_bytes", memory["store_mib"] * 2**20 / memory["votes"], "B", "`votes.py memory`"
        ),
        Input("store_rate", memory["votes"] / memory["seconds"], "votes/s", "`votes.py memory`"),
        Input(
            "classify_memory",
            (memory["peak_mib"] - memory["of_which_before_classifying_mib"])
            * 2**20
            / memory["snippets"],
            "B/snippet",
            "`votes.py memory`",
        ),
        Input(
            "paper_memory", peak * 2**20 / paper["placements"], "B/placement", "`paper_scale.py`"
        ),
    ]


def inputs_table(inputs: Sequence[Input]) -> list[str]:
    """Return the inputs with their sources."""
    rows = [[f"`{i.name}`", f"{figure(i.value)} {i.unit}", i.source] for i in inputs]
    return markdown(["Input", "Figure", "Measured by"], rows)


def million_table(of: dict[str, float]) -> list[str]:
    """Return what a million repositories cost, with the arithmetic."""
    n = REPOSITORIES
    requests = n / RESULTS_A_PAGE * of["searches"]
    snippets = n * of["snippets"]
    searching = requests * 60 / SEARCHES_A_MINUTE
    git = n * of["clone_s"]
    extracting = n * of["python_bytes"] / of["extract_rate"]
    rows = [
        ("Search, one token", "n / 100 x `searches` / 30 a minute", hours(searching)),
        ("Fetch, over the line", "n x `clone_bytes`", size(n * of["clone_bytes"])),
        ("Fetch, time of git", "n x `clone_s`; by 16 at once", f"{hours(git)}; {hours(git / 16)}"),
        ("Fetch, disk", "n x `clone_disk`", size(n * of["clone_disk"])),
        ("Extract, core hours", "n x `python_bytes` / `extract_rate`", hours(extracting)),
        ("Extract, disk", "n x `tables`", size(n * of["tables"])),
        ("Snippets", "n x `snippets`", f"{figure(snippets)}"),
        ("Rules, core hours", "snippets / `rules_rate`", hours(snippets / of["rules_rate"])),
        ("Rules, disk", "n x `rules_disk`", size(n * of["rules_disk"])),
    ]
    for name, key in (("lossless savings", "votes"), ("and the rules gate", "votes_gated")):
        votes = snippets * of[key]
        gpu = votes * ANSWER_TOKENS / GPU_TOKENS_PER_S / 3600
        at_rate = f"votes x {ANSWER_TOKENS} / {GPU_TOKENS_PER_S:,.0f}"
        rows += [
            (f"Model, votes, {name}", f"snippets x `{key}`", figure(votes)),
            (f"Model, GPU hours, {name}", at_rate, f"{gpu:,.0f} h"),
            (
                f"Model, money, {name}",
                f"GPU hours x {GPU_PRICE_PER_HOUR} $",
                f"{gpu * GPU_PRICE_PER_HOUR:,.0f} $",
            ),
            (f"Votes on disk, {name}", "votes x `vote_bytes`", size(votes * of["vote_bytes"])),
            (f"Votes, one writer, {name}", "votes / `store_rate`", hours(votes / of["store_rate"])),
        ]
    for name, key in (("`classify` by a model", "classify_memory"), ("`paper`", "paper_memory")):
        most = MEMORY_GIB * 2**30 / of[key] / of["snippets"]
        rows.append(
            (
                f"Memory of {name}",
                f"snippets x `{key}`; {MEMORY_GIB} GiB / `{key}` / `snippets`",
                f"{size(snippets * of[key])}; {MEMORY_GIB} GiB suffice for {figure(most)} "
                "repositories",
            )
        )
    return markdown(["", "Arithmetic (n = 1,000,000)", ""], [list(row) for row in rows])


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a table in Markdown."""
    lines = [list(heads), ["---"] * len(heads), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def figure(value: float) -> str:
    """Return a number to three digits, with a word for the large ones."""
    for power, word in ((9, " billion"), (6, " million")):
        if value >= 10**power:
            return f"{value / 10**power:.3g}{word}"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def size(count: float) -> str:
    """Return a number of bytes in the unit that suits."""
    for power, unit in ((12, "TB"), (9, "GB"), (6, "MB")):
        if count >= 10**power:
            return f"{count / 10**power:.3g} {unit}"
    return f"{count / 1000:.3g} kB"


def hours(seconds: float) -> str:
    """Return a time in hours."""
    return f"{figure(seconds / 3600)} h"


if __name__ == "__main__":
    main()
