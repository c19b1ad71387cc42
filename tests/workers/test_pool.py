"""One call for each of many tasks: results, failures, and workers that are brought down."""

import os
import urllib.error
import urllib.request
from typing import Any

import pytest

from autolip.errors import InputError
from autolip.workers import Failed, Pool


def call(shared: int, task: Any) -> Any:
    """The task times the number; some tasks fail, one ends its process."""
    if task == "refused":
        raise InputError("give a number")
    if task == "fails":
        raise ValueError("no\nnumber")
    if task == "dies":
        os._exit(9)
    return shared * task


def test_in_this_process() -> None:
    results = dict(Pool().results(call, 3, [1, "refused", 2, "fails"]))
    assert results == {
        0: 3, 1: Failed("give a number"), 2: 6, 3: Failed("ValueError: no number")
    }  # fmt: skip
    assert not list(Pool(2).results(call, 3, []))


@pytest.mark.slow
def test_by_several_processes() -> None:
    """A task that brings its worker down is a failure; the others have their results."""
    pytest.importorskip("distributed")
    tasks = [1, 2, "dies", "fails", *range(3, 20)]
    results = dict(Pool(2).results(call, 3, tasks))
    assert len(results) == len(tasks)
    for number, task in enumerate(tasks):
        if task == "dies":
            assert "KilledWorker" in results[number].reason
        elif task == "fails":
            assert results[number] == Failed("ValueError: no number")
        else:
            assert results[number] == 3 * task


@pytest.mark.slow
def test_a_local_cluster_listens_here_alone() -> None:
    pytest.importorskip("distributed")
    psutil = pytest.importorskip("psutil")
    with Pool(2)._client() as client:
        own = psutil.Process()
        processes = [own, *own.children(recursive=True)]
        connections = [one for process in processes for one in process.net_connections()]
        listening = [one.laddr for one in connections if one.status == psutil.CONN_LISTEN]
        assert len(listening) >= 3
        assert {address.ip for address in listening} == {"127.0.0.1"}
        web = client.scheduler_info()["services"]["dashboard"]
        for page in ("", "status", "info/main/workers.html", "json/identity.json"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"http://127.0.0.1:{web}/{page}", timeout=10)


@pytest.mark.slow
def test_an_existing_cluster() -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        pool = Pool(scheduler=cluster.scheduler_address)
        assert dict(pool.results(call, 2, [1, 2])) == {0: 2, 1: 4}


def test_what_contradicts_itself_is_refused() -> None:
    with pytest.raises(InputError, match="leave one out"):
        Pool(2, "tcp://127.0.0.1:1")
    with pytest.raises(InputError, match="whole number"):
        Pool(0)


@pytest.mark.slow
def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    dask = pytest.importorskip("dask")
    quickly = dask.config.set({"distributed.comm.timeouts.connect": "1s"})
    with quickly, pytest.raises(InputError, match="cannot be reached"):
        list(Pool(scheduler="tcp://127.0.0.1:9").results(call, 1, [1]))
