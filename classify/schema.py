"""Opens a store of votes so that a hostile one can do no harm: its schema must be ours.

See https://www.sqlite.org/security.html, "Untrusted SQLite Database Files".
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from functools import cache
from pathlib import Path

from classify.migrations import MIGRATIONS

MOST_BYTES = 64 * 2**20
"""Of one text in a store. A longer one is damage: no answer and no prompt comes near it."""


def connect(path: Path) -> sqlite3.Connection:
    """Open a store. Transactions are the caller's.

    Raises sqlite3.DatabaseError if the file holds what lossplace did not make and what runs when
    lossplace reads or writes: triggers, views, virtual tables, tables with other columns. Further
    tables and indexes, as who reads the store may have added, are let be.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version <= len(MIGRATIONS):  # what a later lossplace makes is not known
            _check(connection, max(0, version))
            # our own view calls json_extract, which some releases of SQLite do not trust
            connection.execute("PRAGMA trusted_schema = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _check(connection: sqlite3.Connection, version: int) -> None:
    ours = _schema_of(version)
    found: dict[str, tuple[str, str]] = {}
    for kind, name, sql in connection.execute("SELECT type, name, sql FROM sqlite_schema"):
        made = found[str(name)] = str(kind), _plain(str(sql or ""))
        runs = kind in ("trigger", "view") or made[1].startswith("createvirtual")
        if runs and ours.get(str(name)) != made:
            raise sqlite3.DatabaseError(f"it holds a {kind} {name!r} that is not lossplace's")
    for name, made in ours.items():
        if found.get(name) != made:
            raise sqlite3.DatabaseError(f"its {made[0]} {name!r} is not lossplace's")


@cache
def _schema_of(version: int) -> dict[str, tuple[str, str]]:
    """Return what the migrations up to a version make: kind and text of each object, by name."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for migrate in MIGRATIONS[:version]:
            migrate(connection)
        rows = connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall()
    return {name: (kind, _plain(sql or "")) for kind, name, sql in rows}


def _plain(sql: str) -> str:
    """Return a statement without what releases of SQLite write differently."""
    return re.sub(r'[\s"`\[\]]+', "", sql).lower()
