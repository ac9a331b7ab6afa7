"""Import modules once, then become a program in a fork for each stand-in that connects, until standard input ends.

Runs under the program's own interpreter, as `forking_main.py SOCKET MODULE...`; writes a byte once the socket is there.
"""

import contextlib
import gc
import importlib
import marshal
import os
import runpy
import select
import signal
import socket
import sys


def serve(listener: socket.socket, imported: dict[str, str]) -> None:
    """Return once for each stand-in, in a fork that has its arguments, folder, environment and standard streams.

    Args:
        listener: where stand-ins connect.
        imported: the environment variables that the imports have set.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the forks
    stop = sys.stdin.fileno()
    while stop not in select.select([listener, stop], [], [])[0]:
        connection, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _, streams, *_ = socket.recv_fds(connection, 1, 3)
            with connection.makefile("rb") as request:
                sys.argv, folder, environment = marshal.load(request)  # noqa: S302 -- the stand-in wrote it
            _fork(connection)
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment | imported)
            return
        connection.close()
    sys.exit()


def _fork(connection: socket.socket) -> None:
    """Return in a fork. Its parent waits for its end or the stand-in's, and reports the exit code as a shell does."""
    ended, alive = os.pipe()
    if program := os.fork():
        os.close(alive)
        if ended not in select.select([connection.fileno(), ended], [], [])[0]:
            os.kill(program, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(program, 0)[1])
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(str(code if code >= 0 else 128 - code).encode())
        os._exit(0)
    connection.close()


if __name__ == "__main__":
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen()
    os.write(sys.stdout.fileno(), b".")
    before = dict(os.environ)
    for module in sys.argv[2:]:
        importlib.import_module(module)
    gc.freeze()  # the collector would touch, and so copy, the memory that the forks share
    serve(listener, dict(os.environ.items() - before.items()))
    runpy.run_path(sys.argv[0], run_name="__main__")
