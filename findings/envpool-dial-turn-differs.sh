#!/usr/bin/env bash
# EnvPool's MetaWorld/DialTurn-v3 is not metaworld's dial-turn-v3: the scripted expert that solves all solves none.
#
# EnvPool registers Meta-World's 50 tasks under their names, and its alignment test takes metaworld 3.1.1 for reference.
# That release requires MuJoCo 3.3.0 exactly; EnvPool is built with 3.6.0, where the same expert turns the dial too
# little: metaworld's own environment on 3.6.0 is solved in no episode either, so the physics is what differs. Nothing
# warns. After 499 steps the distance to the target is still 0.074 m of 0.085 m at the start, where 0.07 m would count.
# Success rates on this task, and averages over MT50 that contain it, are not comparable with metaworld's, and a policy
# or demonstrations made in one cannot be taken to work in the other. Whether a policy trained in EnvPool solves it was
# not tried. The expert is no worse on EnvPool as such: button-press-v3 is solved in all episodes.
#
# Expected: the same expert solves the same task, or the registry says that this one differs.
# Seen with: envpool 1.2.5, metaworld 3.1.1, mujoco 3.3.0 and 3.6.0, gymnasium 1.4.0, numpy 2.4.6, Python 3.11. Output:
#   metaworld, MuJoCo 3.3.0: button-press-v3 10 of 10, dial-turn-v3 10 of 10
#   metaworld, MuJoCo 3.6.0: button-press-v3 10 of 10, dial-turn-v3 0 of 10
#   EnvPool 1.2.5:           button-press-v3 10 of 10, dial-turn-v3 0 of 10
# The script fails if any of it changes. It downloads about 1 GB.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
install() { "$work/venv/bin/pip" install -q "$@"; }
install "metaworld==3.1.1" "mujoco==3.3.0" "gymnasium==1.4.0" "numpy==2.4.6" "envpool==1.2.5"

cat >"$work/experts.py" <<'P'
import sys
import warnings

warnings.filterwarnings("ignore")

import mujoco
import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.policies import ENV_POLICY_MAP

EPISODES, STEPS = 10, 499


def clipped(action):
    return np.clip(action, -1, 1).astype(np.float32)


def of_metaworld(task):
    """Episodes with a success at any step, each with a goal of its own, which the expert sees."""
    env, expert, solved = ALL_V3_ENVIRONMENTS[task](), ENV_POLICY_MAP[task](), 0
    env._partially_observable, env._freeze_rand_vec, env._set_task_called, env.seeded_rand_vec = False, False, True, True
    env.__dict__.pop("sawyer_observation_space", None)  # cached for the hidden goal
    env.seed(0)
    for _ in range(EPISODES):
        seen, success = env.reset()[0], False
        for _ in range(STEPS):
            seen, _, _, _, info = env.step(clipped(expert.get_action(seen)))
            success = success or bool(info["success"])
        solved += success
    return solved


def of_envpool(task):
    """The same with EnvPool's environments of that task."""
    import envpool

    name = "MetaWorld/" + "".join(word.capitalize() for word in task[:-3].split("-")) + task[-3:]
    pool = envpool.make_gymnasium(name, num_envs=EPISODES, num_threads=1, seed=0, partially_observable=False)
    experts = [ENV_POLICY_MAP[task]() for _ in range(EPISODES)]
    seen, success = pool.reset()[0], np.zeros(EPISODES, dtype=bool)
    for _ in range(STEPS):
        actions = [clipped(expert.get_action(each)) for expert, each in zip(experts, seen)]
        seen, _, _, _, info = pool.step(np.stack(actions))
        success |= info["success"] > 0
    return int(success.sum())


whose, of_dial = sys.argv[1], int(sys.argv[2])
counts = {task: (of_envpool if whose == "envpool" else of_metaworld)(task) for task in ("button-press-v3", "dial-turn-v3")}
label = "EnvPool 1.2.5:          " if whose == "envpool" else f"metaworld, MuJoCo {mujoco.__version__}:"
print(label, ", ".join(f"{task} {count} of {EPISODES}" for task, count in counts.items()))
sys.exit(list(counts.values()) != [EPISODES, of_dial])
P

"$work/venv/bin/python" "$work/experts.py" metaworld 10
"$work/venv/bin/python" "$work/experts.py" envpool 0
install "mujoco==3.6.0"
"$work/venv/bin/python" "$work/experts.py" metaworld 0
echo "as found"
