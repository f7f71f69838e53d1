"""What a ranking leaves to be judged: extracted snippets of selected repositories, not placed."""

from __future__ import annotations

from mining.artifacts import Run
from mining.extraction import SNIPPETS
from mining.rank import RANKING


def unplaced_lines(run: Run) -> list[str]:
    """Say how many snippets of the selected repositories need new verdicts, in a line.

    Says nothing before anything was extracted. A snippet that is placed already needs none; of
    the others fewer prompts may be due, since equal code is judged once.
    """
    if not run.path(SNIPPETS).exists():
        return []
    if not run.is_sound(SNIPPETS):
        return [_unknown(run, SNIPPETS, "extract")]
    # the judges come with it, for which a ranking before the first extraction need not wait
    from classify.classification import PLACEMENTS

    ranking = run.read(RANKING, ["repository", "selected"])
    selected = ranking.loc[ranking["selected"], "repository"]
    snippets = run.read(SNIPPETS, ["repository", "snippet_id"])
    snippets = snippets[snippets["repository"].isin(selected)]
    unplaced = len(snippets)
    if run.is_sound(PLACEMENTS):
        placed = run.read(PLACEMENTS, ["snippet_id", "placement"]).dropna()["snippet_id"]
        unplaced -= int(snippets["snippet_id"].isin(placed).sum())
    elif run.path(PLACEMENTS).exists():
        return [_unknown(run, PLACEMENTS, "classify")]
    return [
        f"  {unplaced} of the {len(snippets)} extracted snippets of selected repositories need "
        "new verdicts"
    ]


def _unknown(run: Run, name: str, command: str) -> str:
    return (
        f"  how many snippets need new verdicts is not known: {run.path(name)} cannot be read; "
        f"`lossplace {command}` makes it anew"
    )
