"""Writes exports of a run, and reads back what hand labels come of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from classify.errors import GoldError
from classify.export import Format, huggingface, label_studio
from classify.export.database import write_database
from classify.export.snippets import only, snippets_table
from classify.labels import read_queue
from classify.rendering import Table
from mining.artifacts import Run, write_atomically
from mining.errors import InputError
from mining.licenses import licenses_of
from mining.study import Study


def export(
    study: Study,
    run: Run,
    format: Format,
    out: Path,
    *,
    with_text: bool = False,
    queue: Path | None = None,
) -> list[str]:
    """Write the snippets of a run with their placements to ``out``; return what is to be said.

    ``queue`` (CSV with repository, path, start_line; others are kept) limits them to its own, in
    its order. Raises InputError if ``out`` is a folder that is not empty where one is to be
    written, GoldError if the run lacks a snippet of the queue, ArtifactError if it is not placed.
    """
    licenses = licenses_of(run, with_text=with_text)
    frame = snippets_table(run, licenses)
    if queue is not None:
        frame = only(frame, read_queue(queue))
    with_code = int(frame["text"].notna().sum())
    match format:
        case Format.HUGGINGFACE:
            folder = new_folder(out)
            (folder / "data").mkdir()
            frame.to_parquet(folder / huggingface.DATA, index=False, compression="zstd")
            write_atomically(folder / "README.md", huggingface.data_card(study.name, frame))
        case Format.LABEL_STUDIO:
            folder = new_folder(out)
            write_atomically(folder / "tasks.json", label_studio.tasks(frame))
            write_atomically(folder / "interface.xml", label_studio.interface())
        case Format.CSV:
            write_atomically(out, Table("snippets", "", frame).to_csv())
        case Format.SQLITE:
            replacing(out, lambda temporary: write_database(temporary, study, run, frame))
    said = f"export: {len(frame)} snippets, {with_code} of them with their text"
    if with_code < len(frame):
        said += (
            "; of the others the licence does not let it be passed on, or is not known "
            "(--with-text if you know that it does)"
        )
    return [said, f"written to {out}"]


def import_labels(labels: Path, out: Path) -> list[str]:
    """Turn an export of Label Studio's (JSON) into a gold file; return what is to be said.

    Raises GoldError if it is no such export.
    """
    try:
        frame = label_studio.gold(labels.read_text("utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise GoldError(
            f"Expected an export of Label Studio (JSON) at {labels}, found that it is none "
            f"({reason}); export the project as JSON, not as JSON-MIN or CSV."
        ) from error
    write_atomically(out, Table("gold", "", frame).to_csv())
    contested = int((frame["contested"] == "true").sum())
    return [
        f"import-labels: {len(frame)} labelled snippets, {contested} of them contested",
        f"written to {out}",
    ]


def new_folder(path: Path) -> Path:
    """Make an empty folder at ``path``. Raises InputError if something is there."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(
            f"Expected nothing, or an empty folder, at {path}, found something; give another "
            "--out, or delete it."
        )
    path.mkdir(parents=True, exist_ok=True)
    return path


def replacing(path: Path, write: Callable[[Path], None]) -> None:
    """Have ``write`` make a file at a temporary path, and put it whole or not at all in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
