"""What an editor shows of a policy where it is written: asked of pyright's language server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from checkers import ROOT

WRITTEN = {
    "Switch": ("mapping: EpochMapping | Sequence[EpochMapping]", "Switch({0: 1e-4, 2: 1e-10})"),
    "Multiply": ("mapping: EpochMapping | Sequence[EpochMapping]", "Multiply({1: 0.5, 3: 0.1}"),
    "Schedule": ("mapping: ScheduleFn | Sequence[ScheduleFn | None]", "Schedule(lambda epoch: 0.1"),
    "Scale": ("mapping: ScheduleFn | Sequence[ScheduleFn | None]", "Scale(lambda epoch: 1 / (1"),
}


class Server:
    """A language server: it is sent requests, and each waits for its answer."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "pyright.langserver", "--stdio"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.id = 0
        markdown = {"contentFormat": ["markdown"]}
        signatures = {"signatureInformation": {"documentationFormat": ["markdown"]}}
        self.ask(
            "initialize",
            rootUri=folder.as_uri(),
            workspaceFolders=[{"uri": folder.as_uri(), "name": folder.name}],
            capabilities={"textDocument": {"hover": markdown, "signatureHelp": signatures}},
        )
        self.send({"method": "initialized", "params": {}})

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout
        length = 0
        while line := self.process.stdout.readline().strip():
            name, value = line.split(b":")
            length = int(value) if name == b"Content-Length" else length
        message: dict[str, Any] = json.loads(self.process.stdout.read(length))
        return message

    def ask(self, method: str, **params: Any) -> Any:
        self.id += 1
        self.send({"id": self.id, "method": method, "params": params})
        while True:
            message = self.receive()
            if "method" not in message:
                return message["result"]
            if "id" in message:  # it asks for settings; none is the answer
                nothing = [None for _ in message["params"].get("items", [])]
                self.send({"id": message["id"], "result": nothing})


def test_an_editor_shows_the_arguments_and_the_example_of_each_policy(tmp_path: Path) -> None:
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(ROOT)]}))
    file = tmp_path / "train.py"
    lines = [f"from thunder_policy import {', '.join(WRITTEN)}", *(f"{name}()" for name in WRITTEN)]
    document = {"languageId": "python", "version": 1, "text": "\n".join(lines)}
    asked = {"textDocument": {"uri": file.as_uri()}}
    shown: dict[str, tuple[str, dict[str, Any]]] = {}
    server = Server(tmp_path)
    try:
        opened = {"textDocument": {**asked["textDocument"], **document}}
        server.send({"method": "textDocument/didOpen", "params": opened})
        for line, name in enumerate(WRITTEN, 1):
            at = {"line": line, "character": len(name) - 1}
            hover = server.ask("textDocument/hover", **asked, position=at)["contents"]["value"]
            at = {"line": line, "character": len(name) + 1}
            signatures = server.ask("textDocument/signatureHelp", **asked, position=at)
            shown[name] = hover, signatures
    finally:
        server.ask("shutdown")
        server.send({"method": "exit"})
        server.process.communicate()
    for name, (arguments, example) in WRITTEN.items():
        hover, signatures = shown[name]
        assert arguments in hover
        assert example in hover
        (signature,) = signatures["signatures"]
        assert signature["label"].startswith(f"({arguments}, lr_init: InitialLR = ")
        assert example in signature["documentation"]["value"]
