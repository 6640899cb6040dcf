"""The Hugging Face Hub through `huggingface_hub`: where things are, sending in one commit, bringing one file.

The library is an extra, `pip install 'hyprepro[hub]'`, and is imported when it is used. Its errors, and those of the
connection, become `UserError` here.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyprepro.engine.stage import explain_os_error
from hyprepro.errors import UserError, needing
from hyprepro.hub.manifest import FILE

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MODEL, DATASET = "model", "dataset"
TOKEN = "hf auth login, or export HF_TOKEN=...; a token that may write is made at huggingface.co/settings/tokens"
AGAIN = "run the same command again: files that have arrived are kept, and it goes on from there"

_NAMED = re.compile(r"(?:(models|datasets)/)?([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", re.ASCII)


@dataclass(frozen=True)
class Place:
    """A repository at a commit.

    Attributes:
        name: "USER/NAME".
        type: "model" or "dataset".
        revision: The commit's hash.
    """

    name: str
    type: str
    revision: str

    def __str__(self) -> str:
        prefix = "datasets/" if self.type == DATASET else ""
        return f"{prefix}{self.name}@{self.revision}"


def named(text: str, flag: str = "") -> tuple[str | None, str, str | None]:
    """Type, name and revision of `[datasets/]USER/NAME[@REVISION]`; None where it does not say.

    Raises:
        UserError: It is none.
    """
    found = _NAMED.fullmatch(text)
    if found is None:
        raise UserError(
            f"{text!r} does not name a repository of the Hub.",
            where=f"{flag} {text}".strip(),
            fix="say USER/NAME, datasets/USER/NAME, or either with @REVISION",
        )
    kind, name, revision = found.groups()
    return kind and kind.removesuffix("s"), name, revision


def api(flag: str = "") -> HfApi:
    """The Hub's client.

    Raises:
        UserError: It is not installed.
    """
    with needing("huggingface_hub", "hub", flag):
        import huggingface_hub
        from huggingface_hub.utils.logging import set_verbosity
        from huggingface_hub.utils.tqdm import disable_progress_bars
    set_verbosity(logging.ERROR)  # what goes wrong in the end is said once, in a panel
    if not sys.stderr.isatty():
        disable_progress_bars()
    return huggingface_hub.HfApi(library_name="hyprepro")


def require_token() -> None:
    """Refuse to send anything without a token (`UserError`)."""
    from huggingface_hub import get_token

    if not get_token():
        raise UserError("There is no token of the Hugging Face Hub.", where="HF_TOKEN and hf auth whoami", fix=TOKEN)


def send(name: str, kind: str, files: Mapping[str, Path | bytes], message: str, private: bool) -> Place:
    """Write files to a repository by one commit, so that all of them are there or none; it is made where it is missing.

    Args:
        name: "USER/NAME".
        kind: "model" or "dataset".
        files: By their path there.
        message: Of the commit.
        private: A new repository is seen by its owner alone.

    Raises:
        UserError: No token, one that may not do this, a repository of another origin, or the connection broke.
    """
    hub = api()
    require_token()
    from huggingface_hub import CommitOperationAdd

    with reaching(name, "run the same command again: nothing of it can be seen before all has arrived"):
        hub.create_repo(name, repo_type=kind, private=private or None, exist_ok=True)
        siblings = getattr(hub.repo_info(name, repo_type=kind), "siblings", None) or ()
        there = {each.rfilename for each in siblings}
        if FILE not in there and there - {".gitattributes"}:
            raise UserError(
                "This repository holds something that hyprepro did not publish.",
                where=name,
                fix="name a new one; push makes it",
            )
        operations = [CommitOperationAdd(path, content) for path, content in files.items()]
        commit = hub.create_commit(name, operations, commit_message=message, repo_type=kind)
    return Place(name, kind, str(commit.oid))


def locate(text: str) -> Place:
    """The repository that `[datasets/]USER/NAME[@REVISION]` means, at the commit that it stands at now.

    Raises:
        UserError: There is none that this user may read, or no such revision, or the connection broke.
    """
    from functools import partial

    kind, name, revision = named(text)
    hub = api()
    from huggingface_hub.errors import RepositoryNotFoundError

    with reaching(text):
        look = partial(hub.repo_info, name, revision=revision)
        try:
            info = look(repo_type=kind or MODEL)
            kind = kind or MODEL
        except RepositoryNotFoundError:
            if kind is not None:
                raise
            info, kind = look(repo_type=DATASET), DATASET
    commit = str(info.sha)
    if not re.fullmatch("[0-9a-f]{40}", commit) or (_is_commit(revision) and commit != revision):
        raise UserError(
            "The Hub answers with another commit than was asked for.", where=f"{text}: {commit[:60]}", fix="ask again"
        )
    return Place(name, kind, commit)


def _is_commit(revision: str | None) -> bool:
    return revision is not None and re.fullmatch("[0-9a-f]{40}", revision) is not None


def bring(place: Place, path: str, anew: bool = False) -> Path:
    """A file of a repository, in the Hub's own cache, where what has arrived stays.

    Args:
        place: The repository.
        path: The file's path there.
        anew: Even if the cache has it.

    Raises:
        UserError: There is no such file, it may not be read, or the connection broke.
    """
    hub = api()
    with reaching(f"{place}: {path}"):
        found = hub.hf_hub_download(
            place.name, path, repo_type=place.type, revision=place.revision, force_download=anew
        )
    return Path(str(found))


@contextmanager
def reaching(where: str, again: str = AGAIN, who: str = "The Hub") -> Iterator[None]:
    """Turn what the client and the connection raise into `UserError`.

    Args:
        where: What is being reached.
        again: What to do where trying again may help.
        who: Who answers; only the Hub is told a token.
    """
    import httpx2
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise UserError(f"The Hub takes no such name: {error}.", where=where, fix="say USER/NAME") from None
    except errors.RevisionNotFoundError:
        raise UserError("The repository has no such revision.", where=where, fix="see its commits on the Hub") from None
    except errors.RepositoryNotFoundError as error:
        raise UserError(
            f"There is no such repository, or it is not for this token{_code(error)}.", where=where, fix=TOKEN
        ) from None
    except errors.RemoteEntryNotFoundError:
        raise UserError(
            "The repository has no such file.",
            where=where,
            fix=f"only what hyprepro push published can be pulled; it holds {FILE}",
        ) from None
    except errors.HfHubHTTPError as error:
        if who == "The Hub" and _status(error) in (401, 403):
            raise UserError(f"The Hub refuses this token{_code(error)}.", where=where, fix=TOKEN) from None
        raise UserError(f"{who} has no answer to this{_code(error)}.", where=where, fix=again) from None
    except (httpx2.HTTPError, ConnectionError, errors.LocalEntryNotFoundError) as error:
        raise UserError(f"The connection broke: {_reason(error)}.", where=where, fix=again) from None
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise UserError(f"{who} answers what makes no sense.", where=f"{where}: {reason}", fix=again) from None
    except OSError as error:
        explained = explain_os_error(error, Path.home())
        if explained is None and "Consistency check failed" in str(error):
            explained = UserError("The connection broke: a file is incomplete.", where=where, fix=again)
        raise explained or error from None


def _status(error: Any) -> int | None:
    code = getattr(getattr(error, "response", None), "status_code", None)
    return code if isinstance(code, int) else None


def _code(error: Any) -> str:
    code = _status(error)
    return "" if code is None else f" (HTTP {code})"


def _reason(error: BaseException) -> str:
    """The first words of the innermost cause."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".") or type(error).__name__
