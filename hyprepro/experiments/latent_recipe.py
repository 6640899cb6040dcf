"""The recipe of Figure 4: no rollouts, but predicted latents beside true ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from hyprepro.component import component, setting
from hyprepro.errors import UserError
from hyprepro.experiments.latents import PredictLatents, ProjectLatents, TrueLatents
from hyprepro.experiments.recipe import Experiment, check_prompts, check_tasks, check_unique
from hyprepro.experiments.results import Outcome
from hyprepro.methods.gen_hyprl import LatentMethod
from hyprepro.reports.figures.latents import LatentsFigure
from hyprepro.reports.latents import LATENTS, summarise_latents, write_latents
from hyprepro.reports.report import Report

if TYPE_CHECKING:
    from hyprepro.domains.base import Data
    from hyprepro.engine.cache import ArtifactCache
    from hyprepro.engine.stage import Stage


@component
class LatentRecipe(Experiment):
    """Predicted and true latents of prompts, in principal coordinates and as distances (the paper's Figure 4).

    True latents are encodings of the policies that recorded the prompts, by the autoencoder that the methods share.
    """

    tasks: tuple[str, ...] = setting(..., "The tasks, one column of panels each.", source="paper, Figure 4")
    methods: tuple[LatentMethod, ...] = setting(..., "One row of panels each.", min_length=1)
    report: Report = setting(LatentsFigure(), "What is written from the numbers: a kind of table or figure.")
    prompt_split: Literal["test", "validation"] = setting(
        "test", "Which prompts: test, or validation, whose policies were trained on (20 a task in the bundled stores)."
    )
    components: int = setting(
        16, "Principal coordinates that are recorded and measured in, at most; 2 are drawn.", ge=2, le=256
    )

    def targets(self, data: Data) -> tuple[Stage, ...]:
        """The one stage that projects all latents.

        Raises:
            UserError: A task or method stands twice, prompts or their policies are missing, or the methods' latents
                are of different autoencoders.
        """
        check_unique("LatentRecipe.methods", [method.name for method in self.methods])
        check_unique("LatentRecipe.tasks", self.tasks)
        check_tasks("LatentRecipe.tasks", self.tasks)
        for method in self.methods:
            method.require(data)
        check_prompts(self, self.tasks, self.prompt_split, data, "LatentRecipe.tasks")
        splits = self._splits(data)
        known = data.for_training
        encoders = [method.encoded(known).autoencoder for method in self.methods]
        if len({encoder.key for encoder in encoders}) > 1:
            raise UserError(
                "The methods have different autoencoders, so their latents cannot be compared.",
                where="LatentRecipe.methods",
                fix="bind AUTOENCODER, which all of them share",
            )
        count, split = self.prompts_per_task, self.prompt_split
        true = tuple(TrueLatents(encoders[0], task, count, split, data) for task in self.tasks)
        predicted = tuple(
            PredictLatents(method, method.training(known, seed), task, seed, count, split, data)
            for method in self.methods
            for seed in range(self.seeds)
            for task in self.tasks
        )
        return (ProjectLatents(true, predicted, splits, self.components),)

    def outcome(self, targets: Sequence[Stage], cache: ArtifactCache) -> Outcome:
        """One record a latent, and the distances computed from them."""
        (projection,) = targets
        records = [record._replace(variant=self.variant) for record in projection.load(cache.path_of(projection))]
        summary = summarise_latents(records)
        bare = [method.model_copy(update={"adaptation": None}) for method in self.methods]  # nothing is deployed
        methods = {method.name: {"knows": method.information(self.domain)} for method in bare}
        return Outcome(records, write_latents, summary.rows, summary.comparisons, methods, file=LATENTS)

    def _splits(self, data: Data) -> tuple[str, ...]:
        """Whether each task is seen (has training policies) or unseen; its prompts' policies must be stored."""
        from hyprepro.stores.runs import prompt_ids

        with data.open_policies() as policies, data.open_trajectories() as trajectories:
            seen = policies.training_tasks()
            for task in self.tasks:
                ids = prompt_ids(policies, trajectories, task, self.prompt_split, self.prompt_runs)
                rows = trajectories.table(task)["policy_row"][ids[: self.prompts_per_task]]
                if task not in policies.tasks or bool((rows < 0).any()):
                    raise UserError(
                        f"The policies behind some {self.prompt_split} prompts of {task} are not stored.",
                        where=f"LatentRecipe.tasks, {data.policies.path}",
                        fix=f"hyprepro store info {data.policies.path}",
                    )
        return tuple("seen" if task in seen else "unseen" for task in self.tasks)
