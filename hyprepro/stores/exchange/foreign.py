"""What importers and exporters share: tensors out of untrusted archives, what is unknown, fresh outputs only.

Other people's files are PyTorch's or stable-baselines3's, and both hold pickles. A pickle is a program; none is run
here. Tensors are read by torch's restricted unpickler (`weights_only`), which knows tensors, numbers, strings and plain
containers and refuses everything else, after the archive around them was checked.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hyprepro.engine.provenance import PACKAGES, versions
from hyprepro.errors import UserError

if TYPE_CHECKING:
    import torch

UNKNOWN = -1
"""A seed, a training step or a goal's seed that a file does not tell. An unknown success rate or return is a mean over
no episode: `episodes` is 0, and the rate then says nothing."""

MAX_PICKLE = 2**20
"""Bytes of the pickle in an archive; that of three tensors has some hundred, that of a SAC policy some thousand."""


def unknown_versions() -> dict[str, str]:
    """The versions of a store whose policies somebody else made: ours of hyprepro, which wrote it, the rest unknown."""
    return {**dict.fromkeys((*PACKAGES, "python", "platform"), "unknown"), "hyprepro": versions()["hyprepro"]}


def refuse_existing(*paths: Path | None) -> None:
    """Never overwrite what somebody has (`UserError`), and never two outputs under one name."""
    given = [path for path in paths if path is not None]
    for number, path in enumerate(given):
        if path.exists() or path in given[:number]:
            raise UserError(
                "The output exists already." if path.exists() else "Two outputs have the same name.",
                where=str(path),
                fix="remove it or choose another name",
            )


def check_archive(source: Path | IO[bytes], where: str, fix: str = "") -> None:
    """Refuse what is not a complete archive of `torch.save` (PyTorch 1.6 or later) with a pickle of a sane size.

    Args:
        source: The archive.
        where: It, for the error.
        fix: What to do about an unfit one, for an archive within a file of another kind; else advice about the file.

    Raises:
        UserError: Missing, truncated, an old format that only an unrestricted reader opens, something else.
    """
    if isinstance(source, Path) and not source.is_file():
        raise UserError("There is no such file.", where=where, fix="correct the path")
    try:
        with zipfile.ZipFile(source) as archive:
            members = archive.infolist()
    except Exception as error:  # zipfile raises many kinds on what is no zip, or one of a later version
        raise _not_an_archive(source, where, error, fix) from None
    pickles = [member for member in members if member.filename.endswith("/data.pkl")]
    stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    if len(pickles) != 1 or not stored or pickles[0].file_size > MAX_PICKLE:
        raise UserError(
            "This is a zip file, but not one that torch.save wrote.",
            where=where,
            fix=fix or "name a file of torch.save; an archive of several is unpacked first",
        )
    _refuse_changed(source, where, fix)


def _refuse_changed(source: Path | IO[bytes], where: str, fix: str) -> None:
    """Hold each member against the sum that the archive keeps of it: torch does not, and reads changed numbers."""
    try:
        with zipfile.ZipFile(source) as archive:
            changed = archive.testzip()
    except Exception as error:
        raise _not_an_archive(source, where, error, fix) from None
    if changed is not None:
        raise UserError(
            "The file is damaged: a member is not what the archive says of it.",
            where=f"{where}: {changed[:80]}",
            fix=fix
            or "fetch it again; of a file that was saved without sums (set_crc32_options), save it anew with them",
        )


def load_tensors(source: Path | IO[bytes], where: str) -> dict[str, Any]:
    """The dictionary in an archive that `check_archive` passed; a path is mapped into memory, not read.

    Raises:
        UserError: It holds anything but tensors and plain containers (code, perhaps), or it is damaged.
    """
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about kinds of tensors that `floats` refuses in our words
            data = torch.load(source, map_location="cpu", weights_only=True, mmap=isinstance(source, Path))
    except Exception as error:  # torch raises many kinds; whatever it is, the file cannot be used
        raise UserError(
            "The file is damaged, or holds more than tensors. Nothing in it was run.",
            where=f"{where}: {_reason(error)[:200]}",
            fix="fetch it again; a file that needs code to be read is never opened here",
        ) from None
    if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
        raise UserError(
            "The file does not hold a dictionary of tensors.",
            where=where,
            fix="save a dictionary of tensors where the file was made: torch.save({NAME: TENSOR}, FILE)",
        )
    return dict(data)


def _reason(error: Exception) -> str:
    """Why torch's restricted reader gave up, without its advice to run the file all the same."""
    text = str(error).strip()
    asked = re.search(r"nsupported (?:global: )?GLOBAL (\S+)", text)
    if asked:
        return f"it asks for {asked[1]}"
    if text.startswith("Weights only load failed"):  # advice, then the reason, then where to read more
        text = "".join(text.split("\n\n")[1:2])
    return text.partition("\n")[0] or type(error).__name__


def check_floats(tensor: torch.Tensor, name: str, where: str) -> None:
    """Refuse a tensor that `floats` cannot read, before its shape is asked for: torch loads many kinds of tensors.

    Views (rows, columns, transposes) are plain floats, and so are parameters and what requires a gradient.

    Raises:
        UserError: Nested, sparse, quantized, complex, without data, a subclass, integers, or a view that repeats
            numbers, which would let a small file ask for any amount of disk.
    """
    problem = _not_plain(tensor)
    if problem:
        raise UserError(
            f"The tensor {name!r} is not a plain array of floats: it {problem[0]}.", where=where, fix=problem[1]
        )


def floats(tensor: torch.Tensor, name: str, where: str) -> NDArray[np.float32]:
    """A contiguous copy of a foreign tensor (or of a slice of one) as float32, the one way from torch to an array.

    Rounds as `load_state_dict` does; what is too large becomes infinite.

    Raises:
        UserError: See `check_floats`.
    """
    import torch

    check_floats(tensor, name, where)
    plain = tensor.detach().resolve_neg()
    if plain.dtype == torch.bfloat16:  # which numpy does not know
        plain = plain.float()
    with np.errstate(over="ignore"):
        return np.array(plain.numpy(), dtype=np.float32, order="C")


def _not_plain(tensor: torch.Tensor) -> tuple[str, str] | None:
    """What a tensor is instead of a plain array of floats, and what to do about it; None if it is one."""
    import torch

    save = "save it anew where it was made, as "
    if tensor.is_nested:
        return "is nested (rows of different lengths)", f"{save}one tensor a file with rows of one length"
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        return f"has a class of its own, {type(tensor).__name__}", f"{save}a torch.Tensor"
    if tensor.layout != torch.strided:
        return f"is sparse ({tensor.layout})", f"{save}tensor.to_dense()"
    if tensor.is_quantized:
        return f"is quantized ({tensor.dtype})", f"{save}the floats that it was made from"
    if tensor.is_complex():
        return f"has complex numbers ({tensor.dtype}), which would lose their imaginary parts", f"{save}real numbers"
    if tensor.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        return f"has numbers of the type {tensor.dtype}", f"{save}tensor.float()"
    if tensor.device.type != "cpu":
        return f"has no data (it is on the device {str(tensor.device)!r})", f"{save}the weights themselves, on the cpu"
    if tensor.numel() > tensor.untyped_storage().nbytes() // tensor.element_size():
        held = tensor.untyped_storage().nbytes() // tensor.element_size()
        return f"is a view that shows {held} numbers as {tensor.numel()}", f"{save}tensor.contiguous()"
    return None


def _not_an_archive(source: Path | IO[bytes], where: str, error: Exception, fix: str) -> UserError:
    start = b""
    if isinstance(source, Path):
        with source.open("rb") as file:
            start = file.read(4)
    else:
        source.seek(0)
        start = source.read(4)
    if start[:2] == b"PK":
        what, advice, where = "The file is truncated.", "fetch it again", f"{where}: {error}"
    elif start[:1] == b"\x80":
        what = "This is a bare pickle or PyTorch's format from before 1.6, which only code in the file itself can open."
        advice = "if you trust it, convert it where it was made: torch.save(torch.load(OLD), NEW)"
    else:
        what = "This is not a file that torch.save wrote."
        advice = "name the file as it was published, unprocessed; an archive (.zip, .tar.gz) is unpacked first"
    return UserError(what, where=where, fix=fix or advice)
