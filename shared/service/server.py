"""uvicorn, stopping in order: open event streams are told to end first, because they would hold the stop up."""

import contextlib
import gc
import signal
import socket
from collections.abc import Iterator, Sequence
from types import FrameType

import uvicorn
from fastapi import FastAPI


class Server(uvicorn.Server):
    """Serves one app; `told` are the apps whose `state.ending` is set when a stop is asked for."""

    def __init__(self, config: uvicorn.Config, told: Sequence[FastAPI]) -> None:
        super().__init__(config)
        self._told = told

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve, unless an app refuses to; its lifespan would say so too, in the middle of a trace."""
        for app in self._told:
            await app.state.inspect()
        await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start; what stands then stands until the end, and is never looked through for garbage again.

        Looked through, it stops everything for 100 ms, again and again: half of what a busy listener spent (measured).
        """
        await super().startup(sockets)
        gc.collect()
        gc.freeze()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM while serving.

        uvicorn's own way raises them again afterwards, which would cut short what comes after serving, such as
        stopping an embedded PostgreSQL.
        """
        before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sig, handler in before.items():
                signal.signal(sig, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A stop was asked for."""
        for app in self._told:
            ending = getattr(app.state, "ending", None)
            if ending is not None:
                ending.set()
        super().handle_exit(sig, frame)


def configure_server(app: FastAPI, *, host: str, port: int, graceful: int = 5) -> uvicorn.Config:
    """How every app is served: no access log (it would print query strings), and a bound on the stop.

    An idle connection is the caller's to close: closed here after 5 s, it met the gateway's next request half-way.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,
        log_level="error",
        server_header=False,
        timeout_keep_alive=75,  # nginx keeps a connection to a service for 60
        timeout_graceful_shutdown=graceful,
        lifespan="on",
    )
