#!/usr/bin/env bash
# Two names after which minari.list_local_datasets() fails for every dataset below the root, whoever made the others.
#
# 1. A name that minari refuses (a namespace of one letter): create_dataset_from_buffers raises ValueError, but only
#    after it has written the dataset's folder. The folder stays, and listing then meets the name and raises as well.
# 2. A name that minari takes (the namespace "data"): the dataset is made, loads, and listing raises ValueError, since
#    a folder called "data" counts as the numbers of a dataset, here of the whole root.
#
# Expected: a refused name leaves nothing, and no accepted name breaks the listing of other datasets.
# Seen with: minari 0.5.4, gymnasium 1.4.0, h5py 3.16.0, numpy 2.4.6, Python 3.11. Source: storage/local.py and
# utils.py of that release. Output then:
#   one letter: refused with ValueError, its folder is left, listing: ValueError
#   data: made and loaded with 1 episode, listing: ValueError
# The script fails if either changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q "minari==0.5.4" "gymnasium==1.4.0" "h5py==3.16.0" "numpy==2.4.6" pillow

cat >"$work/names.py" <<'P'
import os
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
root = Path(sys.argv[1])
os.environ["MINARI_DATASETS_PATH"] = str(root)

import gymnasium
import minari
import numpy as np
from minari.data_collector import EpisodeBuffer

SPACE = gymnasium.spaces.Box(-1, 1, (1,))


def make(name):
    """One dataset with one episode of two steps."""
    episode = EpisodeBuffer(
        id=0, seed=0, options=None, infos={}, observations=[np.zeros(1, np.float32)] * 3,
        actions=[np.zeros(1, np.float32)] * 2, rewards=[0.0] * 2, terminations=[False] * 2, truncations=[False, True],
    )
    return minari.create_dataset_from_buffers(
        dataset_id=name, buffer=[episode], observation_space=SPACE, action_space=SPACE, algorithm_name="none",
        author="none", author_email="none@example.com", code_permalink="none",
    )


def outcome(act):
    try:
        return act()
    except ValueError:
        return "ValueError"


make("ours/reach-v0")
assert list(minari.list_local_datasets()) == ["ours/reach-v0"]
if sys.argv[2] == "letter":
    refused, left = outcome(lambda: make("m/reach-v0")), (root / "m").exists()
    print(f"one letter: refused with {refused}, its folder is {'left' if left else 'gone'}, ", end="")
    found = (refused, left) == ("ValueError", True)
else:
    make("data/reach-v0")
    episodes = minari.load_dataset("data/reach-v0").total_episodes
    print(f"data: made and loaded with {episodes} episode, ", end="")
    found = episodes == 1
listing = outcome(minari.list_local_datasets)
print(f"listing: {listing}")
sys.exit(0 if found and listing == "ValueError" else 1)
P

for kind in letter data; do
  mkdir "$work/$kind"
  "$work/venv/bin/python" "$work/names.py" "$work/$kind" "$kind"
done
echo "as found"
