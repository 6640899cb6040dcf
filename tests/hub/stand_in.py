"""A stand-in for the Hugging Face Hub on this machine: its protocol over loopback, as far as push and pull speak it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_of_the_stand_in"
_API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|preupload|commit)/([^/?]+))?")
_RESOLVE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_BATCH = re.compile(r"/(?:datasets/)?[^/]+/[^/]+\.git/info/lfs/objects/batch")


class StandIn(ThreadingHTTPServer):
    """The Hub: repositories as lists of commits.

    Attributes:
        commits: By type and name of a repository its commits, oldest first: hash and files.
        large: Contents by SHA-256 that were sent apart from commits.
        cuts: By path how many of its next answers break off in their middle.
        taken: Every `(path, first byte)` that was asked for.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.commits: dict[tuple[str, str], list[tuple[str, dict[str, bytes]]]] = {}
        self.large: dict[str, bytes] = {}
        self.cuts: dict[str, int] = {}
        self.taken: list[tuple[str, int]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def commit(self, kind: str, name: str, files: dict[str, bytes]) -> str:
        """Add or replace files, as somebody else might."""
        commits = self.commits.setdefault((kind, name), [])
        merged = {**(commits[-1][1] if commits else {}), **files}
        sha = hashlib.sha1(repr((name, len(commits), sorted(merged))).encode()).hexdigest()
        commits.append((sha, merged))
        return sha

    def at(self, kind: str, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        commits = self.commits[kind, name]
        if revision == "main":
            return commits[-1]
        return next((each for each in commits if each[0] == revision), None)

    def files(self, kind: str, name: str) -> dict[str, bytes]:
        return self.commits[kind, name][-1][1]


@contextmanager
def running() -> Iterator[StandIn]:
    """A stand-in for the time of a block."""
    server = StandIn()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandIn

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/api/validate-yaml":
            return self._json({"warnings": [], "errors": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._fail(401, "")
        if self.path == "/api/repos/create":
            return self._create(json.loads(body))
        if _BATCH.fullmatch(self.path):
            objects = json.loads(body)["objects"]
            upload = {"href": f"{self.server.url}/large"}
            return self._json({"objects": [{**each, "actions": {"upload": upload}} for each in objects]})
        found = _API.fullmatch(self.path.partition("?")[0])
        assert found, self.path
        kind, name, what, _ = found.groups()
        if what == "preupload":
            modes = [
                {"path": each["path"], "uploadMode": _mode(each["path"]), "shouldIgnore": False, "oid": None}
                for each in json.loads(body)["files"]
            ]
            return self._json({"files": modes})
        return self._commit(kind, name, [json.loads(line) for line in body.splitlines()])

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.large[hashlib.sha256(content).hexdigest()] = content
        self._send(200, b"")

    def do_HEAD(self) -> None:
        self._resolve()

    def do_GET(self) -> None:
        found = _API.fullmatch(self.path.partition("?")[0])
        if found is None:
            return self._resolve()
        kind, name, _, revision = found.groups()
        if (kind, name) not in self.server.commits:
            return self._fail(404, "RepoNotFound")
        at = self.server.at(kind, name, revision or "main")
        if at is None:
            return self._fail(404, "RevisionNotFound")
        siblings = [{"rfilename": path} for path in at[1]]
        return self._json({"id": name, "sha": at[0], "siblings": siblings, "private": False, "tags": []})

    def _create(self, asked: dict[str, Any]) -> None:
        key = (f"{asked.get('type', 'model')}s", f"{asked['organization']}/{asked['name']}")
        if key in self.server.commits:
            return self._send(409, json.dumps({"error": "exists", "url": f"{self.server.url}/{key[1]}"}).encode())
        self.server.commit(*key, {".gitattributes": b""})
        return self._json({"url": f"{self.server.url}/{key[1]}"})

    def _commit(self, kind: str, name: str, lines: list[dict[str, Any]]) -> None:
        files = {}
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            if line["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
        sha = self.server.commit(kind, name, files)
        self._json({"commitOid": sha, "commitUrl": f"{self.server.url}/{name}/commit/{sha}"})

    def _resolve(self) -> Any:
        found = _RESOLVE.fullmatch(self.path.partition("?")[0])
        if found is None:
            return self._fail(404, "")
        prefix, name, revision, path = found.groups()
        kind = "datasets" if prefix else "models"
        at = self.server.at(kind, name, revision)
        if at is None or path not in at[1]:
            return self._fail(404, "EntryNotFound" if at else "RevisionNotFound")
        content = at[1][path]
        start = int((re.findall(r"bytes=(\d+)-", self.headers.get("Range", "")) or ["0"])[0])
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": at[0]}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if self.command == "GET":
            self.server.taken.append((path, start))
            if self.server.cuts.get(path):
                self.server.cuts[path] -= 1
                return self._break_off(content[start:], headers)
        return self._send(206 if start else 200, content[start:], headers)

    def _break_off(self, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(206 if "Content-Range" in headers else 200)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.close_connection = True

    def _json(self, data: Any) -> None:
        self._send(200, json.dumps(data).encode(), {"Content-Type": "application/json"})

    def _fail(self, status: int, code: str) -> None:
        self._send(status, b'{"error": "no"}', {"X-Error-Code": code, "Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _mode(path: str) -> str:
    return "lfs" if path.endswith((".h5", ".safetensors", ".gz")) else "regular"
