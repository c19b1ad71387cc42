"""One call for each of many tasks: in this process, in several of this machine, or on a cluster.

Several processes are those of `dask.distributed` (extra: distributed).  A local cluster listens on
127.0.0.1 alone and shows no dashboard; an existing one is reached by the address of its scheduler,
with the TLS settings of Dask's own configuration.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from autolip.errors import AutolipError, InputError, printable

HERE = "127.0.0.1"
"""Where a local cluster listens."""

ENDURED = 2
"""Chosen: workers that a task may bring down before it is given up."""

SETTINGS = {
    "distributed.scheduler.allowed-failures": ENDURED,
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.logging.distributed": "critical",
}
"""Of Dask: a task is sent to a worker when it is free, so that none is lost with another one; the
web servers, which are there in any case, serve no page."""


UNDERWAY = ("lost", "pending")
"""Defined by Dask: a result that went with its worker is made again."""


@dataclass(frozen=True)
class Failed:
    """A task that ended without a result, and why."""

    reason: str


@dataclass(frozen=True)
class Pool:
    """Who does the work: this process, `workers` of this machine, or a scheduler's."""

    workers: int = 1
    scheduler: str | None = None

    def __post_init__(self) -> None:
        """InputError where the two contradict each other."""
        if not isinstance(self.workers, int) or isinstance(self.workers, bool) or self.workers < 1:
            raise InputError(f"workers is {self.workers!r}: give a whole number >= 1")
        if self.scheduler is not None and self.workers != 1:
            raise InputError("workers and a scheduler: the scheduler has its own, leave one out")

    def results(
        self, call: Callable[[Any, Any], Any], shared: Any, tasks: Sequence[Any]
    ) -> Iterator[tuple[int, Any]]:
        """(number, call(shared, task)) of every task, as they end; a `Failed` in the place of a
        result where a call fails, or ends its process.

        `shared` is sent to every worker once.
        """
        if not tasks:
            return
        if self.workers == 1 and self.scheduler is None:
            for number, task in enumerate(tasks):
                yield number, attempted(call, shared, task)
            return
        with self._client() as client:
            yield from _distributed(client, call, shared, tasks)

    @contextlib.contextmanager
    def _client(self) -> Iterator[Any]:
        try:
            import dask
            from distributed import Client, LocalCluster
        except ImportError as error:
            raise InputError(
                "several workers need dask.distributed: pip install 'autolip[distributed]'"
            ) from error
        with contextlib.ExitStack() as stack:
            stack.enter_context(dask.config.set(SETTINGS))
            if self.scheduler is not None:
                yield stack.enter_context(_reached(Client, self.scheduler))
                return
            cluster = LocalCluster(
                n_workers=self.workers,
                threads_per_worker=1,
                processes=True,
                host=HERE,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )
            stack.enter_context(cluster)
            yield stack.enter_context(Client(cluster))


def _reached(client: Any, address: str) -> Any:
    try:
        return client(address)
    except (OSError, TimeoutError, ValueError) as error:
        said = printable(" ".join(str(error).split())) or type(error).__name__
        raise InputError(f"the scheduler {printable(address)} cannot be reached: {said}") from error


def _distributed(
    client: Any, call: Callable[[Any, Any], Any], shared: Any, tasks: Sequence[Any]
) -> Iterator[tuple[int, Any]]:
    """The results of a cluster, as they come."""
    from distributed import as_completed

    held = client.submit(_itself, shared, pure=False)  # a task: made again where it is lost
    futures = {
        client.submit(attempted, call, held, task, pure=False): number
        for number, task in enumerate(tasks)
    }
    ended = as_completed(futures)
    for future in ended:
        if future.status == "finished":
            yield futures[future], future.result()
        elif future.status == "error":
            error = future.exception()
            said = printable(" ".join(str(error).split()))
            yield futures[future], Failed(f"{type(error).__name__}: {said}")
        elif future.status in UNDERWAY:
            ended.add(future)
            continue
        else:
            raise InputError(
                f"the cluster has lost its tasks ({future.status}): start it again, and resume"
            )
        future.release()


def _itself(shared: Any) -> Any:
    return shared


def attempted(call: Callable[[Any, Any], Any], shared: Any, task: Any) -> Any:
    """What the call returns, or why it does not."""
    try:
        return call(shared, task)
    except (Exception, SystemExit) as error:
        said = printable(" ".join(str(error).split()))
        known = isinstance(error, AutolipError)
        return Failed(said if known else f"{type(error).__name__}: {said}")
