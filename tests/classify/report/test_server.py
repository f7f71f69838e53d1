"""The server on loopback: whom it answers, what it takes, and what it keeps."""

import http.client
import json
import threading

import pytest
import uvicorn

from classify.classification import PLACEMENTS
from classify.errors import GoldError
from classify.labelling import open_labels
from classify.labels import Label
from classify.placement import Category
from classify.report.desk import Desk, label_of
from classify.report.server import HEADERS, application, listen, serve_report
from mining.errors import InputError

EMPTY = {"category": None, "unknown_type": None, "special_cases": None, "note": ""}


@pytest.fixture
def queue(sample, tmp_path):
    path = tmp_path / "q.csv"
    placed = sample[1].read(PLACEMENTS)
    placed.head(3)[["repository", "path", "start_line"]].to_csv(path, index=False)
    return path


@pytest.fixture
def server(sample, queue, tmp_path):
    """A server of a folder with one page; gives its port."""
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "index.html").write_text("the report")
    (tmp_path / "secret").write_text("secret")
    listening = listen(0)
    port = listening.getsockname()[1]
    desk = Desk.open(sample[1], "ada", *open_labels(queue, "ada"))
    config = uvicorn.Config(application(folder, port, desk), log_level="error", lifespan="off")
    serving = uvicorn.Server(config)
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    yield port
    serving.should_exit = True
    thread.join()


def ask(port, path, body=None, method=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    content = None if body is None else body if isinstance(body, bytes) else json.dumps(body)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method or ("GET" if body is None else "POST"), path, content, given)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text, answer.headers


def write(port, body, path="/label/snippet/0", **headers):
    given = {
        "Origin": f"http://127.0.0.1:{port}",
        "Content-Type": "application/json",
        **headers,
    }
    return ask(port, path, body, **{name.replace("-", "_"): value for name, value in given.items()})


def test_every_answer_forbids_what_pages_do_not_need(server):
    for path in ("/", "/label", "/label/queue", "/nowhere"):
        _, _, headers = ask(server, path)
        assert all(headers[name] == value for name, value in HEADERS.items())


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {}, 200),
        ("/", {"Host": "localhost:{port}"}, 200),
        ("/", {"Host": "evil.example:{port}"}, 421),
        ("/", {"Host": "127.0.0.1"}, 421),
        ("/label/queue", {"Host": "evil.example"}, 421),
        ("/label/queue", {"Origin": "https://evil.example"}, 403),
        ("/label/queue", {"Origin": "null"}, 403),
        ("/../secret", {}, 404),
        ("/%2e%2e/secret", {}, 404),
        ("/label/snippet/99", {}, 400),
        (f"/label/snippet/{'9' * 5000}", {}, 404),
        ("/label/snippet/x", {}, 404),
    ],
)
def test_whom_it_answers(server, path, headers, status):
    told = {name: value.format(port=server) for name, value in headers.items()}
    assert ask(server, path, **told)[0] == status


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({"label": {**EMPTY, "category": "no_loss"}, "before": EMPTY}, {}, 200),
        ({"label": {**EMPTY, "category": "no_loss"}, "before": EMPTY}, {"Origin": "http://evil.example"}, 403),
        ({"label": {**EMPTY, "category": "no_loss"}, "before": EMPTY}, {"Origin": "null"}, 403),
        ({"label": {**EMPTY, "category": "no_loss"}, "before": EMPTY}, {"Content-Type": "text/plain"}, 415),
        (b"x" * 70000, {}, 413),
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b"[" * 9999, {}, 400),
        ({"label": None, "before": EMPTY}, {}, 400),
        ({"label": {**EMPTY, "category": "somewhere"}, "before": EMPTY}, {}, 400),
        ({"label": {**EMPTY, "category": ["no_loss"]}, "before": EMPTY}, {}, 400),
        ({"label": {**EMPTY, "category": "no_loss", "unknown_type": "test"}, "before": EMPTY}, {}, 400),
        ({"label": {**EMPTY, "category": "loss_unknown", "unknown_type": "nope"}, "before": EMPTY}, {}, 400),
        ({"label": {**EMPTY, "category": "loss_unknown", "special_cases": ["backward"]}, "before": EMPTY}, {}, 400),
        ({"label": {**EMPTY, "special_cases": "all"}, "before": EMPTY}, {}, 400),
    ],
)  # fmt: skip
def test_what_it_takes(server, queue, body, headers, status):
    found, text, _ = write(server, body, **headers)
    assert found == status, text
    assert queue.with_name("q.ada.csv").exists() == (status == 200)


def test_writing_without_an_origin_is_refused(server):
    assert (
        ask(server, "/label/snippet/0", {"label": EMPTY}, Content_Type="application/json")[0] == 403
    )


def test_the_later_label_counts_and_the_other_page_is_told(server, queue):
    def label(number, category, before):
        body = {"label": {**EMPTY, "category": category}, "before": {**EMPTY, "category": before}}
        return json.loads(write(server, body, f"/label/snippet/{number}")[1])

    assert label(0, "no_loss", None)["replaced"] is None
    assert label(1, "loss_in_model", None)["replaced"] is None
    told = label(0, "loss_in_runner", None)  # by a page that has not seen the first
    assert told["replaced"]["category"] == "no_loss"
    assert label(0, "loss_in_runner", None)["replaced"] is None  # which both say
    found = json.loads(ask(server, "/label/queue")[1])
    assert [each["category"] for each in found["labels"]] == [
        "loss_in_runner",
        "loss_in_model",
        None,
    ]


def test_two_sessions_of_a_reader_lose_no_label_to_each_other(queue):
    (rows, first), (_, second) = (open_labels(queue, "ada") for _ in range(2))
    one, two, three = rows.rows
    no_loss, model = Label(Category.NO_LOSS), Label(Category.LOSS_IN_MODEL)
    assert first.set(one, no_loss) == Label()
    assert second.set(two, model) == Label()
    assert first.set(three, model) == Label()
    assert second.set(one, model) == no_loss
    _, after = open_labels(queue, "ada")
    assert [after[key] for key in (one, two, three)] == [model, model, model]


def test_a_note_holds_nothing_that_steers_a_terminal():
    assert label_of({**EMPTY, "note": " a\x1b[31m\n\u202eb "}).note == "a[31mb"


def test_a_taken_port_is_an_error(sample):
    with listen(0) as taken, pytest.raises(InputError, match="--port"):
        taken.listen()
        serve_report(sample[1], taken.getsockname()[1], None, None, print)


def test_a_queue_needs_a_reader(sample, queue):
    with pytest.raises(InputError, match="--reader"):
        serve_report(sample[1], 0, queue, None, print)
    with pytest.raises(GoldError, match="reader's name"):
        serve_report(sample[1], 0, queue, "../ada", print)
