"""The one way from a foreign tensor to an array, for whatever torch's restricted reader loads."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch

from hyprepro.errors import UserError
from hyprepro.stores.exchange.foreign import check_floats, floats, load_tensors
from tests.stores import hostile

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's, about making such tensors; reading them is stricter below

VALUES = torch.arange(24, dtype=torch.float32).reshape(4, 6) - 7.5

PLAIN: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "as it is": lambda v: v,
    "requires a gradient": lambda v: v.clone().requires_grad_(),
    "a parameter": torch.nn.Parameter,
    "a negative view": lambda v: torch._neg_view(-v),
    "the imaginary part of a conjugate": lambda v: torch.complex(v, -v).conj().imag,
    "rows of a larger tensor": lambda v: torch.cat([v, v + 1])[:4],
    "columns of a larger tensor": lambda v: torch.cat([v + 1, v], 1)[:, 6:],
    "every other column": lambda v: torch.stack([v, v + 1], 2).flatten(1)[:, ::2],
    "a transpose": lambda v: v.T.contiguous().T,
    "half": torch.Tensor.half,
    "bfloat16": torch.Tensor.bfloat16,
    "double": torch.Tensor.double,
    "nothing": lambda v: v[:0],
}

ODD: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], str]] = {
    "meta": (lambda v: v.to("meta"), "has no data"),
    "sparse": (torch.Tensor.to_sparse, "sparse"),
    "compressed rows": (torch.Tensor.to_sparse_csr, "sparse"),
    "compressed blocks": (lambda v: v.to_sparse_bsr((2, 2)), "sparse"),
    "complex": (lambda v: torch.complex(v, v), "imaginary parts"),
    "half a complex": (lambda v: torch.complex(v, v).to(torch.complex32), "imaginary parts"),
    "quantized": (lambda v: torch.quantize_per_tensor(v, 0.1, 0, torch.qint8), "quantized"),
    "quantized by row": (
        lambda v: torch.quantize_per_channel(v, torch.ones(4), torch.zeros(4), 0, torch.qint8),
        "quantized",
    ),
    "nested": (lambda v: torch.nested.nested_tensor([v[0], v[1, :2]]), "nested"),
    "jagged": (lambda v: torch.nested.nested_tensor([v[0], v[1, :2]], layout=torch.jagged), "nested"),
    "integers": (torch.Tensor.int, "torch.int32"),
    "truth values": (lambda v: v > 0, "torch.bool"),
    "eight bits": (lambda v: v.to(torch.float8_e4m3fn), "float8"),
    "one row many times": (lambda v: v[:1].expand(10**6, 6), "a view that shows 24 numbers as 6000000"),
}


def loaded(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor from a file; torch may not warn on the way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = hostile.saved({"a": tensor})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found: torch.Tensor = load_tensors(io.BytesIO(content), "file.pt")["a"]
    return found


@pytest.mark.parametrize("kind", PLAIN)
def test_plain_floats_are_read_however_they_lie(kind: str) -> None:
    tensor = PLAIN[kind](VALUES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        array = floats(loaded(tensor), "a", "file.pt")
    assert (array.dtype, array.flags.c_contiguous, array.flags.owndata) == (np.float32, True, True)
    np.testing.assert_array_equal(array, VALUES[: len(array)].numpy())
    np.testing.assert_array_equal(array.shape, tensor.shape)


@pytest.mark.parametrize("kind", ODD)
def test_everything_else_is_refused_by_its_kind(kind: str) -> None:
    make, says = ODD[kind]
    tensor = loaded(make(VALUES))
    for read in (check_floats, floats):
        with pytest.raises(UserError, match=says) as refusal:
            read(tensor, "a", "file.pt")
        assert "'a' is not a plain array of floats" in refusal.value.what
        assert (refusal.value.where, refusal.value.fix[:12]) == ("file.pt", "save it anew")


def test_a_subclass_is_refused() -> None:
    class Mine(torch.Tensor):
        pass

    with pytest.raises(UserError, match="a class of its own, Mine"):
        floats(VALUES.as_subclass(Mine), "a", "file.pt")


def test_what_is_too_large_is_infinite_and_nobody_is_warned() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isinf(floats(torch.tensor([1e300], dtype=torch.float64), "a", "file.pt")).all()


def test_arrays_of_numpy_are_refused_by_their_name_and_not_with_torchs_advice() -> None:
    with pytest.raises(UserError, match="Nothing in it was run") as refusal:
        load_tensors(io.BytesIO(hostile.saved({"a": VALUES.numpy()})), "file.pt")
    assert "it asks for numpy" in refusal.value.where
    assert "can still be loaded" not in str(refusal.value)


@pytest.mark.parametrize(
    ("pickled", "reason"),
    [
        (b"\x80\x02cposix\nsystem\n.", "it asks for posix.system"),
        (b"\x80\x02cbuiltins\neval\n.", "it asks for eval"),
        (b"\x80\x02\x95abc.", "Unsupported operand 149"),
        (b"\x80\x02K\x01K\x02R.", "Trying to call reduce for unrecognized function 1"),
        (b"\x80\x02}", "EOFError"),
    ],
)
def test_why_a_pickle_is_refused_is_said_without_torchs_advice(pickled: bytes, reason: str) -> None:
    content = hostile.rezip(hostile.saved({}), {"archive/data.pkl": pickled})
    with pytest.raises(UserError, match="Nothing in it was run") as refusal:
        load_tensors(io.BytesIO(content), "file.pt")
    assert refusal.value.where == f"file.pt: {reason}"
