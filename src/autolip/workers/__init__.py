"""Many tasks: by one process or by many, with what is finished kept in a file."""

from autolip.workers.pool import Failed, Pool
from autolip.workers.store import Store

__all__ = ["Failed", "Pool", "Store"]
