#!/usr/bin/env bash
# Two of metaworld's 50 scripted experts change the observation that they are asked about: door-open's and door-close's
# add to a view of it, in place. Whoever asks such an expert and then records the observation (behaviour cloning,
# DAgger, a dataset of demonstrations) records a door 5 cm (door-open) or 5, 12 and 10 cm (door-close) from where it is,
# in every step; asked twice about one array, the expert answers twice. The simulation itself does not notice.
#
# Expected: a policy reads its observation. The other 48 do.
# Seen with: metaworld 3.1.1, mujoco 3.3.0, gymnasium 1.4.0, numpy 2.4.6, Python 3.11. Source: `_desired_pos` in
# policies/sawyer_door_open_v3_policy.py (`pos_door[0] -= 0.05`) and sawyer_door_close_v3_policy.py (`pos_door += ...`),
# where `pos_door` is `obs[4:7]`. Output then:
#   experts that change their observation: door-close-v3 [0.05, 0.12, 0.1], door-open-v3 [-0.05, 0.0, 0.0]
#   door-open-v3: recorded after asking, 100 of 100 observations differ from the environment's; copied before, 0
# The script fails if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q "metaworld==3.1.1" "mujoco==3.3.0" "gymnasium==1.4.0" "numpy==2.4.6" packaging

cat >"$work/door.py" <<'P'
import warnings

warnings.filterwarnings("ignore")
import metaworld
import numpy as np
from metaworld.policies import ENV_POLICY_MAP

changed = {}
for name, expert in sorted(ENV_POLICY_MAP.items()):
    benchmark = metaworld.MT1(name, seed=0)
    env = benchmark.train_classes[name]()
    env.set_task(benchmark.train_tasks[0])
    observation, _ = env.reset()
    shown = observation.copy()
    expert().get_action(shown)
    if not np.array_equal(shown, observation):
        moved = shown - observation
        assert not moved[:4].any() and not moved[7:].any(), "the door alone"
        changed[name] = moved[4:7].round(6).tolist()
text = ", ".join(f"{name} {moved}" for name, moved in changed.items())
print(f"experts that change their observation: {text}")
assert changed == {"door-close-v3": [0.05, 0.12, 0.1], "door-open-v3": [-0.05, 0.0, 0.0]}, changed


def differing(copies: bool) -> int:
    """Of 100 observations of door-open, how many are not the environment's own after its expert was asked."""
    benchmark = metaworld.MT1("door-open-v3", seed=0)
    env = benchmark.train_classes["door-open-v3"]()
    env.set_task(benchmark.train_tasks[0])
    policy = ENV_POLICY_MAP["door-open-v3"]()
    observation, _ = env.reset()
    count = 0
    for _ in range(100):
        truth = observation.copy()
        action = policy.get_action(observation.copy() if copies else observation)
        count += not np.array_equal(observation, truth)
        observation, *_ = env.step(np.clip(action, -1.0, 1.0))
    return count


after, before = differing(copies=False), differing(copies=True)
print(f"door-open-v3: recorded after asking, {after} of 100 observations differ from the environment's; "
      f"copied before, {before}")
assert (after, before) == (100, 0), (after, before)
P
"$work/venv/bin/python" "$work/door.py"
echo "as found"
