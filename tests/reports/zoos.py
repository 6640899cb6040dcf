"""Results that compare zoos, with known success rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hyprepro.reports.summary import summarise
from tests.reports.synthetic import TABLE1_TASKS, TABLE3_TASKS, make_records, make_result

SEEN, UNSEEN = TABLE1_TASKS[:3], TABLE3_TASKS[:2]
COLUMNS = ("parent", "independent/training", "independent/unseen")
RATES = {
    "parent": {"gen-hyprl": 0.99, "make-an-agent": 0.99, "expert": 0.99},
    "independent/training": {"gen-hyprl": 0.6, "make-an-agent": 0.99, "expert": 0.99},
    "independent/unseen": {"gen-hyprl": 0.3, "make-an-agent": 0.98, "expert": 0.99},
}
PAIRS = (("make-an-agent", "expert"),)


def zoos_result(
    rates: Mapping[str, Mapping[str, float]] = RATES,
    *,
    config: Mapping[str, Any] | None = None,
    pairs: Sequence[Sequence[str]] = PAIRS,
    report: str = "ZooTable",
) -> dict[str, Any]:
    """A result of some zoos; those with prompts of training runs have no unseen tasks."""
    records = []
    for number, (zoo, of) in enumerate(rates.items()):
        tasks = SEEN if zoo.endswith("/training") else SEEN + UNSEEN
        found = make_records(of, tasks=tasks, policies=8, seed=number)
        records += [record._replace(zoo=zoo) for record in found]
    summary = summarise(records, recipe="zoos", tasks=[*SEEN, *UNSEEN], pairs=pairs, resamples=100)
    result = make_result(make_records({"expert": 1.0}, tasks=SEEN[:1]), report)
    numbers = {"rows": summary.rows, "comparisons": summary.comparisons, "profiles": summary.profiles}
    stores = {
        zoo: {
            "policies": zoo[0] * 64,
            "trajectories": zoo[-1] * 64,
            "route": {"summary": f"SAC of {zoo.partition('/')[0]} runs."},
            "prompts": [zoo.partition("/")[2] or "unseen"],
            "training_runs": [3, 3] if zoo == "parent" else [9, 10],
            "training_policies": [60, 60],
        }
        for zoo in rates
    }
    names = dict.fromkeys(zoo.partition("/")[0] for zoo in rates)
    of_recipe: dict[str, Any] = {
        "title": "Toy zoos",
        "seen": list(SEEN),
        "unseen": list(UNSEEN),
        "pairs": [list(pair) for pair in pairs],
        "reference": "gen-hyprl",
        "prompt_split": "test",
        "prompts_per_task": 8,
        "zoos": [{"name": name, "without": []} for name in names],
    }
    provenance = result["provenance"]
    provenance |= {"stores": {"zoos": stores}, "config": {**provenance["config"], **of_recipe, **(config or {})}}
    return {**result, **numbers, "recipe": "zoos", "provenance": provenance}
