"""What of a run goes into its bundle, and what of it stays at home."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from classify.evidence import Evidence
from classify.schema import connect
from classify.store import Store
from classify.subjects import NamesLoss
from mining.artifacts import whole
from mining.errors import ArtifactError
from mining.records import Kind, Snippet
from mining.secrets import secret_names

ASKS = "asks.parquet"
NAMES_LOSS = "names_loss"


def leave_out_texts(path: Path, allows: Callable[[str], bool]) -> None:
    """Take the texts of repositories that ``allows`` does not name out of a table, in place."""
    _rewrite(path, lambda table: _blank(table, allows))


def note_names_loss(path: Path, names_loss: NamesLoss) -> None:
    """Add to a table of snippets, in place, whether each names a known loss function."""

    def noted(table: pa.Table) -> pa.Table:
        names = [
            names_loss(Snippet(**{**row, "kind": Kind(row["kind"])}))
            for row in table.select(_FIELDS).to_pylist()
        ]
        return table.append_column(NAMES_LOSS, pa.array(names, pa.bool_()))

    _rewrite(path, noted)


def leave_out_places(path: Path, private: Callable[[str], str]) -> None:
    """Pass the reasons in a table through ``private``, in place."""

    def without(table: pa.Table) -> pa.Table:
        column = table.schema.get_field_index("reason")
        reasons = [r and private(r) for r in table.column(column).to_pylist()]
        field = table.schema.field(column)
        return table.set_column(column, field, pa.array(reasons, field.type))

    _rewrite(path, without)


def write_votes(
    source: Path, target: Path, of: Evidence, code_goes_out: Callable[[str], bool]
) -> None:
    """Write the votes that placements rest on into a new store, the same bytes each time.

    A prompt's messages are left out unless its code goes out; those of the rules hold no code.
    """
    with Store(target):
        pass  # for its tables
    every_message = of.judge.kind == "rules"
    with closing(connect(target)) as store:
        store.create_function(
            "goes_out", 1, lambda code: every_message or code_goes_out(code), deterministic=True
        )
        store.execute("ATTACH ? AS run", (str(source),))
        store.execute("CREATE TEMP TABLE wanted (prompt_sha256 TEXT PRIMARY KEY)")
        store.execute("BEGIN")
        store.executemany(
            "INSERT OR IGNORE INTO wanted VALUES (?)", [(p,) for p in of.asks["prompt_sha256"]]
        )
        judge = (of.judge.sha256,)
        store.execute("INSERT INTO judges SELECT * FROM run.judges WHERE judge_sha256 = ?", judge)
        store.execute(
            "INSERT INTO prompts SELECT prompt_sha256, question, code_sha256,"
            " CASE WHEN goes_out(code_sha256) THEN messages ELSE '' END, version, template_sha256"
            " FROM run.prompts JOIN wanted USING (prompt_sha256) ORDER BY prompt_sha256"
        )
        store.execute("INSERT INTO provenances SELECT * FROM run.provenances")
        for table in ("votes", "failures"):
            columns = [row[1] for row in store.execute(f"PRAGMA main.table_info({table})")]
            store.execute(
                f"INSERT INTO {table} SELECT {', '.join(columns)} FROM run.{table}"
                " JOIN wanted USING (prompt_sha256) WHERE judge_sha256 = ?"
                " ORDER BY prompt_sha256",
                judge,
            )
        store.execute("COMMIT")
        store.execute("DETACH run")
        store.execute("PRAGMA journal_mode = DELETE")
        store.execute("VACUUM")


def check_no_secret(settings: Any, where: str) -> None:
    """Raise ArtifactError if a setting has the name of a credential, at any depth."""
    for name in secret_names(settings):
        raise ArtifactError(
            f"Expected no credential in {where}, found the setting {name!r}; a bundle is for "
            "others: give it to the engine by its environment, and classify again."
        )


_FIELDS = [field.name for field in dataclasses.fields(Snippet)]


def _blank(table: pa.Table, allows: Callable[[str], bool]) -> pa.Table:
    allowed = cache(allows)
    kept = pa.array([allowed(each) for each in table["repository"].to_pylist()], pa.bool_())
    column = table.schema.get_field_index("text")
    field = table.schema.field(column)
    texts = pc.if_else(kept, table.column(column), pa.scalar(None, field.type))
    return table.set_column(column, field, texts)


def _rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a table a row group at a time."""
    with whole(path) as temporary, pq.ParquetFile(path) as file:
        empty = change(file.schema_arrow.empty_table())
        with pq.ParquetWriter(temporary, empty.schema, compression="zstd") as writer:
            for number in range(file.num_row_groups):
                writer.write_table(change(file.read_row_group(number)))
