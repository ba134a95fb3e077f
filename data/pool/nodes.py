"""Nodes of a Ray cluster to which this process is connected: list them, and run functions and actors on them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from data.pool.calls import results

if TYPE_CHECKING:
    from config import Settings
    from data.pool.shipping import Model

_READY_S = 8.0  # for prepared actors


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
    have the MODEL_PATH of that node. ready: actors that `start_actor` will return, by node's id.
    """

    address: str
    settings: Settings
    model: Model
    ready: dict[str, list[Any]] = field(default_factory=dict)

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
        if actors := self.ready.get(node.id):
            return actors.pop()
        options = {"num_cpus": 1, "num_gpus": gpus, "max_restarts": 0, "max_concurrency": 3}
        return _actor_class(kind).options(**options, scheduling_strategy=_on(node)).remote()

    def prepare_actors(self, kind: type) -> None:
        """Start an actor on each CPU for later calls of `run_on` and `start_actor`: its process takes seconds to start.

        kind: a class with a method `run(function, arguments)`.
        """
        for node in self.nodes():
            self.ready[node.id] = [self.start_actor(kind, node) for _ in range(node.cpus)]

    def run_on(
        self, nodes: list[Node], function: Callable[..., Any], arguments: tuple[Any, ...], timeout_s: float
    ) -> list[Any]:
        """Call a function on each node; return its results, or the error of each call.

        A prepared actor does it; if that fails, a process beside what runs there. A node without a free CPU, or that
        hangs, has such a process for `timeout_s` seconds, unless others have answered by then.
        """
        ready = [node for node in nodes if self.ready.get(node.id)]
        calls = [self.ready[node.id][0].run.remote(function, arguments) for node in ready]
        answers = dict(zip(ready, results(calls, _READY_S), strict=True))
        failed = [node for node in nodes if isinstance(answers.get(node, Exception()), Exception)]
        if len(failed) < len(nodes):
            failed = [node for node in failed if not isinstance(answers.get(node), TimeoutError)]
        again = results([_task(node, function, arguments) for node in failed], timeout_s)
        answers |= zip(failed, again, strict=True)
        return [answers[node] for node in nodes]

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


def _on(node: Node) -> Any:
    """Return where Ray runs what belongs to a node."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node.id, soft=False)


def _task(node: Node, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    import ray

    task = ray.remote(num_cpus=0, max_retries=0)(function)
    return task.options(scheduling_strategy=_on(node)).remote(*arguments)
