"""Factories: the pool of a download, in threads or on a cluster, from the settings. Heavy imports are in the calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from config import Settings
    from data.collection.grab_pool import StopEvent
    from data.collection.stream_grabs import GrabResult, GrabTask
    from data.pool.pool import Pool


@contextmanager
def open_pool(settings: Settings, stop: StopEvent) -> Iterator[Pool[GrabTask, GrabResult]]:
    """Yield where streams are grabbed: PARALLEL_STREAMS in this process, or on each CPU of the cluster RAY_ADDRESS.

    Raises ClusterError, SettingsError, ExtraMissing.
    """
    from data.collection.stream_grabs import grabs_in_threads
    from data.factories import make_frame_filter, make_grabber

    if settings.ray_address:
        from data.collection.cluster_grabs import maker_of_grabs
        from data.pool.cluster import open_cluster
        from data.pool.ray_pool import RayPool

        with open_cluster(settings, needs_store=True, workers=True) as cluster:
            # A grab is not repeated: another stream of the game takes its place. Without queues no grab waits.
            yield RayPool(cluster, maker_of_grabs(cluster.settings), settings.parallel_streams, ahead=0, losses=1)
        return
    with make_grabber(settings, stop.pause) as grabber:
        yield grabs_in_threads(grabber, make_frame_filter(settings), settings.parallel_streams, stop)
