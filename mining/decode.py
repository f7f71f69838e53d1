"""Bytes of a Python file to text, as the interpreter would decode them, or a little kinder."""

from __future__ import annotations

import codecs
import io
import tokenize
from dataclasses import dataclass

_NO_SOURCE = frozenset({"punycode", "idna"})
"""Codecs of host names, which take the square of a text's length."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The text with universal newlines and without a byte order mark, and its encoding."""

    text: str
    encoding: str


def decode(content: bytes) -> Decoded | None:
    """Return the text of a Python file, or None where no encoding makes text of it.

    A byte order mark decides, then a PEP 263 declaration, then UTF-8. Python 2 files often
    hold Latin-1 without saying so: bytes that are not UTF-8 are read as Latin-1, unless a
    NUL says that they are no text at all.
    """
    for encoding in _candidates(content):
        try:
            text = content.decode(encoding)
            text.encode("utf-8")  # a declared escape codec can make lone surrogates
        except (UnicodeError, LookupError):
            continue
        if "\0" not in text:
            # as io.TextIOWrapper does by default; tree-sitter counts only \n as a line's end
            text = text.removeprefix("\ufeff")
            if "\r" in text:  # to look for one character is many times as fast as for two
                text = text.replace("\r\n", "\n").replace("\r", "\n")
            return Decoded(text, encoding)
    return None


def _candidates(content: bytes) -> list[str]:
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if content.startswith(mark):
            return [encoding]
    try:
        declared, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        if declared in _NO_SOURCE:
            declared = "utf-8"
    except (SyntaxError, ValueError):  # unknown codec, not UTF-8, or a NUL in the declaration
        declared = "utf-8"
    return list(dict.fromkeys([declared, "utf-8", "latin-1"]))
