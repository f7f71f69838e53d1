import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mining.decode import decode

CASES = [
    (b"x = 1\n", "x = 1\n", "utf-8"),
    (b"", "", "utf-8"),
    ("x = 'é'\n".encode(), "x = 'é'\n", "utf-8"),
    (codecs.BOM_UTF8 + b"x = 1\n", "x = 1\n", "utf-8-sig"),
    ("x = 'é'\n".encode("utf-16"), "x = 'é'\n", "utf-16"),
    (
        b"# -*- coding: latin-1 -*-\nx = '\xe9'\n",
        "# -*- coding: latin-1 -*-\nx = 'é'\n",
        "iso-8859-1",
    ),
    (b"# coding: cp1252\nx = '\x80'\n", "# coding: cp1252\nx = '€'\n", "cp1252"),
    (b"x = '\xe9'\n", "x = 'é'\n", "latin-1"),
    (b"# coding: no-such-codec\nx = 1\n", "# coding: no-such-codec\nx = 1\n", "utf-8"),
    (b"# coding: ascii\nx = '\xc3\xa9'\n", "# coding: ascii\nx = 'é'\n", "utf-8"),
    (
        b"# coding: unicode_escape\nx = '\\ud800'\n",
        "# coding: unicode_escape\nx = '\\ud800'\n",
        "utf-8",
    ),
    (b"a\r\nb\rc\n", "a\nb\nc\n", "utf-8"),
]


@pytest.mark.parametrize(("content", "text", "encoding"), CASES)
def test_decode(content, text, encoding):
    found = decode(content)
    assert (found.text, found.encoding) == (text, encoding)


@pytest.mark.parametrize("content", [b"\0", b"x = 1\0", b"\x7fELF\x02\0\0", b"\xff\xfe\x00"])
def test_what_is_no_text(content):
    assert decode(content) is None


@given(st.binary())
def test_any_bytes_decode_to_clean_text_or_none(content):
    found = decode(content)
    if found is not None:
        assert "\0" not in found.text
        assert "\r" not in found.text
        found.text.encode()
