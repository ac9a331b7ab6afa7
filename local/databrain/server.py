"""The server: the Starlette application, and uvicorn to serve it on 127.0.0.1."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from uvicorn.protocols.http.h11_impl import H11Protocol

from local.databrain import control, routes
from local.databrain.reception import Reception
from local.databrain.seed import organisation_of
from local.databrain.state import Databrain
from local.databrain.validation import InvalidInputError

HOST = "127.0.0.1"


class CuttableConnection(H11Protocol):
    """One connection, which the application can cut (ASGI has no word for that) and the end of the server does cut."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Give the application a way to cut the connection: `scope["state"]["cut"]`."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "cut": transport.abort}

    def shutdown(self) -> None:
        """End a request that is under way, too: a late or endless answer must not keep the server."""
        super().shutdown()
        self.transport.abort()


def build_app(databrain: Databrain) -> Starlette:
    """Return the ASGI application for a state, which the caller may look at and change meanwhile."""
    app = Starlette(
        routes=[*routes.ROUTES, control.ROUTES],
        middleware=[Middleware(Reception, databrain=databrain)],
        exception_handlers={InvalidInputError: control.invalid_input},
    )
    app.router.redirect_slashes = False
    app.state.databrain = databrain
    return app


def listen(port: int) -> socket.socket:
    """Return a socket that listens on a port of 127.0.0.1, 0 for a free one; raises OSError for one that is taken."""
    listener = socket.create_server((HOST, port))
    # Without this, which connections inherit, each answer waits 40 ms for the acknowledgement of its headers: asyncio
    # sets it itself only where a socket was made with its protocol number.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the base URL of a server on `listener`."""
    return f"http://{HOST}:{listener.getsockname()[1]}"


def uvicorn_server(databrain: Databrain) -> uvicorn.Server:
    """Return uvicorn for a state, still to be run on a socket."""
    config = uvicorn.Config(
        build_app(databrain), http=CuttableConnection, ws="none", lifespan="off", log_config=None, access_log=False
    )
    return uvicorn.Server(config)


@contextmanager
def serve(seed: Any) -> Iterator[Databrain]:  # noqa: ANN401 - any JSON, which is then checked
    """Serve a seed on a free port from a thread; connections still open at the end are cut.

    Yields the server's state, with its `url`; raises `InvalidInputError` for a seed that is none.
    """
    organisation = organisation_of(seed)
    with listen(port=0) as listener:
        databrain = Databrain(organisation, url_of(listener))
        server = uvicorn_server(databrain)
        thread = threading.Thread(target=server.run, args=([listener],), name=databrain.url)
        # The socket listens already: a request that comes before uvicorn is up waits in the backlog.
        thread.start()
        try:
            yield databrain
        finally:
            server.should_exit = True
            thread.join()
