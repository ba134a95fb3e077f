"""Nodes of a Ray cluster to which this process is connected: list them, and run functions and actors on them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from config import Settings
    from data.pool.shipping import Model


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the cluster, or one of several Ray nodes on a machine."""

    id: str
    address: str
    cpus: int
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster to which this process is connected.

    `settings` and `model` may be pickled into functions that run on the nodes; on each one, `model.settings(settings)`
    have the MODEL_PATH of that node.
    """

    address: str
    settings: Settings
    model: Model

    def nodes(self) -> list[Node]:
        """Return the nodes that are alive. Without the cluster's head it does not return for a minute."""
        import ray

        return [
            Node(
                node["NodeID"], node["NodeManagerAddress"], *(int(node["Resources"].get(k, 0)) for k in ("CPU", "GPU"))
            )
            for node in ray.nodes()
            if node["Alive"]
        ]

    def start_actor(self, kind: type, node: Node, gpus: int = 0) -> Any:
        """Return the handle of a new actor of class `kind` on a CPU of the node. It ends with this process."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        where = NodeAffinitySchedulingStrategy(node.id, soft=False)
        options = {"num_cpus": 1, "num_gpus": gpus, "max_restarts": 0, "max_concurrency": 3}
        return _actor_class(kind).options(**options, scheduling_strategy=where).remote()

    def run_on(
        self, nodes: list[Node], function: Callable[..., Any], arguments: tuple[Any, ...], timeout_s: float
    ) -> list[Any]:
        """Call a function on each node, beside what runs there; return its results, or the error of each call."""
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        task = ray.remote(num_cpus=0, max_retries=0)(function)
        refs = [
            task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)).remote(*arguments)
            for node in nodes
        ]
        ray.wait(refs, num_returns=len(refs), timeout=timeout_s)
        return [_result(ref) for ref in refs]

    def put(self, value: Any) -> Any:
        """Return a reference to a value in the cluster's object store: an argument for many calls."""
        import ray

        return ray.put(value)

    def kill(self, actor: Any) -> None:
        """End an actor's process, without waiting for it."""
        import ray

        with suppress(Exception):  # gone already, or the head is
            ray.kill(actor, no_restart=True)


@functools.cache
def _actor_class(kind: type) -> Any:
    """Return Ray's class of actors; each new one is sent to the cluster."""
    import ray

    return ray.remote(kind)


def _result(ref: Any) -> Any:
    """Return the result of a call, or its error: it failed, or has not ended yet."""
    import ray

    try:
        return ray.get(ref, timeout=0.1)
    except Exception as error:  # noqa: BLE001 - whatever the call raised
        return error
