"""The soak in short: the deployed stack in bad weather (`make soak` is the long form)."""

from tests.soak.__main__ import soak


def test_a_short_soak() -> None:
    """Whatever fails meanwhile: no request is lost, none is carried out twice or wrongly, and no token is written."""
    seen = soak(seconds=25, seed=1)
    assert seen.findings == []
    assert seen.evidence.receipts
    assert seen.killed
    assert seen.aws_faults
    assert seen.databrain_faults
