"""Training a stack of SAC agents in the real simulator: kill -9 at any moment, room on the disk, a full disk."""

from __future__ import annotations

import errno
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hyprepro.collect.metaworld.clones import CloneExperts
from hyprepro.collect.metaworld.needs import checkpoint_bytes, held_bytes, memory_bytes
from hyprepro.collect.metaworld.settings import CloneSettings
from hyprepro.collect.metaworld.training import TrainSAC
from hyprepro.collect.sac import checkpoint
from hyprepro.collect.sac.settings import SACSettings, SACTraining
from hyprepro.engine.cache import ArtifactCache
from hyprepro.engine.schedule import execute
from hyprepro.errors import UserError

CLONES = CloneExperts(CloneSettings(episodes=1, episode_steps=20), "scratch", ("reach",), (), 0)
TRAINING = SACTraining(
    sac=SACSettings(batch_size=8),
    updates=24,
    critic_updates=0,
    checkpoint_every=4,
    first_steps=10,
    episode_steps=5,
    replay=10,
)
STAGE = TrainSAC(CLONES, TRAINING, ("reach", "door-open"), (0, 1))

_KILLED = """
import os, signal, sys
from pathlib import Path
from hyprepro.engine.cache import ArtifactCache
from hyprepro.collect.sac import replay
from hyprepro.collect.sac import checkpoint
from tests.collect.metaworld.test_training import STAGE

add, last = replay.Replay.add, int(sys.argv[2])
def killed(self, **transition):
    add(self, **transition)
    if self.added == last:
        lines = Path("/proc/self/status").read_text().splitlines()
        print(*(line.split()[1] for line in lines if line.startswith("VmHWM")), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
replay.Replay.add = killed
if sys.argv[3] == "often":
    checkpoint.SECONDS_BETWEEN_CHECKPOINTS, checkpoint.LARGEST_SHARE = 0.0, float("inf")
ArtifactCache(Path(sys.argv[1])).make(STAGE)
"""


def killed(folder: Path, added: int, how_often: str) -> None:
    """Train until so many transitions were added, which is in the middle of an episode, and die by SIGKILL."""
    command = [sys.executable, "-c", _KILLED, str(folder), str(added), how_often]
    path = os.pathsep.join(filter(None, [str(Path.cwd()), *sys.path]))
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert STAGE.replay_bytes < 1024 * int(done.stdout) <= memory_bytes(STAGE), "its peak is within what is told"


def counts(work: Path) -> list[int]:
    """Transitions added and policies kept, as of the last checkpoint."""
    own = torch.load(work / "checkpoint.pt", weights_only=True)["own"]
    return [own["added"], own["kept"]]


@pytest.mark.sim
def test_killed_in_a_ring_that_has_come_round_it_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    whole, cache = ArtifactCache(tmp_path / "whole"), ArtifactCache(tmp_path / "killed")
    assert STAGE.room == (10, 30)
    assert STAGE.training.steps == 60
    for each in (whole, cache):
        each.make(CLONES)
    path, work = whole.make(STAGE), cache.work_of(STAGE)
    killed(cache.root, 48, "seldom")
    assert counts(work)[0] >= 30, "saved before transitions that were needed would have been written over"
    killed(cache.root, 57, "often")
    assert counts(work)[0] == 55
    assert_room_is_what_was_told(work)
    cache.make(STAGE)
    assert cache.manifest(STAGE)["files"] == whole.manifest(STAGE)["files"]
    assert not list(cache.path_of(STAGE).glob("checkpoint*"))
    params, updates = STAGE.load(path)
    assert params.shape == (7, 2, 22_664)
    assert updates.tolist() == [0, 4, 8, 12, 16, 20, 24]
    assert not np.array_equal(params[-2], params[-1])


def assert_room_is_what_was_told(work: Path) -> None:
    files = {file.name: file.stat() for file in work.iterdir()}
    told = held_bytes(STAGE) + STAGE.policies_bytes
    assert sum(512 * stat.st_blocks for stat in files.values()) <= told
    assert {name for name in files if name.startswith("checkpoint")} == {
        "checkpoint.pt",
        "checkpoint-policies.npy",
        "checkpoint-replay.npy",
    }
    assert STAGE.replay_bytes <= files["checkpoint-replay.npy"].st_size <= STAGE.replay_bytes + 4096
    large = TrainSAC(CLONES, TRAINING.model_copy(update={"replay": 1_000_000}), STAGE.tasks, STAGE.seeds)
    assert files["checkpoint.pt"].st_size <= checkpoint_bytes(STAGE) == checkpoint_bytes(large)


@pytest.mark.sim
def test_a_full_disk_is_one_clear_error_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    cache, work = ArtifactCache(tmp_path), ArtifactCache(tmp_path).work_of(STAGE)
    cache.make(CLONES)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full, raising=False)
        with pytest.raises(UserError, match="The disk is full") as caught:
            execute([STAGE], cache, 0)
    assert "checkpoint-replay.npy" in str(caught.value.where)
    assert list(work.iterdir()) == []
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(checkpoint, "LARGEST_SHARE", math.inf)
    (work / "checkpoint.partial").symlink_to("/dev/full")
    with pytest.raises(UserError, match="The disk is full"):
        execute([STAGE], cache, 0)
    execute([STAGE], cache, 0)
    assert cache.is_finished(STAGE)
