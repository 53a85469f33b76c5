"""A headless Chromium without a driver: its DevTools protocol over two pipes, in plain Python."""

import base64
import json
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-extensions", "--disable-sync"),
    *("--hide-scrollbars", "--remote-debugging-pipe"),
)


def find() -> str | None:
    """The program of a Chromium on this machine, None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page of a fresh Chromium: what it asks for and complains of is noted in `events`."""

    def __init__(self, program: str, seconds: float = 180) -> None:
        self._profile = tempfile.mkdtemp(prefix="ofer-chromium-")
        read, theirs_out = os.pipe()
        theirs_in, write = os.pipe()
        # It reads from descriptor 3 and writes to 4, whatever ours are called.
        move = f'exec 3<&{theirs_in} 4>&{theirs_out}; exec "$@"'
        line = [
            "bash",
            "-c",
            move,
            "bash",
            program,
            *QUIET,
            f"--user-data-dir={self._profile}",
        ]
        self._process = subprocess.Popen(
            [*line, "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out, self._unread = os.fdopen(write, "wb", 0), read, bytearray()
        self._late = threading.Timer(seconds, self._process.kill)  # a stuck one ends all reading
        self._late.start()
        self._number, self._session = 0, ""
        self.events: list[dict[str, Any]] = []
        pages = self.call("Target.getTargets")["targetInfos"]
        target = next(page["targetId"] for page in pages if page["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self._late.cancel()
        self._in.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._out)
        shutil.rmtree(self._profile, ignore_errors=True)

    def call(self, method: str, **values: Any) -> dict[str, Any]:
        """What the browser answers; RuntimeError where it refuses or has ended."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": values}
        if self._session:
            message["sessionId"] = self._session
        self._in.write(json.dumps(message).encode() + b"\0")
        while True:
            found = self._read()
            if found.get("id") == self._number:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']['message']}")
                return found["result"]
            self.events.append(found)

    def _read(self) -> dict[str, Any]:
        while (end := self._unread.find(b"\0")) < 0:
            more = os.read(self._out, 1 << 20)
            if not more:
                raise RuntimeError("the browser has ended")
            self._unread += more
        message = self._unread[:end]
        del self._unread[: end + 1]
        return json.loads(message)

    def open(self, path: Path, width: int, scheme: str) -> None:
        """Shows a file in a window of that width, its reader's scheme 'light' or 'dark'."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.call("Page.navigate", url=path.resolve().as_uri())
        ready = (
            "document.readyState === 'complete' ? 1 : new Promise(r => addEventListener('load', r))"
        )
        self.value(ready)

    def value(self, expression: str) -> Any:
        """Of a JavaScript expression in the page."""
        settings = {"returnByValue": True, "awaitPromise": True}
        return self.call("Runtime.evaluate", expression=expression, **settings)["result"].get(
            "value"
        )

    def named(self, *methods: str) -> list[dict[str, Any]]:
        """Parameters of the events of these names so far."""
        return [event["params"] for event in self.events if event.get("method") in methods]

    def screenshot(self) -> bytes:
        """All of the page, PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])
