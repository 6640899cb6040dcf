"""What a method is: a row of a table, trained from a domain's stores, that yields controllers for what is asked.

A table is methods x tasks x protocols, and Gen-HypRL is the first among equals: it, its ceilings and its competitors
all derive from `Method`. A new competitor is one file here, one gin file and one line in a recipe.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from hyprepro.component import Component, setting
from hyprepro.engine.stage import Report, Stage
from hyprepro.errors import UserError
from hyprepro.gen_hyprl.adaptation import Adaptation, Start
from hyprepro.gen_hyprl.assembled import gather

if TYPE_CHECKING:
    from hyprepro.domains.base import Condition, Data, Domain, Query
    from hyprepro.policies.controllers import Controllers


class Method(Component, ABC):
    """A row of a table: how it is trained and how it is deployed.

    Subclasses declare:
        label: The method's name, for example "gen-hyprl".
        seeded: Whether the method is trained and evaluated once per generator seed (True) or once (False, seed 0).
        knows: The information that the method is given at test time, for the reader of the table, for example "prompt";
            "{told}" stands for what tells a task in the domain: prompt, velocity.
        learns: Whether the row depends on which tasks are trained on; if not it is evaluated once for all training
            sets.
        conditions: How the method can be told the task; it serves the domains of these conditions.
        rewarded: Whether it needs the rewards of episodes of equal length; it then serves domains that are scored by
            return and whose environments end none.
        needs: Why it serves no others, for the reader of the refusal.
    """

    slot: ClassVar[str] = "method"
    label: ClassVar[str] = ""
    seeded: ClassVar[bool] = False
    knows: ClassVar[str] = ""
    learns: ClassVar[bool] = True
    conditions: ClassVar[frozenset[Condition]] = frozenset({"prompt", "parameter"})
    rewarded: ClassVar[bool] = False
    needs: ClassVar[str] = ""

    row: str = setting("", "the row's name where a recipe has a method more than once; empty: the method's own name")

    @property
    def name(self) -> str:
        """The row's name in records and tables."""
        return self.row or self.label

    def information(self, domain: Domain) -> str:
        """What the method is given at test time with its settings, for the reader of a domain's table."""
        return self.knows.replace("{told}", domain.told)

    def require(self, data: Data) -> None:
        """Fail before any work if the domain or its stores cannot serve this method (`UserError`)."""
        domain = data.domain
        is_whole = not domain.metric.ends_episode and not domain.ends
        if domain.condition not in self.conditions or (self.rewarded and not is_whole):
            raise UserError(
                f"{self.name} cannot run on {domain.title}, whose tasks are told by a {domain.told} and scored by "
                f"{domain.metric.name.replace('_', ' ')}" + (f": {self.needs}." if self.needs else "."),
                where=f"{type(self).__name__}, among the recipe's methods",
                fix="leave it out of the recipe's methods",
            )

    def refusal(self, data: Data, task: str) -> str:
        """Why the method has no row on a task, in words that follow its name; empty: it has one.

        Args:
            data: The stores, with the tasks that are trained on.
            task: The task that is asked about.
        """
        return ""

    def training(self, data: Data, seed: int) -> Stage | None:
        """The last training stage (its inputs hang on it), or None when there is nothing to train.

        Args:
            data: The stores. Training reads the policies of split "train" and the episodes of splits "train" and
                "validation" of the tasks that are trained on (`Data.trained`) only; the policy store shows no others.
            seed: The generator seed. Methods with `seeded = False` ignore it, so that all seeds share one artefact.
        """
        return None

    def deployable(self, data: Data, seed: int) -> Stage | None:
        """The stage whose artefact `deploy` takes: `training`, and what else is learnt for the deployment."""
        return self.training(data, seed)

    @abstractmethod
    def deploy(self, trained: Any, data: Data, query: Query, seed: int) -> Controllers:
        """Controllers for one task: one a prompt in the order of the prompts, or the method's own number of them.

        Args:
            trained: What the `load` of the stage `deployable` returned; None when there is none.
            data: The same stores as in training. Of the task's data a method may use what `knows` says, no more.
            query: What is asked for.
            seed: The generator seed; every random draw at deployment derives from it.

        Raises:
            UserError: If the stores lack what the method needs for this task.
        """


class Equipped(NamedTuple):
    """What a method was trained to be, and what the adaptation of its policies learnt beside it.

    Attributes:
        trained: The method's; None where it is not trained.
        learnt: The adaptation's.
    """

    trained: Any
    learnt: Any


@dataclass(frozen=True)
class Equip(Stage):
    """Gathers the two in one artifact.

    Attributes:
        trained: The method's last training stage; None where it is not trained.
        learnt: The adaptation's.
    """

    kind: ClassVar[str] = "equipped"

    trained: Stage | None
    learnt: Stage

    def run(self, work: Path, inputs: dict[str, Path], report: Report) -> None:
        """Give each a folder here."""
        gather(work, inputs)

    def load(self, path: Path) -> Equipped:
        """Both, frozen."""
        trained = None if self.trained is None else self.trained.load(path / "trained")
        return Equipped(trained, self.learnt.load(path / "learnt"))


class WeightMethod(Method):
    """A method that generates policies, one a prompt where there are prompts, and may then fit each to its prompt.

    Where the condition is numbers there is nothing to fit to, and `adaptation` is of no account.
    """

    adaptation: Adaptation | None = setting(None, "what fits the generated policy to the prompt; None: nothing")

    def information(self, domain: Domain) -> str:
        """`knows`, and what the adaptation makes of the policies."""
        told = super().information(domain)
        if self.adaptation is None or domain.condition != "prompt":
            return told
        return f"{told}; its policies are then {self.adaptation.told} ({type(self.adaptation).__name__})"

    def require(self, data: Data) -> None:
        """The domain must have what the adaptation needs as well."""
        super().require(data)
        if self.adaptation is not None and data.domain.condition == "prompt":
            self.adaptation.require(data.domain)

    def deployable(self, data: Data, seed: int) -> Stage | None:
        """With what the adaptation learns, if it does."""
        trained = self.training(data, seed)
        if self.adaptation is None or data.domain.condition != "prompt":
            return trained
        learnt = self.adaptation.training(data)
        return trained if learnt is None else Equip(trained, learnt)

    def adaptation_to(self, query: Query) -> Adaptation | None:
        """What fits the policies to the query's prompts; None where it has none."""
        return None if query.prompts is None else self.adaptation

    @abstractmethod
    def generate(self, trained: Any, data: Data, query: Query, seed: int) -> Start:
        """The policies, those of prompts in the prompts' order; arguments and errors as for `deploy`."""

    def deploy(self, trained: Any, data: Data, query: Query, seed: int) -> Controllers:
        """The generated policies, adapted to their prompts if that is bound."""
        import torch

        from hyprepro.policies.controllers import PolicyControllers

        trained, learnt = trained if isinstance(trained, Equipped) else (trained, None)
        start, adaptation = self.generate(trained, data, query, seed), self.adaptation_to(query)
        if adaptation is None:
            return PolicyControllers(start.layout, start.params)
        start = replace(start, domain=data.domain, learnt=learnt)
        draws = torch.Generator().manual_seed(draw_seed(seed, query.task, "adaptation"))
        params = adaptation.adapt(start, query.shown, draws)
        return PolicyControllers(start.layout, params, tuple(dict.fromkeys(start.notes)))


def draw_seed(seed: int, *parts: str) -> int:
    """The seed of some draws at deployment: the same for all methods, another for each task and use."""
    text = "/".join((str(seed), *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def derived_seed(seed: int, task: str) -> int:
    """A seed of 32 bits that differs between a method's seeds and between tasks."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{task}".encode()).digest()[:4], "big")
