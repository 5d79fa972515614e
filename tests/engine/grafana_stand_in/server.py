"""The part of Grafana's contract that a stack relies on; needs nothing but Python's own library.

It reads the administrator's password from the file that GF_SECURITY_ADMIN_PASSWORD__FILE names (once: like
Grafana it keeps the first one in its data folder), the provisioning of data sources and dashboards with $NAME
and $__file{…} filled in, and the dashboards themselves. What is missing or broken ends it with a message.
Then it answers, on port 3000 unless GF_SERVER_HTTP_PORT says otherwise:

    /api/health                    anybody
    /api/datasources/uid/<uid>     the administrator: the data source without its password
    /api/search                    the administrator: uid and title of each dashboard
"""

import base64
import hashlib
import json
import os
import re
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_PAIR = re.compile(r"^[ \t]*(?:-[ \t]+)?(\w+):[ \t]+(.+?)[ \t]*$", re.MULTILINE)


def fail(message: str) -> None:
    print(f"logger=stand-in level=error msg={message!r}", file=sys.stderr)
    sys.exit(1)


def environment(name: str, default: str | None = None) -> str:
    value = os.environ.get(name, default)
    if not value:
        fail(f"{name} is not set")
    return str(value)


def filled_in(value: str) -> str:
    """$__file{…} is a file's content, $NAME a variable of the environment."""

    def content(found: "re.Match[str]") -> str:
        try:
            return Path(found[1]).read_text(encoding="utf-8").strip()
        except OSError as error:
            fail(f"{found[1]}: {error.strerror}")
            raise

    value = re.sub(r"\$__file\{([^}]+)\}", content, value)
    return re.sub(r"\$\{?([A-Z_]+)\}?", lambda found: environment(found[1]), value)


def provisioned(kind: str) -> dict[str, str]:
    """The keys of the one file of that kind; none of them is there twice."""
    folder = Path(environment("GF_PATHS_PROVISIONING", "/etc/grafana/provisioning")) / kind
    files = sorted(folder.glob("*.yaml")) if folder.is_dir() else []
    if len(files) != 1:
        fail(f"{folder} holds {len(files)} files, not one")
    pairs = _PAIR.findall(re.sub(r"^\s*#.*$", "", files[0].read_text(encoding="utf-8"), flags=re.MULTILINE))
    return {name: filled_in(value) for name, value in pairs}


def admin_digest(data: Path) -> str:
    """What is kept of the administrator's password; the file counts at the first start only."""
    kept = data / "grafana.db"
    try:
        if not kept.exists():
            password = (
                Path(environment("GF_SECURITY_ADMIN_PASSWORD__FILE")).read_text(encoding="utf-8").strip()
            )
            if not password:
                fail("the administrator's password is empty")
            kept.write_text(digest(password), encoding="utf-8")
        return kept.read_text(encoding="utf-8")
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
        raise


def digest(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()


def load() -> dict[str, Any]:
    source = provisioned("datasources")
    path = Path(provisioned("dashboards")["path"])
    dashboards = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(path.glob("*.json"))]
    if not dashboards:
        fail(f"no dashboard in {path}")
    if not source.get("password"):
        fail("the data source has no password")
    return {
        "admin": admin_digest(Path(environment("GF_PATHS_DATA", "/var/lib/grafana"))),
        "datasource": {key: source[key] for key in ("uid", "type", "url", "user", "database", "sslmode")},
        "dashboards": [{"uid": each["uid"], "title": each["title"]} for each in dashboards],
    }


class Answers(BaseHTTPRequestHandler):
    state: dict[str, Any]

    def do_GET(self) -> None:
        source = self.state["datasource"]
        if self.path == "/api/health":
            self.answer(200, {"database": "ok", "version": "stand-in"})
        elif not self.allowed():
            self.answer(401, {"message": "Unauthorized"})
        elif self.path == f"/api/datasources/uid/{source['uid']}":
            self.answer(200, source)
        elif self.path == "/api/search":
            self.answer(200, self.state["dashboards"])
        else:
            self.answer(404, {"message": "Not found"})

    def allowed(self) -> bool:
        kind, _, given = self.headers.get("Authorization", "").partition(" ")
        if kind != "Basic":
            return False
        user, _, password = base64.b64decode(given).decode().partition(":")
        administrator = os.environ.get("GF_SECURITY_ADMIN_USER", "admin")
        return bool(user == administrator and digest(password) == self.state["admin"])

    def answer(self, status: int, body: object) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main() -> None:
    Answers.state = load()
    address = environment("GF_SERVER_HTTP_ADDR", "0.0.0.0"), int(environment("GF_SERVER_HTTP_PORT", "3000"))
    server = ThreadingHTTPServer(address, Answers)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    print(f"logger=stand-in level=info msg='HTTP Server Listen' address={address[0]}:{address[1]}")
    server.serve_forever()


if __name__ == "__main__":
    main()
