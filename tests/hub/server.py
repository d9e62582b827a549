"""A server on 127.0.0.1 that imitates the Hugging Face Hub and records its requests.

It implements what huggingface_hub and datasets call: information on a repository, its tree, sizes
of files, and their content; large files by redirection to a separate store, complete or a range.
For uploads, it creates repositories and takes commits, large files by the protocol of git LFS.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".parquet", ".safetensors", ".bin")  # in git LFS
REVISION = r"(refs/convert/parquet|refs/pr/\d+|[^/]*)"
API = re.compile(
    r"/api/(datasets|models)/([^/]+/[^/]+)/(revision|refs|tree|paths-info|auth-check)"
    rf"/?{REVISION}/?(.*)"
)
UPLOAD = re.compile(
    r"/(?:api/models/)?([^/]+/[^/]+?)(?:\.git/info/lfs/objects/(batch)|/(preupload|commit)/[^/]*)"
)
RESOLVE = re.compile(rf"/(datasets/)?([^/]+/[^/]+)/resolve/{REVISION}/(.+)")


class Hub:
    """Repositories, each with commits of files, behind an endpoint."""

    def __init__(self):
        self.repositories: dict[str, tuple[str, Mapping[str, bytes]]] = {}  # kind/owner/name
        self.branches: dict[str, dict[str, str]] = {}  # kind/owner/name -> branch -> commit
        self.others: dict[str, Mapping[str, bytes]] = {}  # files of commits that are not of main
        self.gated: set[str] = set()
        self.token = ""  # that uploads need
        self.private: set[str] = set()
        self.uploaded: dict[str, bytes] = {}  # sha256 -> content of a large file
        self.requests: list[tuple[str, str]] = []
        self.dropped: dict[str, int] = {}  # sha256 -> bytes after which the connection is closed
        self.endpoint = ""

    def add(
        self, kind: str, name: str, files: Mapping[str, bytes], branch: str = "main", commit=""
    ) -> str:
        """Add a repository, `datasets` or `models`, or a branch; return its commit."""
        named = "".join([name, *sorted(map(sha256, files.values()))])
        commit = commit or hashlib.sha1(named.encode()).hexdigest()
        key = f"{kind}/{name}"
        self.branches.setdefault(key, {})[branch] = commit
        if branch == "main":
            self.repositories[key] = (commit, files)
        else:
            self.others[commit] = files
            self.repositories.setdefault(key, ("0" * 40, {}))
        return commit

    def at(self, key: str, revision: str) -> tuple[str, Mapping[str, bytes]] | None:
        """Return commit and files of a repository at a revision; None if it does not exist."""
        main, files = self.repositories[key]
        commit = self.branches[key].get(revision, revision)
        if commit in (main, ""):
            return main, files
        return (commit, self.others[commit]) if commit in self.others else None

    def content(self) -> dict[str, bytes]:
        """Return every large file by its sha256."""
        everything = [*(files for _, files in self.repositories.values()), *self.others.values()]
        found = (files.items() for files in everything)
        return {sha256(data): data for items in found for path, data in items if is_large(path)}

    def downloads(self) -> set[str]:
        """Return `kind/owner/name/path` of every file that was downloaded."""
        names = {}
        for repository, (_, files) in self.repositories.items():
            for path, data in files.items():
                names[f"/store/{sha256(data)}" if is_large(path) else f"{repository}/{path}"] = (
                    f"{repository}/{path}"
                )
        found = set()
        for method, path in self.requests:
            if method == "GET":
                resolved = RESOLVE.fullmatch(path)
                kind = "datasets" if resolved and resolved[1] else "models"
                key = f"{kind}/{resolved[2]}/{resolved[4]}" if resolved else path
                found |= {names[key]} if key in names else set()
        return found

    def start(self) -> None:
        """Serve on a free port."""
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def stop(self) -> None:
        """Stop serving; the endpoint refuses connections."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_large(path: str) -> bool:
    return path.endswith(LARGE)


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        """Print nothing to stderr."""

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._answer()

    def do_PUT(self):
        self._answer()

    def _answer(self):
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length)
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append((self.command, path))
        if self.command == "PUT":
            self.hub.uploaded[sha256(content)] = content
            return self._json({})
        if path == "/api/validate-yaml":  # of a card
            return self._json({"errors": [], "warnings": []})
        if path == "/api/repos/create" or UPLOAD.fullmatch(path):
            return self._upload(path, content)
        body = parse_qs(content.decode())
        if path.startswith("/store/"):
            return self._content(self.hub.content()[path.removeprefix("/store/")])
        if found := RESOLVE.fullmatch(unquote(path)):
            return self._resolve("datasets" if found[1] else "models", *found.groups()[1:])
        if found := API.fullmatch(path):
            return self._api(*found.groups(), body)
        return self._error(404, "EntryNotFound")

    def _upload(self, path: str, content: bytes):
        """Answer a step of an upload: create, which files are large, where to put them, commit."""
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self._error(401, "")
        if path == "/api/repos/create":
            made = json.loads(content)
            name = f"{made['organization']}/{made['name']}"
            if f"models/{name}" not in self.hub.repositories:
                self.hub.add("models", name, {})
                if made.get("private") or made.get("visibility") == "private":
                    self.hub.private.add(name)
            return self._json({"url": f"{self.hub.endpoint}/{name}"})
        name, *what = UPLOAD.fullmatch(path).groups()
        if "preupload" in what:
            names = [file["path"] for file in json.loads(content)["files"]]
            modes = {True: "lfs", False: "regular"}
            files = [
                {"path": n, "uploadMode": modes[is_large(n)], "shouldIgnore": False} for n in names
            ]
            return self._json({"files": files})
        if "batch" in what:
            upload = {"upload": {"href": f"{self.hub.endpoint}/store/upload"}}
            objects = [{**o, "actions": upload} for o in json.loads(content)["objects"]]
            return self._json({"objects": objects, "transfer": "basic"})
        return self._commit(name, [json.loads(line) for line in content.splitlines()])

    def _commit(self, name: str, lines: list[dict]):
        files = dict(self.hub.repositories[f"models/{name}"][1])
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.uploaded[value["oid"]]
        commit = self.hub.add("models", name, files)
        url = f"{self.hub.endpoint}/{name}/commit/{commit}"
        return self._json({"commitUrl": url, "commitOid": commit, "success": True})

    def _repository(self, kind: str, name: str, revision: str):
        """Return (commit, files), or None after sending an error."""
        if f"{kind}/{name}" not in self.hub.repositories:
            return self._error(401, "RepoNotFound")
        found = self.hub.at(f"{kind}/{name}", revision)
        return found or self._error(404, "RevisionNotFound")

    def _api(self, kind, name, what, revision, folder, body):
        found = self._repository(kind, name, revision)
        if not found:
            return None
        commit, files = found
        if what == "refs":
            branches = self.hub.branches[f"{kind}/{name}"].items()
            refs = [{"name": b, "ref": b, "targetCommit": commit} for b, commit in branches]
            pulls = [ref for ref in refs if ref["ref"].startswith("refs/pr/")]
            return self._json({"branches": refs, "converts": [], "tags": [], "pullRequests": pulls})
        if what == "auth-check":
            gated = f"{kind}/{name}" in self.hub.gated
            return self._error(403, "GatedRepo") if gated else self._json({})
        entries = [_entry(path, data) for path, data in sorted(files.items())]
        if what == "paths-info":
            return self._json([entry for entry in entries if entry["path"] in body["paths"]])
        if what == "tree":
            inside = _below(folder, entries, "recursive=true" in urlsplit(self.path).query.lower())
            return self._json(inside) if inside else self._error(404, "EntryNotFound")
        siblings = [{"rfilename": path} for path in files]
        return self._json({"id": name, "sha": commit, "private": False, "siblings": siblings})

    def _resolve(self, kind, name, revision, path):
        found = self._repository(kind, name, revision)
        if not found:
            return None
        commit, files = found
        if f"{kind}/{name}" in self.hub.gated:
            return self._error(403, "GatedRepo")
        headers = {"X-Repo-Commit": commit}
        if path not in files:
            return self._error(404, "EntryNotFound", headers)
        data = files[path]
        if not is_large(path):
            return self._content(data, headers)
        # another host, as on the Hub: clients do not follow it when they ask for the headers
        store = self.hub.endpoint.replace("127.0.0.1", "localhost")
        headers |= {
            "X-Linked-Etag": f'"{sha256(data)}"',
            "X-Linked-Size": str(len(data)),
            "Location": f"{store}/store/{sha256(data)}",
        }
        return self._send(302, b"", headers)

    def _content(self, data: bytes, headers: Mapping[str, str] | None = None):
        headers = {"ETag": f'"{sha256(data)}"', "Accept-Ranges": "bytes", **(headers or {})}
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if not wanted:
            return self._send(200, data, headers)
        first = int(wanted[1])
        headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        return self._send(206, data[first:], headers)

    def _json(self, value):
        return self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str, headers: Mapping[str, str] | None = None):
        return self._send(status, b"{}", {"X-Error-Code": code, **(headers or {})})

    def _send(self, status: int, data: bytes, headers: Mapping[str, str]):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = self.hub.dropped.get(self.path.rpartition("/")[2])
        self.wfile.write(data[:cut])
        if cut is not None:
            self.close_connection = True


def _below(folder: str, entries: list[dict], recursive: bool) -> list[dict]:
    """Return files and folders in a folder, of all depths or its own only."""
    prefix = f"{folder}/" if folder else ""
    found = {}
    for entry in entries:
        if entry["path"].startswith(prefix):
            names = entry["path"].removeprefix(prefix).split("/")
            for depth in range(1, len(names)):
                path = prefix + "/".join(names[:depth])
                found[path] = {"type": "directory", "path": path, "size": 0, "oid": "0" * 40}
            found[entry["path"]] = entry
    return [e for e in found.values() if recursive or "/" not in e["path"].removeprefix(prefix)]


def _entry(path: str, data: bytes) -> dict:
    entry = {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
    if is_large(path):
        entry["lfs"] = {"oid": sha256(data), "size": len(data), "pointerSize": 130}
    return entry
