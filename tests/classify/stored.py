"""What a store of votes holds, read whole."""

from classify.store import StoredVote


def all_votes(store, judge):
    """Return every vote of a judge as it is stored, in the order of the keys."""
    rows = store._read(
        f"SELECT {', '.join(StoredVote._fields)} FROM votes JOIN prompts USING (prompt_sha256)"
        " WHERE judge_sha256 = ? ORDER BY prompt_sha256, draw, max_tokens",
        (judge.sha256,),
    )
    return list(map(StoredVote._make, rows))
