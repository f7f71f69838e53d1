from classify.status import status_of
from mining.artifacts import Artifact, Run


def test_what_has_no_rows_may_be_done(tmp_path):
    run = Run(tmp_path)
    before = {each.artifact: each for each in status_of(run)}
    assert not any(each.done or each.rows for each in before.values())
    run.write_bytes("report/index.html", b"<html>", Artifact("report", {}, {}))
    found = {each.artifact: each for each in status_of(run)}
    assert found.keys() == before.keys()
    assert [each.artifact for each in found.values() if each.done] == ["report/index.html"]
    assert found["report/index.html"].rows is None
