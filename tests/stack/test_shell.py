"""The shell that follows the pages."""

from pathlib import Path

import pytest

from tests.stack.shell import Shell


@pytest.mark.parametrize("opened", [1_000.0, 1_000.4, 1_000.6])
def test_the_window_of_the_log(tmp_path: Path, opened: float) -> None:
    """However late a command runs, it asks for what was logged since the shell was opened, and for little before."""
    (begin,) = (
        Shell({"PATH": "/usr/bin:/bin"}, tmp_path, opened).run('echo "$(( ($(date +%s) - 86400) * 1000 ))"').split()
    )
    assert opened - 2 < int(begin) / 1000 <= opened
