"""Damage to files: bits, bytes and ends of any file, members of zips, objects and sizes of HDF5, fields of JSON.

Damage is told by random numbers alone. What reaches outside is aimed at a file or folder that is made for it and
watched; nothing here does harm where it works.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

BIG = 200 * 2**20
"""Bytes that a bomb becomes."""


def damage(path: Path, form: str, outside: Path, rng: random.Random) -> str:
    """Damage a sound file in some way; returns which.

    Args:
        path: The file.
        form: What it is made of (`samples.Kind.form`).
        outside: A folder with a store `target.h5` and numbers `target.bin`, which nobody may open.
        rng: Chooses.
    """
    ways: dict[str, list[Callable[[Path, Path, random.Random], str]]] = {
        "hdf5": [_attribute, _attribute, _dataset, _dataset, _claim, _bomb, _link, _link, _group],
        "zip": [_member, _member, _directory, _directory, _zip_bomb, _nested, _pickle, _pickle],
        "text": [_json, _json, _json, _text],
        "gzip": [_gzip_bomb, _rows, _rows],
    }
    way = rng.choice([_bytes, _bytes, *ways[form]])
    return way(path, outside, rng)


def _bytes(path: Path, outside: Path, rng: random.Random) -> str:
    data = bytearray(path.read_bytes())
    kind = rng.choice(("bits", "bits", "head", "tail", "cut", "zeros", "noise", "longer", "swapped", "empty"))
    if kind in ("bits", "head", "tail"):
        low, high = {"bits": (0, len(data)), "head": (0, 4096), "tail": (len(data) - 2048, len(data))}[kind]
        for _ in range(rng.choice((1, 2, 8, 64))):
            place = rng.randrange(max(0, low), min(high, len(data)))
            data[place] ^= 1 << rng.randrange(8)
    elif kind == "cut":
        del data[rng.randrange(len(data)) :]
    elif kind in ("zeros", "noise"):
        place, size = rng.randrange(len(data)), rng.choice((4, 64, 4096))
        new = bytes(size) if kind == "zeros" else rng.randbytes(size)
        data[place : place + size] = new[: len(data) - place]
    elif kind == "longer":
        data += rng.choice((bytes(1 << 16), rng.randbytes(1000), bytes(data)))
    elif kind == "swapped":
        a, b = sorted(rng.randrange(len(data)) for _ in range(2))
        data[a : a + 512], data[b : b + 512] = data[b : b + 512], data[a : a + 512]
    else:
        data = bytearray(rng.choice((b"", b"\0", data[:8])))
    path.write_bytes(data)
    return f"bytes: {kind}"


# HDF5


def _objects(file: h5py.File) -> list[Any]:
    found: list[Any] = [file]
    file.visititems(lambda name, item: found.append(item))
    return found


def _some_dataset(file: h5py.File, rng: random.Random) -> h5py.Dataset:
    return rng.choice([item for item in _objects(file) if isinstance(item, h5py.Dataset)])


def _attribute(path: Path, outside: Path, rng: random.Random) -> str:
    with h5py.File(path, "r+") as file:
        holder = rng.choice([item for item in _objects(file) if len(item.attrs)] or [file])
        name = rng.choice(sorted(holder.attrs)) if len(holder.attrs) else "kind"
        before = holder.attrs.get(name, b"")
        text = before if isinstance(before, bytes) else str(before).encode()
        values: dict[str, Any] = {
            "missing": None,
            "number": 7,
            "huge number": np.uint64(2**64 - 1),
            "array": np.zeros((3, 3)),
            "empty": h5py.Empty("S10"),
            "not UTF-8": np.bytes_(b"\xff\xfe" + text),
            "cut": np.bytes_(text[: len(text) // 2] or b"x"),
            "deep": np.bytes_(b"[" * 20_000 + b"]" * 20_000),
            "deep object": np.bytes_(b'{"a":' * 9_000 + b"1" + b"}" * 9_000),
            "not finite": np.bytes_(b'{"x": NaN, "y": 1e999}'),
            "huge integer": np.bytes_(b'{"x": ' + b"9" * 50_000 + b"}"),
            "list": np.bytes_(b"[1, 2]"),
            "object": np.bytes_(b"{}"),
            "numbers for texts": np.bytes_(_retyped(text, rng)),
            "text of any length": "x" * 10,
            "reference": file.ref,
        }
        kind = rng.choice(sorted(values))
        if name in holder.attrs:
            del holder.attrs[name]
        if kind == "reference":
            holder.attrs.create(name, values[kind], dtype=h5py.ref_dtype)
        elif values[kind] is not None:
            holder.attrs[name] = values[kind]
    return f"attribute: {kind}"


def _retyped(text: bytes, rng: random.Random) -> bytes:
    """JSON in which one value has become something else."""
    try:
        data = json.loads(text)
    except ValueError:
        return b"7"
    return json.dumps(_changed(data, rng)).encode()[:50_000]


def _dataset(path: Path, outside: Path, rng: random.Random) -> str:
    """Another type, shape or layout in the place of a dataset."""
    with h5py.File(path, "r+") as file:
        old = _some_dataset(file, rng)
        name, shape, dtype, values = old.name, old.shape, old.dtype, old[()]
        del file[name]
        kind = rng.choice(
            ("missing", "scalar", "no space", "no rows", "transposed", "one more axis", "one row less", "float64",
             "int8", "text", "compound", "objects", "big endian", "not finite", "negative", "huge", "opaque", "enum",
             "array type", "compact", "contiguous")
        )  # fmt: skip
        rows = values if np.ndim(values) else np.zeros(1)
        made: dict[str, Callable[[], Any]] = {
            "missing": lambda: None,
            "scalar": lambda: file.create_dataset(name, data=1.0),
            "no space": lambda: file.create_dataset(name, data=h5py.Empty(dtype)),
            "no rows": lambda: file.create_dataset(name, data=rows[:0]),
            "transposed": lambda: file.create_dataset(name, data=rows.T.copy()),
            "one more axis": lambda: file.create_dataset(name, data=rows[..., None]),
            "one row less": lambda: file.create_dataset(name, data=rows[:-1]),
            "float64": lambda: file.create_dataset(name, data=rows.astype(np.float64)),
            "int8": lambda: file.create_dataset(name, data=np.zeros(shape, np.int8)),
            "text": lambda: file.create_dataset(name, data=np.full(shape, b"x")),
            "compound": lambda: file.create_dataset(name, shape=shape, dtype=np.dtype([("a", "f4"), ("b", "i4")])),
            "objects": lambda: file.create_dataset(name, shape=shape, dtype=h5py.string_dtype()),
            "big endian": lambda: file.create_dataset(name, data=rows.astype(dtype.newbyteorder(">"))),
            "not finite": lambda: file.create_dataset(name, data=np.full(shape, _worst(dtype), dtype)),
            "negative": lambda: file.create_dataset(name, data=np.full(shape, -7).astype(dtype)),
            "huge": lambda: file.create_dataset(name, data=np.full(shape, 2**31 - 1).astype(dtype)),
            "opaque": lambda: file.create_dataset(name, shape=shape, dtype=np.dtype("V8")),
            "enum": lambda: file.create_dataset(name, shape=shape, dtype=h5py.enum_dtype({"a": 1})),
            "array type": lambda: file.create_dataset(name, shape=shape[:1], dtype=np.dtype((np.float32, (3,)))),
            "compact": lambda: _compact(file, name, dtype),
            "contiguous": lambda: file.create_dataset(name, data=rows),
        }
        made[kind]()
    return f"dataset: {kind}"


def _worst(dtype: Any) -> float:
    return float("nan") if dtype.kind == "f" else 7


def _compact(file: h5py.File, name: str, dtype: Any) -> None:
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_layout(h5py.h5d.COMPACT)
    kind = h5py.h5t.py_create(dtype)
    h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple((3,)), made)


def _claim(path: Path, outside: Path, rng: random.Random) -> str:
    """A size that the file does not hold: rows that were never written."""
    with h5py.File(path, "r+") as file:
        old = _some_dataset(file, rng)
        name, shape, dtype = old.name, old.shape, old.dtype
        rows = rng.choice((10_000, 900_000, 99_000_000, 2**40, 2**62))
        tail = shape[1:]
        del file[name]
        if rng.random() < 0.5 and rows < 2**40:
            file.create_dataset(name, (rows, *tail), dtype, chunks=(4, *tail) if tail else (1024,), compression="gzip")
            return "claim: rows of chunks"
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_alloc_time(h5py.h5d.ALLOC_TIME_LATE)
        size = max(1, int(np.prod(tail, dtype=object)) * dtype.itemsize)
        space = h5py.h5s.create_simple((min(rows, 2**62 // size), *tail))
        h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(dtype), space, made)
    return "claim: contiguous rows"


def _bomb(path: Path, outside: Path, rng: random.Random) -> str:
    """Blocks that expand a thousandfold, or by several filters a millionfold."""
    with h5py.File(path, "r+") as file:
        old = _some_dataset(file, rng)
        name, tail, dtype = old.name, old.shape[1:], old.dtype
        row = max(1, int(np.prod(tail)) * dtype.itemsize)
        rows = BIG // row
        del file[name]
        chunk = max(1, rng.choice((1 << 16, 1 << 20, 60 << 20)) // row)
        if rng.random() < 0.7:
            zeros = file.create_dataset(name, (rows, *tail), dtype, chunks=(chunk, *tail), compression="gzip")
            for low in range(0, rows, chunk):
                zeros[low : low + chunk] = np.zeros((min(chunk, rows - low), *tail), dtype)
            return "bomb: zeros"
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk((chunk, *tail))
        for _ in range(3):
            made.set_deflate(9)
        space = h5py.h5s.create_simple((chunk, *tail))
        data = h5py.h5d.create(file.id, name.encode(), h5py.h5t.py_create(dtype), space, made)
        data.write(h5py.h5s.ALL, h5py.h5s.ALL, np.zeros((chunk, *tail), dtype))
    return "bomb: filters over filters"


def _link(path: Path, outside: Path, rng: random.Random) -> str:
    """Something that lies elsewhere: in another file, below another name, or in a circle."""
    kind = rng.choice(("external link", "soft link", "external data", "virtual", "circle", "dangling"))
    with h5py.File(path, "r+") as file:
        named = [item for item in _objects(file) if item.name != "/"]
        old = rng.choice(named) if kind not in ("external data", "virtual") else _some_dataset(file, rng)
        name = old.name
        shape, dtype = getattr(old, "shape", ()), np.dtype(getattr(old, "dtype", np.uint8))
        if kind == "soft link":
            file.move(name, "/elsewhere")
            file[name] = h5py.SoftLink("/elsewhere")
            return f"link: {kind}"
        del file[name]
        if kind == "external link":
            file[name] = h5py.ExternalLink(str(outside / "target.h5"), rng.choice((name, "/", "/policies")))
        elif kind == "external data":
            size = int(np.prod(shape)) * dtype.itemsize
            file.create_dataset(name, shape, dtype, external=[(str(outside / "target.bin"), 0, size)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout(shape, dtype)
            layout[...] = h5py.VirtualSource(str(outside / "target.h5"), "x", shape=shape)
            file.create_virtual_dataset(name, layout)
        elif kind == "circle":
            file[name] = file["/"]
        else:
            file[name] = h5py.SoftLink(name)
    return f"link: {kind}"


def _group(path: Path, outside: Path, rng: random.Random) -> str:
    """Groups of other names, too many of them, or where numbers belong."""
    with h5py.File(path, "r+") as file:
        groups = [item for item in _objects(file) if isinstance(item, h5py.Group) and item.name != "/"]
        group = rng.choice(groups)
        kind = rng.choice(("renamed", "copied", "emptied", "in the place of numbers", "many", "type"))
        names = ("..", "a/b", "x" * 5000, "\x1b[2J", "Reach", "é", "-x", "reach ", "episode_99999999999", "__class__")
        if kind == "renamed":
            file.move(group.name, f"{group.parent.name}/{rng.choice(names)}")
        elif kind == "copied":
            file.copy(group, group.parent, f"copy-of-{group.name.rsplit('/', 1)[-1]}")
        elif kind == "emptied":
            for name in list(group):
                del group[name]
        elif kind == "many":
            for number in range(3000):
                group.parent.create_group(f"x{number}")
        else:
            data = _some_dataset(file, rng)
            name = data.name
            del file[name]
            if kind == "type":
                file[name] = np.dtype("f4")
            else:
                file.create_group(name)
    return f"group: {kind}"


# Zips


def _members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


def _rewritten(path: Path, members: list[tuple[str, bytes]], kind: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, data in members:
            archive.writestr(name, data)


def _member(path: Path, outside: Path, rng: random.Random) -> str:
    """A member that is missing, twice there, compressed otherwise, or of another content."""
    members = _members(path)
    name = rng.choice(sorted(members))
    kind = rng.choice(
        ("missing", "twice", "deflate", "bzip2", "lzma", "cut", "noise", "renamed", "json", "header", "many")
    )
    if kind in ("deflate", "bzip2", "lzma"):
        how = {"deflate": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2, "lzma": zipfile.ZIP_LZMA}[kind]
        _rewritten(path, list(members.items()), how)
        if rng.random() < 0.7:
            data = bytearray(path.read_bytes())
            for _ in range(20):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            path.write_bytes(data)
        return f"member: {kind}"
    found = dict(members)
    if kind == "missing":
        del found[name]
    elif kind == "cut":
        found[name] = members[name][: len(members[name]) // 2]
    elif kind == "noise":
        data = bytearray(members[name])
        for _ in range(rng.choice((1, 4, 32))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        found[name] = bytes(data)
    elif kind == "renamed":
        del found[name]
        found[rng.choice(("../x", "/x", "x\0y", "data.pkl", "é", "x" * 60_000, f"./{name}"))] = members[name]
    elif kind == "json":
        jsons = (b"[" * 100_000, b'{"a":' * 50_000, b"{}", b"[]", b'{"seed": ' + b"9" * 5000 + b"}", b'{"seed": NaN}')
        found[name] = rng.choice((*jsons, _retyped(members[name], rng)))
    elif kind == "header":
        shapes = ("(99999999999,)", "(-1,)", "(2**63,)", "()", "(True,)", "(1,)*9999", "(" * 3000, "(1e3,)")
        text = f"{{'descr': '{rng.choice(('<f8', '|O', '<U9999999', '<f16', 'x'))}', 'fortran_order': False, "
        text += f"'shape': {rng.choice(shapes)}, }}\n"
        found[name] = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) % 65536) + text.encode() + bytes(64)
    elif kind == "many":
        found |= {f"member{number}": b"" for number in range(20_000)}
    twice = [(name, rng.choice((b"", members[name])))] if kind == "twice" else []
    _rewritten(path, [*found.items(), *twice])
    return f"member: {kind}"


def _directory(path: Path, outside: Path, rng: random.Random) -> str:
    """Another number in what the zip says of a member: its sizes, place, kind, sum, flags, version."""
    data = bytearray(path.read_bytes())
    places = [place for place in range(len(data) - 4) if data[place : place + 4] == b"PK\x01\x02"]
    fields = {"version": (6, "<H"), "flags": (8, "<H"), "kind": (10, "<H"), "sum": (16, "<I"), "held": (20, "<I"),
              "size": (24, "<I"), "name": (28, "<H"), "extra": (30, "<H"), "comment": (32, "<H"),
              "place": (42, "<I")}  # fmt: skip
    kind = rng.choice(sorted(fields))
    offset, form = fields[kind]
    values = (0, 1, 9, 2**16 - 1, 2**31 - 1, 2**32 - 1, rng.randrange(2**16))
    value = rng.choice(values) % (2**16 if form == "<H" else 2**32)
    if kind == "flags":
        value = rng.choice((1, 8, 32, 64, 0x800, 0x2000, 65535))
    struct.pack_into(form, data, rng.choice(places) + offset, value)
    path.write_bytes(data)
    return f"directory: {kind}"


def _zip_bomb(path: Path, outside: Path, rng: random.Random) -> str:
    """A member that expands a thousandfold."""
    members = _members(path)
    name = rng.choice(sorted(members))
    members[name] = rng.choice((b"", members[name])) + bytes(BIG)
    _rewritten(path, list(members.items()), zipfile.ZIP_DEFLATED)
    return "bomb: a member"


def _nested(path: Path, outside: Path, rng: random.Random) -> str:
    """A zip in a zip, in a zip."""
    for _ in range(rng.choice((1, 2, 30))):
        inner = path.read_bytes()
        _rewritten(path, [(rng.choice(("data", "policy.pth", "archive/data.pkl", "x.zip")), inner)])
    return "nested zips"


class _Makes:
    """A pickle that would make a folder."""

    def __init__(self, victim: str) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.mkdir, (self.victim,)


def _pickle(path: Path, outside: Path, rng: random.Random) -> str:
    """Another pickle in an archive of tensors: code, depth, sizes that it claims of its tensors."""
    members = _members(path)
    holder = next((name for name in members if name.endswith(".pth")), "")
    inner = members
    if holder:
        with zipfile.ZipFile(io.BytesIO(members[holder])) as archive:
            inner = {info.filename: archive.read(info) for info in archive.infolist()}
    name = next((each for each in inner if each.endswith("data.pkl")), "")
    if not name:
        return _member(path, outside, rng)
    made: dict[str, Callable[[], bytes]] = {
        "code": lambda: pickle.dumps(_Makes(str(outside / "made"))),
        "deep": lambda: b"\x80\x02" + b"(" * 200_000 + b"t" * 200_000 + b".",
        "nested lists": lambda: b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
        "memo": lambda: b"\x80\x02Kr" + b"q\xff" + b"r\xff\xff\xff\x7f" + b".",
        "long text": lambda: b"\x80\x02X\xff\xff\xff\x7fx.",
        "long number": lambda: b"\x80\x02\x8b\xff\xff\xff\x7f\x00.",
        "claimed numbers": lambda: _grown(inner[name], rng),
        "bits": lambda: _flipped(inner[name], rng),
        "base64": lambda: base64.b64encode(inner[name]),
    }
    kind = rng.choice(sorted(made))
    inner[name] = made[kind]()
    if holder:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            for each, data in inner.items():
                archive.writestr(each, data)
        members[holder] = content.getvalue()
        inner = members
    _rewritten(path, list(inner.items()))
    return f"pickle: {kind}"


def _grown(data: bytes, rng: random.Random) -> bytes:
    """A pickle in which numbers have become larger: how many a storage holds, shapes, strides, places."""
    new = bytearray(data)
    places = [place for place in range(len(data) - 3) if data[place : place + 1] in (b"M", b"K", b"J")]
    for place in rng.sample(places, min(len(places), rng.choice((1, 2, 6)))):
        width = {b"M": 2, b"K": 1, b"J": 4}[bytes(data[place : place + 1])]
        new[place + 1 : place + 1 + width] = b"\xff" * (width - 1) + b"\x7f"
    return bytes(new)


def _flipped(data: bytes, rng: random.Random) -> bytes:
    new = bytearray(data)
    for _ in range(rng.choice((1, 3, 10))):
        new[rng.randrange(len(new))] ^= 1 << rng.randrange(8)
    return bytes(new)


# Text


def _json(path: Path, outside: Path, rng: random.Random) -> str:
    """JSON in which some values have become others."""
    data = json.loads(path.read_text(encoding="utf-8"))
    for _ in range(rng.choice((1, 1, 3, 10))):
        data = _changed(data, rng)
    path.write_text(json.dumps(data), encoding="utf-8")
    return "json: values"


def _changed(data: Any, rng: random.Random) -> Any:
    """JSON with one value removed, repeated, or replaced by another, at a random place."""
    holders: list[tuple[Any, Any]] = []

    def visit(value: Any) -> None:
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in items:
            holders.append((value, key))
            visit(item)

    visit(data)
    if not holders:
        return rng.choice(_VALUES)
    holder, key = rng.choice(holders)
    kind = rng.randrange(4)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder.insert(key, holder[key])
    else:
        holder[key] = rng.choice(_VALUES)
    return data


_VALUES: tuple[object, ...] = (
    None, True, False, 0, -1, 1.5, 10**30, 1e300, -1e300, "", "x", "x" * 100_000, "\x1b[2J\u202e", "\ud800", [], {},
    [[]], [1, 2], {"a": {}}, "../../x", "/dev/zero", "<script>alert(1)</script>", "nan", float("nan"), float("inf"),
    [None] * 3, {"": None}, 2**63, 5e-324,
)  # fmt: skip


def _text(path: Path, outside: Path, rng: random.Random) -> str:
    text = path.read_text(encoding="utf-8")
    kind = rng.choice(("deep", "long number", "twice", "utf-16", "mark", "lone", "nul", "many"))
    made: dict[str, Callable[[], bytes]] = {
        "deep": lambda: b"[" * 1_000_000,
        "long number": lambda: text.replace('"schema": 1', '"schema": 1' + "0" * 200_000, 1).encode(),
        "twice": lambda: text.encode() * 2,
        "utf-16": lambda: text.encode("utf-16"),
        "mark": lambda: b"\xef\xbb\xbf" * 3 + text.encode(),
        "lone": lambda: text.replace("table", "\\ud800").encode(),
        "nul": lambda: text.replace("table", "\\u0000").encode(),
        "many": lambda: b'{"schema": 1, "rows": [' + b"{}," * 300_000 + b"{}]}",
    }
    path.write_bytes(made[kind]())
    return f"text: {kind}"


def _gzip_bomb(path: Path, outside: Path, rng: random.Random) -> str:
    head = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    filling = rng.choice((b"0", b",", b"\n", head[1], b'"'))
    path.write_bytes(
        gzip.compress(b"".join(head[:2]) + filling * (3 * BIG // len(filling)), 9 if len(filling) == 1 else 1)
    )
    return "bomb: records"


def _rows(path: Path, outside: Path, rng: random.Random) -> str:
    """Records with other values, columns and lines."""
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    for _ in range(rng.choice((1, 3, 20))):
        place = rng.randrange(len(lines))
        cells = lines[place].split(",")
        cells[rng.randrange(len(cells))] = rng.choice(
            ("", "nan", "inf", "-1", "1e400", "9" * 5000, "x", '"', "\x00", "x" * 200_000, "1.5", "é", "\ud7ff")
        )
        lines[place] = ",".join(cells[: rng.choice((len(cells), len(cells), 2))])
    if rng.random() < 0.3:
        lines.insert(rng.randrange(len(lines)), rng.choice(lines))
    path.write_bytes(gzip.compress("\n".join(lines).encode("utf-8", "replace") + b"\n"))
    return "records: values"
