"""What `make demo` takes."""

from pathlib import Path

import pytest

from local.demo import main


@pytest.mark.parametrize(
    ("report", "told"), [("missing/report.html", "does not exist: create it"), (".", "is a folder: name a file")]
)
def test_a_report_that_cannot_be_written(
    report: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is an error before the demo begins."""
    with pytest.raises(SystemExit, match="2"):
        main(["--report", str(tmp_path / report)])
    assert told in capsys.readouterr().err
