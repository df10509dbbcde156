"""Contenders in processes of their own: heap, caches and settings of one touch no other."""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection

from benchmarks.interleave import Contender

Make = Callable[[], Contender]  # pickled: a function at the top level of a module, or a `partial`


@contextmanager
def apart(makers: Mapping[str, Make]) -> Iterator[dict[str, Contender]]:
    """Contenders by name, each in a new process until the block ends.

    Args:
        makers: give the contenders, in their processes.
    """
    remotes = {name: _Remote(make) for name, make in makers.items()}
    try:
        yield dict(remotes)
    finally:
        for remote in remotes.values():
            remote.close()


class _Remote:
    def __init__(self, make: Make) -> None:
        context = multiprocessing.get_context("forkserver")  # which has torch imported, no more
        context.set_forkserver_preload(["benchmarks.step", "benchmarks.peers"])
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, make))
        self.process.start()
        other.close()

    def __call__(self) -> float:
        try:
            self.connection.send("turn")
            value: float = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            raise RuntimeError(
                f"a contender ended with exit code {code}; its reason is above"
            ) from None
        return value

    def close(self) -> None:
        self.connection.close()
        self.process.join()


def _serve(connection: Connection, make: Make) -> None:
    """Take a turn whenever asked; end with the other side."""
    contender = make()
    while True:
        try:
            connection.recv()
        except EOFError:
            return
        connection.send(contender())
