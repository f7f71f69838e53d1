"""The snippets of a run with their placements, licences and permalinks: what every format holds."""

from __future__ import annotations

import pandas as pd

from classify.classification import PLACEMENTS
from classify.errors import GoldError
from classify.labelling import permalink
from classify.labels import Queue
from classify.subjects import COLUMNS as PLACEMENT_COLUMNS
from classify.subjects import SNIPPET_COLUMNS
from mining.artifacts import Run
from mining.errors import ArtifactError
from mining.extracted import Corpus
from mining.licenses import Licenses

OF_SNIPPET = {
    "snippet_id": "str",
    "repository": "str",
    "commit": "str",
    "path": "str",
    "start_line": "int64",
    "end_line": "int64",
    "kind": "str",
    "qualname": "str",
    "class_qualname": "str",
    "code_sha256": "str",
}
LEFT_OUT = "The text is left out; read it at the address above."
"""What a labelling tool shows in place of a text that may not be passed on."""
OF_PLACEMENT = [name for name in PLACEMENT_COLUMNS if name not in SNIPPET_COLUMNS]
"""What the judge says of a snippet: nothing for a reader to see."""
COLUMNS = {
    **OF_SNIPPET,
    "license": "str",
    "permalink": "str",
    **{name: PLACEMENT_COLUMNS[name] for name in OF_PLACEMENT},
    "text": "str",
}
"""Of ``snippets_table``. ``license`` is an SPDX identifier, null where none is known;
``permalink`` is null where the commit is not; ``text`` where it may not be passed on."""


def snippets_table(run: Run, licenses: Licenses) -> pd.DataFrame:
    """Return one row for each snippet, in the order of the corpus, with ``COLUMNS``.

    Raises ArtifactError if the run is not placed, or not as it is extracted now.
    """
    corpus = Corpus(run, without_texts=True)
    rows = [
        (
            *(getattr(snippet, name) for name in OF_SNIPPET),
            licenses.of.get(repository),
            permalink(snippet),
            (snippet.text or None) if licenses.allows(repository) else None,
        )
        for repository in corpus.repositories
        for snippet in corpus.snippets(repository)
    ]
    frame = pd.DataFrame(rows, columns=[*OF_SNIPPET, "license", "permalink", "text"])
    placements = run.read(PLACEMENTS)
    if frame["snippet_id"].tolist() != placements["snippet_id"].tolist():
        raise ArtifactError(
            f"Expected a placement of each snippet in {run.folder}, found those of others; run "
            "`lossplace classify` first."
        )
    return pd.concat([frame, placements[OF_PLACEMENT]], axis=1)[list(COLUMNS)].astype(COLUMNS)


def only(frame: pd.DataFrame, queue: Queue) -> pd.DataFrame:
    """Return the rows of a queue's snippets, in its order, with the queue's further columns.

    Raises GoldError if one is not there.
    """
    places = zip(frame["repository"], frame["path"], frame["start_line"], strict=True)
    rows = {key: number for number, key in reversed(list(enumerate(places)))}
    missing = [key for key in queue.rows if key not in rows]
    if missing:
        raise GoldError(
            f"Expected every snippet of the queue in the run, found no "
            f"{' '.join(map(str, missing[0]))} ({len(missing)} missing); give the run that the "
            "queue was drawn from."
        )
    chosen = frame.iloc[[rows[key] for key in queue.rows]].reset_index(drop=True)
    for name in queue.columns:
        if name not in chosen.columns:
            chosen[name] = [row[name] for row in queue.rows.values()]
    return chosen
