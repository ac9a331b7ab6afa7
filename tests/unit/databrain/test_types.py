"""What the types do not allow: mypy refuses a file that tries."""

import re
from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).parents[3]

TRIES = """
from retirement.canonical import Document
from retirement.databrain.copies import CopyPermit, RehearsalPermit
from retirement.databrain.creations import Restorer
from retirement.databrain.permits import VerifiedBackup
from retirement.databrain.ports import Databrain
from retirement.databrain.snapshot import Snapshot
from retirement.record.rehearsals import Rehearsal
from retirement.retiring.ports import RetirePorts


def tries(
    restorer: Restorer, databrain: Databrain, ports: RetirePorts, body: Document, snapshot: Snapshot,
    backup: VerifiedBackup, unstored: Rehearsal, rehearsal: RehearsalPermit, copy: CopyPermit,
) -> None:
    restorer.delete(backup)  # attr-defined
    restorer.delete_copy(copy)  # attr-defined
    databrain.create_datamart(body)  # attr-defined
    ports.databrain.create_semantic_layer(body)  # attr-defined
    ports.databrain.create_copy(body)  # arg-type
    ports.databrain.create_copy(copy)  # arg-type
    ports.databrain.create_layer_of_copy(body)  # arg-type
    ports.databrain.delete_copy(rehearsal)  # arg-type
    ports.databrain.delete_copy(snapshot)  # arg-type
    ports.databrain.delete_copy(backup)  # arg-type
    ports.databrain.delete(copy)  # arg-type
    ports.databrain.delete(rehearsal)  # arg-type
    RehearsalPermit(create_body=body, create_layer_body=None)  # call-arg
    RehearsalPermit(unstored, body, None)  # arg-type
    CopyPermit(copy=snapshot, confirmed=None)  # call-arg
    CopyPermit(unstored, snapshot, None)  # arg-type
    CopyPermit(rehearsal, body, None)  # arg-type
    rehearsal.create_body = body  # misc
    copy.copy = snapshot  # misc
    ports.databrain.create_copy(rehearsal)
    ports.databrain.delete_copy(copy)
"""


def test_permits_and_ports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A restore deletes nothing, a retirement creates by a rehearsal's permit alone, and each permit has one origin."""
    tried = tmp_path / "tries.py"
    tried.write_text(TRIES)
    monkeypatch.chdir(ROOT)  # to which the settings' paths are relative

    shown, _, _ = api.run(["--config-file", "pyproject.toml", "--no-error-summary", "--hide-error-context", str(tried)])

    errors = {(int(line), code) for line, code in re.findall(r"tries\.py:(\d+): error: .*\[([a-z-]+)\]", shown)}
    expected = {
        (number, line.rpartition("# ")[2]) for number, line in enumerate(TRIES.splitlines(), start=1) if "  # " in line
    }
    assert errors == expected
