"""What `make soak` takes."""

import pytest

from tests.soak.__main__ import main, minutes


@pytest.mark.parametrize("given", ["0", "-1", "nan", "inf", "five"])
def test_no_time(given: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A soak without traffic would prove nothing, and is refused."""
    monkeypatch.setattr("sys.argv", ["soak", "--minutes", given])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert given in capsys.readouterr().err


def test_a_part_of_a_minute() -> None:
    """A short soak is one."""
    assert minutes("0.5") == 0.5
