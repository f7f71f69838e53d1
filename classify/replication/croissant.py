"""Croissant metadata of a bundle: its files with their hashes, its tables with their columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from classify.replication.manifest import AUTHORS
from mining.artifacts import file_sha256

CROISSANT = "croissant.json"

_VOCABULARY = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the format prescribes."""

_ENCODINGS = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".md": "text/markdown",
    ".parquet": "application/x-parquet",
    ".sqlite": "application/vnd.sqlite3",
    ".txt": "text/plain",
}


def croissant(
    folder: Path,
    name: str,
    description: str,
    licenses: Sequence[str],
    cite_as: str,
    version: str,
    published: datetime | None,
) -> str:
    """Describe the data files of a folder in JSON-LD (Croissant 1.0).

    Each Parquet file is a record set. ``licenses`` are SPDX identifiers of what is inside.
    """
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix in _ENCODINGS
        and not path.name.endswith(".meta.json")
        and path.name not in AUTHORS
    ]
    described: dict[str, Any] = {
        "@context": _VOCABULARY,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": description,
        "citeAs": cite_as,
        "version": version,
        "license": [f"https://spdx.org/licenses/{each}.html" for each in licenses],
        "distribution": [_file(folder, path) for path in files],
        "recordSet": [
            _record_set(path.relative_to(folder).as_posix(), pq.read_schema(path))
            for path in files
            if path.suffix == ".parquet"
        ],
    }
    if published is not None:
        described["datePublished"] = published.date().isoformat()
    return json.dumps({k: v for k, v in described.items() if v != []}, indent=1) + "\n"


def _file(folder: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(folder).as_posix()
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{path.stat().st_size} B",
        "encodingFormat": _ENCODINGS[path.suffix],
        "sha256": file_sha256(path),
    }


def _record_set(name: str, schema: pa.Schema) -> dict[str, Any]:
    record_set = name.removesuffix(".parquet").replace("/", "_")
    return {
        "@type": "cr:RecordSet",
        "@id": record_set,
        "name": record_set,
        "field": [_field(record_set, name, column) for column in schema],
    }


def _field(record_set: str, file: str, column: pa.Field[Any]) -> dict[str, Any]:
    repeated = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    element = column.type.value_type if repeated else column.type
    described: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{record_set}/{column.name}",
        "name": column.name,
        "dataType": _data_type(element),
        "source": {"fileObject": {"@id": file}, "extract": {"column": column.name}},
    }
    if repeated:
        described["repeated"] = True
    return described


def _data_type(type_: pa.DataType) -> str:
    kinds: Mapping[str, bool] = {
        "sc:Boolean": pa.types.is_boolean(type_),
        "sc:Integer": pa.types.is_integer(type_),
        "sc:Float": pa.types.is_floating(type_),
        "sc:DateTime": pa.types.is_timestamp(type_),
    }
    return next((name for name, holds in kinds.items() if holds), "sc:Text")
