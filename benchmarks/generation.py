"""How fast Gen-HypRL writes policies, against others that write them: time does not depend on what was learned."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hyprepro.domains.base import Query
from hyprepro.engine.training import frozen
from hyprepro.gen_hyprl.assembled import Aggregated, PolicyGenerator
from hyprepro.gen_hyprl.conditions import Conditions, LatentSource
from hyprepro.methods.hypernetwork_net import TrainedHypernetwork
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.prompts import Prompts

if TYPE_CHECKING:
    from hyprepro.methods.gen_hyprl import GenHypRL, LatentMethod
    from hyprepro.methods.hypernetwork import WritingMethod
    from hyprepro.methods.make_an_agent import MakeAnAgent

PROMPT_SIZES = (1020, 117)
_PRODUCTS = {"mm", "addmm", "bmm", "baddbmm", "convolution", "_transformer_encoder_layer_fwd"}


def measure_generation(
    ours: GenHypRL, peer: MakeAnAgent, further: Sequence[WritingMethod], prompts: int, rounds: int
) -> dict[str, Any]:
    """Policies a second of untrained methods, from prompts to parameters, embedding and decoding included.

    Each turn writes one policy for each of the same prompts: ours with L draws of G and HypFormer, the peer by its DDIM
    steps, further methods by one pass of a network. They take turns on one thread, after one turn that does not count,
    and the medians are compared. Seconds are those of this process, so that other load on the machine counts as little
    as possible.

    Args:
        ours: Gen-HypRL.
        peer: Make-An-Agent.
        further: Networks that write weights from the same embedding of a prompt, without a latent.
        prompts: Policies a turn.
        rounds: Turns of each.

    Returns:
        `ours` and `peer` in policies a second, `ratio` (ours over the peer's), `further` by name, and `bound_share`:
        our speed over `bound`, that of its matrix products, convolutions and transformer layer alone, on the same
        tensors in turn.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(0)
            tau, tau_hat = (torch.randn(prompts, size).numpy() for size in PROMPT_SIZES)
            none = np.full(prompts, -1)
            query = Query("random", (), Prompts("random", "test", tau, tau_hat, none, none), prompts)
            former = ours.hypformer.build(*_sizes(ours))
            generator = frozen(ours.hyplatent.build(*_sizes(ours)))
            whole = _generation(ours, Aggregated(generator, frozen(former), ours.hypformer.candidates), query)
            diffused = _generation(peer, frozen(peer.diffusion.build(*_sizes(peer))), query)
            contestants = {"ours": whole, "peer": diffused, "bound": _products_of(whole)}
            contestants |= {method.name: _writing(method, query) for method in further}
            speeds = _speeds(contestants, prompts, rounds)
    finally:
        torch.set_num_threads(threads)
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    return {
        **{name: round(medians[name], 1) for name in ("ours", "peer", "bound")},
        "further": {method.name: round(medians[method.name], 1) for method in further},
        "ratio": round(medians["ours"] / medians["peer"], 3),
        "bound_share": round(medians["ours"] / medians["bound"], 3),
        "latent_size": ours.autoencoder.latent_size,
        "candidates": ours.hypformer.candidates,
        "generator": type(ours.hyplatent.generator).__name__,
        "inference_steps": peer.diffusion.inference_steps,
        "rounds": {name: [round(value, 1) for value in values] for name, values in speeds.items()},
    }


def _sizes(method: LatentMethod) -> tuple[int, int]:
    return method.embedding.embedding_size, method.autoencoder.latent_size


def _generation(method: LatentMethod, source: LatentSource, query: Query) -> Callable[[], None]:
    """The whole forward pass of an untrained method."""
    autoencoder = frozen(method.autoencoder.build(METAWORLD_LAYOUT))
    embedding = frozen(method.embedding.build(*PROMPT_SIZES))
    assembled, draws = PolicyGenerator(autoencoder, source, Conditions(embedding)), torch.Generator().manual_seed(0)

    def generate() -> None:
        assembled.policies(query, draws)

    return generate


def _writing(method: WritingMethod, query: Query) -> Callable[[], None]:
    """The whole forward pass of an untrained network that writes weights."""
    embedding = frozen(method.embedding.build(*PROMPT_SIZES))
    layout = method.layout_of(METAWORLD_LAYOUT)
    network = frozen(method.network(layout, 2 * method.embedding.embedding_size, valued=False))
    written = TrainedHypernetwork(network, Conditions(embedding), standardised=False)

    def generate() -> None:
        written.policies(query)

    return generate


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every product with the tensors that it multiplies."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in _PRODUCTS:
            self.calls.append((func, args, kwargs or {}))
        return func(*args, **(kwargs or {}))


def _products_of(work: Callable[[], None]) -> Callable[[], None]:
    """The products of `work` and nothing else."""
    with _Recorder() as recorder:
        work()

    def replay() -> None:
        for func, args, kwargs in recorder.calls:
            func(*args, **kwargs)

    return replay


def _speeds(contestants: dict[str, Callable[[], None]], prompts: int, rounds: int) -> dict[str, list[float]]:
    """Policies a second of each contestant in each round."""
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, work in contestants.items():
            start = time.process_time()
            work()
            if turn:
                speeds[name].append(prompts / (time.process_time() - start))
    return speeds
