"""What fits to prompts take: policies are fitted where they are deployed, and `Stage.cost` tells of the rollouts alone.

It is no part of that cost, since protocols deploy the same policies and the first of them pays for all; and it is apart
from what stages import, so that a better estimate makes nothing again. What finished stages took holds their fits:
those that may have had some set no pace for others (`may_have_fitted`), or fits would count twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hyprepro.component import Component
from hyprepro.engine.stage import Stage
from hyprepro.experiments.rollouts import Deployment
from hyprepro.gen_hyprl.adaptation import (
    Adaptation,
    GatedAdaptation,
    LatentAdaptation,
    PromptAdaptation,
    RestartedAdaptation,
)
from hyprepro.gen_hyprl.candidates import CandidateSource, Distilled, Draws
from hyprepro.gen_hyprl.judges import ChosenAdaptation
from hyprepro.gen_hyprl.warping import WarpedAdaptation
from hyprepro.methods.base import WeightMethod
from hyprepro.methods.cloning import PromptCloning
from hyprepro.methods.gen_hyprl import GenHypRL

STEP_SECONDS = 2.6e-4
"""A step of a fit to one prompt, on a core: `hyprepro bench adaptation`, 0.052 s for 200 steps."""

WARPED_STEP_SECONDS = 4.7e-4
"""The same where pairs are drawn from warped demonstrations: 0.236 s for 500 steps."""


def latent_step_seconds(latent_size: int) -> float:
    """The same where the latent is fitted, through a linear decoder.

    3.2 times a plain step with 64 numbers a token (`hyprepro bench adaptation`); that it grows with the decoder's
    products, by one in 85 numbers, is an estimate.

    Args:
        latent_size: D, numbers of one of a latent's two tokens.
    """
    return STEP_SECONDS * (2.45 + latent_size / 85)


def may_have_fitted(manifest: Mapping[str, Any]) -> bool:
    """Whether a finished stage may have fitted policies to prompts, by the settings in its manifest.

    Which protocol's rollouts fitted for the others, and how many policies a gate let through, it does not tell.
    """
    method = manifest["settings"].get("method") or {}
    return bool(method.get("adaptation")) or method.get("component") == PromptCloning.__name__


def fitting_seconds(stages: Sequence[Stage]) -> dict[str, float]:
    """Seconds that stages spend on fits, by their keys; those without any are left out. See `STEP_SECONDS`.

    Of stages that deploy the same policies the first one fits them. What a gate lets through depends on how well the
    method does: it is counted as if it passed all policies of the tasks that are trained on, and none of others.

    Args:
        stages: Those to be made, in their order.
    """
    found: dict[str, float] = {}
    prepared: set[str] = set()
    for stage in stages:
        seconds = _deployed(stage) if isinstance(stage, Deployment) else 0.0
        if seconds and isinstance(stage, Deployment) and stage.preparation not in prepared:
            prepared.add(stage.preparation)
            found[stage.key] = seconds
    return found


def _deployed(stage: Deployment) -> float:
    """Seconds of the fits of one deployment."""
    method = stage.method
    if stage.data.domain.condition != "prompt":
        return 0.0
    if isinstance(method, PromptCloning):
        return STEP_SECONDS * method.steps * stage.prompts
    if not isinstance(method, WeightMethod) or method.adaptation is None:
        return 0.0
    adaptation: Adaptation = method.adaptation
    if isinstance(adaptation, GatedAdaptation):
        if stage.task in stage.data.trained():
            return 0.0
        adaptation = adaptation.adaptation
    return stage.prompts * _fitted(adaptation, method)


def _draws(method: WeightMethod) -> int:
    """The generator's draws for a prompt."""
    return method.candidates or method.hypformer.candidates if isinstance(method, GenHypRL) else 1


def _latent_steps(adaptation: LatentAdaptation, method: WeightMethod) -> float:
    """Seconds of a prompt's; none where there are no latents, since such a method is refused."""
    autoencoder = getattr(method, "autoencoder", None)
    return adaptation.steps * latent_step_seconds(autoencoder.latent_size) if autoencoder else 0.0


def _fitted(part: Component, method: WeightMethod) -> float:
    """Seconds of a prompt's fits.

    Args:
        part: An adaptation, or a source of candidates; one that is not known here counts nothing.
        method: Whose policies are fitted.
    """
    known: dict[type[Component], Callable[[Any], float]] = {
        PromptAdaptation: lambda each: STEP_SECONDS * each.steps,
        LatentAdaptation: lambda each: _latent_steps(each, method),
        WarpedAdaptation: lambda each: WARPED_STEP_SECONDS * each.fit.steps,
        RestartedAdaptation: lambda each: len(each.starts) * _fitted(each.adaptation, method),
        GatedAdaptation: lambda each: _fitted(each.adaptation, method),
        ChosenAdaptation: lambda each: sum(_fitted(source, method) for source in each.candidates),
        Distilled: lambda each: _fitted(each.fit, method) + sum(_fitted(source, method) for source in each.of),
        Draws: lambda each: _draws(method) * _fitted(each.fit, method),
        CandidateSource: lambda each: _fitted(each.fit, method),
    }
    counted = next((count for kind, count in known.items() if isinstance(part, kind)), None)
    return 0.0 if counted is None else counted(part)
