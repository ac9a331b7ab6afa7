"""MiniStack as a process of this run: a free port, a certificate and folders of its own, IAM enforced."""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trustme

CHECKOUT = Path(__file__).resolve().parent.parent
PYTHON = CHECKOUT / ".venv" / "emulator" / "bin" / "python"
MAIN = Path(__file__).with_name("emulator_main.py")

REGION: Final = "eu-central-1"  # not the default of any tool, which would hide a region that somebody forgot to pass on
ACCESS_KEY_ID = SECRET_ACCESS_KEY = "test"  # noqa: S105 -- MiniStack's own administrator


@dataclass(frozen=True)
class Emulator:
    """Where a running MiniStack is, and what a process needs to use it and nothing else."""

    endpoint: str
    authority: Path
    environment: dict[str, str]
    log: Path


@contextlib.contextmanager
def run_emulator(folder: Path) -> Iterator[Emulator]:
    """Run MiniStack inside of `folder`, and end it with all the function processes it has started.

    A request waits until it is up; the connection is refused if it ended.
    """
    home = folder / "home"
    home.mkdir()
    authority, certificate = folder / "authority.pem", folder / "server.pem"
    issuer = trustme.CA()
    issuer.cert_pem.write_to_path(str(authority))
    issuer.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(str(certificate))

    # An open socket is handed over, not a number: nobody else can take the port in between.
    with socket.create_server(("127.0.0.1", 0)) as listener, (folder / "ministack.log").open("wb") as log:
        port = listener.getsockname()[1]
        endpoint = f"https://127.0.0.1:{port}"  # by address, so that S3 goes without a host name for each bucket
        environment = {
            # Nothing else is inherited: no profile, credential, endpoint or proxy of the person who runs this.
            **{name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ},
            "HOME": str(home),
            "TMPDIR": str(home),
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_CA_BUNDLE": str(authority),
            "SSL_CERT_FILE": str(authority),
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_DEFAULT_REGION": REGION,
        }
        own = {
            "AUTH": "true",
            "USE_SSL": "1",
            "MINISTACK_SSL_CERT": str(certificate),
            "MINISTACK_SSL_KEY": str(certificate),
            "MINISTACK_REGION": REGION,
            "GATEWAY_PORT": str(port),
            "STATE_DIR": str(folder / "state"),
            "S3_DATA_DIR": str(folder / "s3"),
            # Listeners on fixed ports, which nothing here uses.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
        }
        process = subprocess.Popen(  # noqa: S603 -- our own command line
            [
                *(PYTHON, MAIN, "ministack.app:app", "--workers", "0", "--bind", f"fd://{listener.fileno()}"),
                *("--certfile", certificate, "--keyfile", certificate, "--keep-alive", "75"),
            ],
            cwd=home,
            env=environment | own,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )
    with process:
        try:
            yield Emulator(endpoint, authority, environment, Path(log.name))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
