"""The recipe of Figure 4: no rollouts, but predicted latents beside true ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from hyprepro.component import component, setting
from hyprepro.errors import UserError
from hyprepro.experiments.latents import PredictLatents, ProjectLatents, TrueLatents
from hyprepro.experiments.recipe import PromptExperiment, check_prompts, check_unique
from hyprepro.experiments.results import Outcome
from hyprepro.methods.gen_hyprl import LatentMethod
from hyprepro.reports.figures.latents import LatentsFigure
from hyprepro.reports.latent_records import LATENTS, write_latents
from hyprepro.reports.latents import summarise_latents
from hyprepro.reports.report import Report

if TYPE_CHECKING:
    from hyprepro.engine.cache import ArtifactCache
    from hyprepro.engine.stage import Stage
    from hyprepro.stores.files import StoreFiles


@component
class LatentRecipe(PromptExperiment):
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

    def targets(self, files: StoreFiles) -> tuple[Stage, ...]:
        """The one stage that projects all latents.

        Raises:
            UserError: A task or method stands twice, prompts or their policies are missing, or the methods' latents
                are of different autoencoders.
        """
        check_unique("LatentRecipe.methods", [method.name for method in self.methods])
        check_unique("LatentRecipe.tasks", self.tasks)
        check_prompts(self, self.tasks, self.prompt_split, files, "LatentRecipe.tasks")
        splits = self._splits(files)
        encoders = [method.encoded(files).autoencoder for method in self.methods]
        if len({encoder.key for encoder in encoders}) > 1:
            raise UserError(
                "The methods have different autoencoders, so their latents cannot be compared.",
                where="LatentRecipe.methods",
                fix="bind AUTOENCODER, which all of them share",
            )
        count, split, stores = self.prompts_per_task, self.prompt_split, (files.policies, files.trajectories)
        true = tuple(TrueLatents(encoders[0], task, count, split, *stores) for task in self.tasks)
        predicted = tuple(
            PredictLatents(method, method.training(files, seed), task, seed, count, split, files.trajectories)
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
        methods = {method.name: {"knows": method.knows} for method in self.methods}
        return Outcome(records, write_latents, summary.rows, summary.comparisons, methods, file=LATENTS)

    def _splits(self, files: StoreFiles) -> tuple[str, ...]:
        """Whether each task is seen (has training policies) or unseen; its prompts' policies must be stored."""
        from hyprepro.stores.training_data import training_tasks

        with files.open_policies() as policies, files.open_trajectories() as trajectories:
            seen = training_tasks(policies)
            for task in self.tasks:
                ids = trajectories.ids(task, self.prompt_split)[: self.prompts_per_task]
                rows = trajectories.table(task)["policy_row"][ids]
                if task not in policies.tasks or bool((rows < 0).any()):
                    raise UserError(
                        f"The policies behind some {self.prompt_split} prompts of {task} are not stored.",
                        where=f"LatentRecipe.tasks, {files.policies.path}",
                        fix=f"hyprepro store info {files.policies.path}",
                    )
        return tuple("seen" if task in seen else "unseen" for task in self.tasks)
