"""Inputs for the targets: mostly almost right, since what is all wrong is refused at once."""

import json
import tomllib

from hypothesis import strategies as st

from mining.shipped import shipped
from mining.study import Study
from tests.fuzz.command_targets import WORDS
from tests.mining.github_server import item

SOURCES = [path.read_bytes() for path in sorted(shipped("data/sample").rglob("*.py"))]
UNENDED = [b"def f():\n  '''\n    \\\n", b"class A:\n  def f():\n    '''\n      \\\n"]
"""What the parser ends at the start of a line."""
FRAGMENTS = [
    "def f(x, y):", "class A(nn.Module):", "class B(A, metaclass=M):", "async def g(self):",
    "for x in y:", "while True:", "if x:", "else:", "try:", "except E, e:", "with a as b:",
    "return loss", "loss = (a - b) ** 2", "loss.backward()", "opt.step()", "total += loss.item()",
    "import torch", "from .a import *", "@dec", "lambda x: x", "print 'x'", 'x = """a', "'''",
    "x = [", "}", "\\", "# -*- coding: utf-16 -*-", "# coding: latin-1", "\f", "\t", "\x0b", "é",
    "\u2028", "match x:", "case 1:", "x = y = z", "def f(", "self.fc = nn.Linear(1, 2)",
    "#--- file", "yield x", "global loss", "del x", "x if y else z", "f'{x!r:{y}}'", ";", ":",
]  # fmt: skip
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)


@st.composite
def mangled(draw, bases):
    """Give a JSON value in which a few places hold something else, are gone, or come twice."""
    value = json.loads(json.dumps(draw(st.sampled_from(bases))))
    for _ in range(draw(st.integers(0, 3))):
        inner = value
        while isinstance(inner, dict | list) and inner:
            keys = list(inner) if isinstance(inner, dict) else range(len(inner))
            key = draw(st.sampled_from(keys))
            if not isinstance(inner[key], dict | list) or draw(st.integers(0, 4)) == 0:
                what = draw(st.integers(0, 3))
                if what == 0:
                    del inner[key]
                elif what == 1 and isinstance(inner, list):
                    inner.append(inner[key])
                else:
                    inner[key] = draw(ANYTHING)
                break
            inner = inner[key]
    return value


def as_json(values):
    return st.one_of(
        values.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
        st.binary(max_size=60),
        st.integers(1, 60_000).map(lambda depth: b"[" * depth),
    )


@st.composite
def cut_and_pasted(draw, wholes):
    """Give bytes in which pieces are gone, come twice, or are something else."""
    data = draw(st.sampled_from(wholes))
    for _ in range(draw(st.integers(0, 4))):
        start, end = sorted(draw(st.tuples(*[st.integers(0, len(data))] * 2)))
        end = min(end, start + 200)
        put = draw(st.binary(max_size=6) | st.sampled_from(FRAGMENTS).map(str.encode))
        data = data[:start] + draw(st.sampled_from([b"", put, put + data[start:end]])) + data[end:]
    return data


def lines_of_code():
    line = st.tuples(st.integers(0, 4), st.sampled_from(FRAGMENTS) | st.text(max_size=5))
    made = st.lists(line, max_size=25)
    return made.map(lambda ls: "\n".join("  " * n + t for n, t in ls).encode("utf-8", "replace"))


CODE = st.one_of(
    lines_of_code(), cut_and_pasted(SOURCES), cut_and_pasted(UNENDED), st.binary(max_size=100)
)

CELL = {"cell_type": "code", "source": ["import torch\n", "%time x = f(\n", "!ls\n", "1)"]}
NOTEBOOKS = [
    {"cells": [CELL, {"cell_type": "markdown", "source": "# T"}, CELL], "metadata": {}},
    {"worksheets": [{"cells": [{"cell_type": "code", "input": "for x in y:\n    f(x)\n"}]}]},
    {
        "cells": [{"cell_type": "code", "source": "%%timeit\nx\\\n = '''\n'''"}],
        "metadata": {"kernelspec": {"language": "python"}, "language_info": {"name": "R"}},
    },
    {"cells": [{"cell_type": "code", "source": "x = f(\r\n\n\n"}, CELL]},
]
ANSWERS = [
    "The code computes a loss.", "Decision: True", "**Decision:** False", "Decision", "decision is",
    "<think>", "</think>", "[THINK]", "\n", "True", "no", "?", "or", '{"decision": true}', '"',
    "\\boxed{yes}", "\u200b", "Final Decision\n\n", "`Decision: no`", "## Decision", "\ufeff", "/",
]  # fmt: skip
STUDIES = [
    tomllib.loads(path.read_text("utf-8"))
    for path in sorted(shipped("data/studies").glob("*.toml"))
] + [Study(name="a").model_dump(mode="json", exclude_none=True)]
HEAD = "repository,path,start_line,label,unknown_type,special_cases,note,reader,contested\n"
LABELS = [
    (HEAD + row).encode()
    for row in (
        "o/n,a.py,3,no_loss,,,,reader,\n",
        'o/n,"a,b.py",3,loss_unknown,test,none,"a\nb",reader,1\no/n,@a.py,4,no_loss,,,-x,reader,\n',
        "o/n,a.py,0,x,y,z,,,\r\n",
        "",
    )
]
TASK = {
    "data": {"repository": "o/n", "path": "a.py", "start_line": 3, "text": "x", "kind": "function"},
    "annotations": [
        {
            "completed_by": {"email": "a@b.c", "id": 1},
            "result": [
                {"from_name": "label", "value": {"choices": ["loss_unknown"]}},
                {"from_name": "unknown_type", "value": {"choices": ["test"]}},
                {"from_name": "special_cases", "value": {"choices": ["none"]}},
                {"from_name": "note", "value": {"text": ["=1+1", "b"]}},
            ],
        },
        {"completed_by": 2, "result": [{"from_name": "label", "value": {"choices": ["no_loss"]}}]},
    ],
}
RECORD = {
    "metadata": {"repository": "o/n", "path": "-a.py", "start_line": 3, "kind": "function"},
    "responses": {
        "label": [{"user_id": "a", "value": "no_loss"}, {"user_id": "b", "value": "no_loss"}],
        "special_cases": [{"user_id": "a", "value": ["backward", "none"]}],
        "note": [{"user_id": "a", "value": "n"}],
    },
}
PAGES = [
    {"total_count": 2, "incomplete_results": False, "items": [item("o/a"), item("o/b"), None]},
    {"total_count": 0, "items": []},
    {"message": "API rate limit exceeded", "documentation_url": "https://docs.github.com"},
]
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}
REPLIES = [
    {
        "object": "chat.completion", "model": "tiny", "choices": [CHOICE, CHOICE],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5}, "system_fingerprint": "f",
    },
    {"object": "list", "data": [{"id": "tiny", "owned_by": "vllm", "max_model_len": 4096}]},
    {"error": {"message": "context length", "code": 400}},
]  # fmt: skip
LABEL = {"category": "loss_unknown", "unknown_type": "test", "special_cases": None, "note": "n"}
SIDECAR = {
    "command": "x", "inputs": {}, "notes": None, "rows": 1, "settings": {"lossplace": "0"},
    "sha256": "0",
}  # fmt: skip
COMMITS = [
    b"repository,commit\no/a," + b"0" * 40 + b"\no/b,\n",
    b"repository,commit,reason\no/a,,gone\n",
    b"repository,commit\no/a," + b"0" * 41 + b"\n",
    b"\xef\xbb\xbfcommit,repository,query,position,score\n" + b"f" * 40 + b",o/a,q,1,0.5\n",
]
NAMES = [
    b"name,library,form,confirmed\nnll_loss,torch,function,yes\nx.y,z,constructor,no\n",
    b"name\nMSELoss\n\n",
]
TEXT = st.text(max_size=40).map(str.encode)


def word():
    known = st.integers(0, len(WORDS) - 1).map(lambda n: bytes([n]))
    return known | st.text(max_size=6).map(lambda text: text.replace("\0", "").encode())


SEEDS = {
    **dict.fromkeys(("extraction", "rules", "shortening"), SOURCES + UNENDED),
    "notebook": NOTEBOOKS,
    "answer": [" ".join(ANSWERS).encode(), *(each.encode() for each in ANSWERS)],
    "study": STUDIES,
    "gold": LABELS,
    "labels_import": [[TASK], [RECORD], [TASK, TASK], [RECORD, RECORD]],
    "desk": [LABEL],
    "commits": COMMITS,
    "loss_names": NAMES,
    "sidecar": [SIDECAR],
    "search": PAGES,
    "reply": REPLIES,
    "server": REPLIES,
    "votes": [b"Decision: True"],
    "table": [b"=1\x1e-\x1e|\x1e{[}\x1e'=x\x1e\\"],
    "command_line": [bytes([n, 0, WORDS.index("done")]) for n in range(22)],
    "package": [bytes([n, 128, 255]) for n in range(24)],
}
"""For each target, inputs from which a search begins: bytes, or a value that is written as JSON."""

INPUTS = {
    "extraction": CODE,
    "notebook": as_json(mangled(NOTEBOOKS)),
    "rules": CODE,
    "shortening": CODE,
    "answer": st.lists(st.sampled_from(ANSWERS) | st.text(max_size=5)).map(
        lambda parts: " ".join(parts).encode()
    ),
    "study": as_json(mangled(STUDIES))
    | cut_and_pasted(
        [path.read_bytes() for path in sorted(shipped("data/studies").glob("*.toml"))]
    ),
    "gold": cut_and_pasted(LABELS),
    "labels_import": as_json(mangled([[TASK], [RECORD], [TASK, TASK], [RECORD, RECORD]])),
    "desk": as_json(mangled([LABEL, {**LABEL, "special_cases": ["backward"]}])),
    "commits": cut_and_pasted(COMMITS),
    "loss_names": cut_and_pasted(NAMES),
    "sidecar": as_json(mangled([SIDECAR])),
    "search": st.tuples(
        st.sampled_from([b"", *map(bytes, ([n] for n in range(1, 9)))]), as_json(mangled(PAGES))
    ).map(b"".join),
    "reply": as_json(mangled(REPLIES)),
    "server": st.tuples(st.sampled_from([b"", b"", b"400", b"404"]), as_json(mangled(REPLIES))).map(
        b"".join
    ),
    "votes": TEXT,
    "table": st.lists(
        st.text(max_size=12) | st.sampled_from(["=1", "-", "|", "\\", "{[}", "'=x"]), max_size=30
    ).map(lambda cells: "\x1e".join(cells).encode()),
    "command_line": st.lists(word(), max_size=6).map(b"\0".join),
    "package": st.binary(min_size=2, max_size=40),
}
"""For each target, a strategy that gives bytes."""
