"""Start a Python program as a fork of a process that has imported its modules: that is most of what a start costs.

MiniStack's interpreter runs this too, so it imports the standard library only.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

MAIN = Path(__file__).with_name("forking_main.py")
# It connects by name, for a socket's path has to be short.
STAND_IN = """#!{python} -IS
import marshal, os, socket, sys
folder = os.getcwd()
os.chdir({folder!r})
with socket.socket(socket.AF_UNIX) as server:
    server.connect({name!r})
    socket.send_fds(server, [b"."], [0, 1, 2])
    server.sendall(marshal.dumps(([{program} *sys.argv[1:]], folder, dict(os.environ))))
    sys.exit(int(server.recv(8)))
"""


@contextmanager
def forked(
    stand_in: Path, python: Path, modules: Sequence[str], *, program: Path | None = None, path: Sequence[str] = ()
) -> Iterator[None]:
    """Write a stand-in for a program, and serve it until the context ends.

    The program gets the stand-in's arguments, folder, environment and standard streams, and the stand-in its exit code.
    Whatever ends the stand-in ends the program.

    Args:
        stand_in: the file to write. A socket is put beside it.
        python: the interpreter.
        modules: the modules to import first. A stand-in that starts earlier waits for them.
        program: the program's file; without it, a stand-in takes the file as its first argument, like an interpreter.
        path: where the modules are, in addition to the interpreter's own folders.
    """
    folder, name = str(stand_in.parent), f"{stand_in.name}.socket"
    first = "" if program is None else f"{str(program)!r},"
    inherited = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
    process = subprocess.Popen(  # noqa: S603 -- our own command line
        [python, "-P", MAIN, name, *modules],
        cwd=folder,
        env={**inherited, "PYTHONPATH": os.pathsep.join(path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:  # it ends when its standard input ends
        process.stdout.read(1)  # type: ignore[union-attr]  # it is a pipe, and says that the socket is there
        stand_in.write_text(STAND_IN.format(python=python, folder=folder, name=name, program=first))
        stand_in.chmod(0o700)
        yield
