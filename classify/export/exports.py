"""Writes exports of a run, and reads back what hand labels come of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from classify.adjudication import agreement_lines
from classify.errors import GoldError
from classify.export import Format, argilla, huggingface, label_studio
from classify.export.database import write_database
from classify.export.snippets import only, snippets_table
from classify.labels import read_queue
from classify.readings import Readings, adjudicate
from classify.rendering import Table
from mining.artifacts import Run, whole, write_atomically
from mining.errors import InputError
from mining.licenses import licenses_of
from mining.study import Study
from mining.untrusted_json import json_of


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
            with new_folder(out) as folder:
                (folder / "data").mkdir()
                frame.to_parquet(folder / huggingface.DATA, index=False, compression="zstd")
                write_atomically(folder / "README.md", huggingface.data_card(study.name, frame))
        case Format.LABEL_STUDIO:
            with new_folder(out) as folder:
                write_atomically(folder / "tasks.json", label_studio.tasks(frame))
                write_atomically(folder / "interface.xml", label_studio.interface())
        case Format.ARGILLA:
            dataset = argilla.dataset(f"lossplace {study.name}")
            with new_folder(out) as folder:
                write_atomically(folder / argilla.RECORDS, argilla.records(frame))
                write_atomically(folder / argilla.SETTINGS, argilla.settings())
                write_atomically(folder / argilla.DATASET, dataset)
        case Format.CSV:
            write_atomically(out, Table("snippets", "", frame).to_csv())
        case Format.SQLITE:
            with whole(out) as temporary:
                write_database(temporary, study, run, frame)
    said = f"export: {len(frame)} snippets, {with_code} of them with their text"
    if with_code < len(frame):
        said += (
            "; of the others the licence does not let it be passed on, or is not known "
            "(--with-text if you know that it does)"
        )
    return [said, f"written to {out}"]


def import_labels(labels: Path, out: Path) -> list[str]:
    """Turn an export of Label Studio's or Argilla's (JSON) into gold; return what is to be said.

    A snippet that its readers labelled alike, be it one or more, has their label; any other is
    contested. Raises GoldError if the file is no such export, or ``out`` is the same file.
    """
    if out.exists() and labels.exists() and out.samefile(labels):
        raise GoldError(
            f"Expected another file for the gold than {labels}, which holds labels; choose one "
            "with --out."
        )
    try:
        readings = _readings(json_of(labels.read_text("utf-8")))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise GoldError(
            f"Expected an export of Label Studio or Argilla (JSON) at {labels}, found that it is "
            f"none ({reason}); export the project of Label Studio as JSON, not as JSON-MIN or CSV, "
            "or the records of Argilla by dataset.records.to_json."
        ) from error
    gold = adjudicate(readings, at_least=1)
    write_atomically(out, Table("gold", "", gold).to_csv())
    contested = int((gold["contested"] == "true").sum())
    readers = len(readings.labels.columns)
    said = f"import-labels: {len(gold)} labelled snippets, {contested} of them contested"
    compared = agreement_lines(readings) if readers > 1 else []
    return [f"{said}; {readers} readers", *compared, f"written to {out}"]


def _readings(exported: object) -> Readings:
    if not isinstance(exported, list):
        raise ValueError("not a list of tasks or records")
    if any(isinstance(each, dict) and "responses" in each for each in exported):
        return argilla.readings(exported)
    return label_studio.readings(exported)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder that comes to ``path`` when the block ends well.

    Raises InputError if something is there.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(
            f"Expected nothing, or an empty folder, at {path}, found something; give another "
            "--out, or delete it."
        )
    with whole(path) as folder:
        folder.mkdir()
        yield folder
