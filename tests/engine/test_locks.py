"""File systems without locks: the one thing that hides them is a kernel's answer, so that answer is given here."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hyprepro.engine.cache import ArtifactCache, lock
from hyprepro.engine.schedule import execute
from hyprepro.errors import UserError
from hyprepro.policies.layout import METAWORLD_LAYOUT
from hyprepro.stores.policy_store import PolicyStoreWriter
from tests.engine.toy_stages import Join, Toy

CODES = {"ENOLCK": errno.ENOLCK, "EOPNOTSUPP": errno.EOPNOTSUPP, "ENOSYS": errno.ENOSYS, "EINVAL": errno.EINVAL}


@pytest.fixture
def without_locks(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """From now on the kernel answers with this code."""

    def answer(code: int) -> None:
        def refuse(*_: object) -> None:
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(fcntl, "flock", refuse)

    return answer


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_a_cache_without_locks_is_one_mistake_that_names_the_place_and_the_flag(
    tmp_path: Path, without_locks: Callable[[int], None], code: int
) -> None:
    without_locks(code)
    with pytest.raises(UserError) as caught:
        execute([Join(parts=(Toy("a"), Toy("b")))], ArtifactCache(tmp_path / "cache"), workers=0)
    assert os.strerror(code) in caught.value.what
    assert str(tmp_path / "cache") in caught.value.where
    assert "--cache" in caught.value.fix
    assert not list(tmp_path.iterdir())


def test_a_lock_that_nobody_ever_gets_is_no_endless_wait(tmp_path: Path, without_locks: Callable[[int], None]) -> None:
    without_locks(errno.EWOULDBLOCK)
    waited: list[bool] = []
    with (
        pytest.raises(UserError, match="no lock"),
        ArtifactCache(tmp_path / "cache").lock("a", lambda: waited.append(True)),
    ):
        pass
    assert waited == [True]


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_a_store_without_locks_is_not_begun(tmp_path: Path, without_locks: Callable[[int], None], code: int) -> None:
    without_locks(code)
    with pytest.raises(UserError) as caught:
        PolicyStoreWriter(tmp_path / "p.h5", METAWORLD_LAYOUT, {}, versions={})
    assert str(tmp_path / "p.h5") in caught.value.where
    assert "local disk" in caught.value.fix
    assert not list(tmp_path.iterdir())


def test_a_lock_is_held_until_its_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("w") as first, path.open("w") as second:
        lock(first, path, "wait")
        with pytest.raises(BlockingIOError):
            lock(second, path, "wait")
        first.close()
        lock(second, path, "wait")
