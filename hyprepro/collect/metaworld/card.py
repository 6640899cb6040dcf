"""The data card beside the stores: what is in them and how it was made, read from the stores and the settings."""

from __future__ import annotations

from pathlib import Path

from hyprepro.collect.metaworld.collection import MetaWorldCollection
from hyprepro.collect.metaworld.settings import Selection
from hyprepro.stores.card import contents, unsolved_lines, versions_line
from hyprepro.stores.info import store_info


def data_card(name: str, collection: MetaWorldCollection, policies: Path, trajectories: Path) -> str:
    """Markdown: contents and quality by task, route, schedule, versions, limits."""
    zoo, episodes = store_info(policies), store_info(trajectories)
    selection, training = collection.selection, collection.training
    return f"""# Data card: {name}

Made by `hyprepro collect {name}`; written by that command, not by hand.

{contents(zoo, episodes)}

- **Policies**: {zoo["route"]["summary"]}. MLPs 39 -> 128 -> 128 with mean and log-std heads of 4, ReLU,
  22,664 parameters, {selection.weights}; the deterministic action is tanh(mean). Weights act on raw observations.
- **Success** is the share of {selection.score_goals} fresh goals solved within {selection.score_steps} steps by the
  deterministic policy, measured on the stored (rounded) weights; **return** is the undiscounted sum of metaworld's
  dense reward (0 to 10 a step) over the same {selection.score_steps} steps. Both are recorded policy by policy.
- **Which policies**: the last checkpoints with a success rate of at least {selection.acceptance}, taken every
  {training.checkpoint_every * selection.train_stride} updates of SAC: up to {selection.train_policies} of each of
  {selection.train_seeds} training seeds, up to {selection.test_policies} of {_further(selection)}
  test prompts only.{_siblings(selection)}
- **SAC**: {training.updates} updates an agent, of which {training.critic_updates} train the critics alone,
  {training.updates_per_step} updates an environment step, episodes of {training.episode_steps} steps on a new goal
  each, cloning weight {training.sac.cloning_weight}, trainer {training.trainer}.
- **Prompts** are deterministic episodes of stored policies, each on a goal of its own, cut off as soon as they hold
  60 steps, the first success and the two steps after it; an episode that fails is replaced by one on another goal,
  so prompts are successful by construction (as Make-An-Agent's are). Test prompts come from SAC runs that no training
  policy comes from{", and as many from training runs" * bool(selection.prompt_policies)}, on goals that no training
  prompt has.
{unsolved_lines(zoo)}- **Limits**: {limits(collection)}
- **Versions**: {versions_line(zoo)}. Results on another MuJoCo version are not comparable.
- **Digests**: policies `{zoo["digest"]}`, trajectories `{episodes["digest"]}`.
- **Licence**: that of this repository. No data of others is contained.
"""


def _further(selection: Selection) -> str:
    one = selection.test_seeds == 1
    return "one further seed, whose run gives" if one else f"each of {selection.test_seeds} further seeds, which give"


def _siblings(selection: Selection) -> str:
    if not selection.prompt_policies:
        return ""
    return f"""
  Of each training seed up to {selection.prompt_policies} accepted checkpoints before these are stored as test policies:
  nothing is trained on them, they give test prompts from training runs."""


def summary(collection: MetaWorldCollection) -> str:
    """The route in a line."""
    sac = "SAC with a cloning term" if collection.training.sac.cloning_weight else "SAC"
    if collection.route == "independent":
        asked = "metaworld's scripted experts, asked in the states visited"
        return f"{sac} ({asked}), every run from random weights of its own"
    if collection.route == "scratch":
        return f"{sac} without demonstrations, every run from random weights of its own"
    grown = "grown from one parent" if collection.cloning.parent_rounds else "each from random weights of its task"
    return f"{sac}, from DAgger clones of metaworld's scripted experts {grown}"


def limits(collection: MetaWorldCollection) -> str:
    """What the policies of the route are not."""
    near = "checkpoints of one run are close to each other"
    if collection.is_sliced:
        return f"""{near}. Runs share nothing but the normalisation of observations
  during training, which is measured on the scripted experts' states of all seen tasks and folded into the weights."""
    if not collection.cloning.parent_rounds:
        return f"""{near}, and all runs of a task start from the same clone. The policies
  of a task differ less than policies of independent runs would."""
    return f"""{near}, all runs of a task start from the same clone, and all
  clones from one parent. The policies of a task differ less than policies of independent runs would."""
