"""A real headless Chromium, driven over its DevTools protocol with what Ray brings along (aiohttp)."""

import asyncio
import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-dev-shm-usage"]


class Browser:
    """One page of one browser; every console error and every request is kept."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="roadsense-chromium-")
        self._process = subprocess.Popen(
            [CHROMIUM, *_FLAGS, "--remote-debugging-port=0", f"--user-data-dir={self._folder}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._loop = asyncio.new_event_loop()
        self._number = 0
        self._events = []
        self._loop.run_until_complete(self._connect())
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.command(f"{domain}.enable")

    async def _connect(self):
        port_file = Path(self._folder) / "DevToolsActivePort"
        deadline = time.monotonic() + 30
        while not (port_file.exists() and port_file.read_text().count("\n")):
            if time.monotonic() > deadline:
                raise TimeoutError("Chromium did not open its DevTools port")
            await asyncio.sleep(0.05)
        port = port_file.read_text().splitlines()[0]
        self._http = aiohttp.ClientSession()
        async with self._http.get(f"http://127.0.0.1:{port}/json/list") as answer:
            target = next(target for target in await answer.json() if target["type"] == "page")
        self._socket = await self._http.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0)

    def command(self, method, **parameters):
        """Send one command and return its result; events that come meanwhile are kept."""
        return self._loop.run_until_complete(self._command(method, parameters))

    async def _command(self, method, parameters):
        self._number += 1
        number = self._number
        await self._socket.send_str(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads((await asyncio.wait_for(self._socket.receive(), 60)).data)
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self._events.append(message)

    def resize(self, width, height, *, dark=False, mobile=False):
        """The window's size in CSS pixels, and the colour scheme the reader prefers."""
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, path):
        """Open a file and wait until the page says that it is ready; returns the seconds that took."""
        self._events.clear()
        began = time.monotonic()
        self.command("Page.navigate", url=Path(path).resolve().as_uri())
        self.wait_for("document.readyState === 'complete' && document.documentElement.dataset.ready === 'yes'")
        return time.monotonic() - began

    def wait_for(self, condition, timeout_s=20):
        """Wait until a JavaScript expression holds."""
        deadline = time.monotonic() + timeout_s
        while not self.evaluate(condition):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{condition} did not come true; errors: {self.errors}")
            time.sleep(0.03)

    def evaluate(self, expression):
        """The value of a JavaScript expression; a promise is awaited."""
        result = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"]))
        return result["result"].get("value")

    def press(self, key, text=""):
        """Press a key as a person would."""
        code = "Space" if key == " " else key
        for kind in ("keyDown", "keyUp"):
            self.command("Input.dispatchKeyEvent", type=kind, key=key, code=code, text=text if kind == "keyDown" else "")

    def screenshot(self, path, *, full=True):
        """A PNG of the whole page, or of the window alone."""
        options = {}
        if full:
            size = self.command("Page.getLayoutMetrics")["cssContentSize"]
            options = {
                "captureBeyondViewport": True,
                "clip": {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16000), "scale": 1},
            }
        data = self.command("Page.captureScreenshot", format="png", **options)["data"]
        Path(path).write_bytes(base64.b64decode(data))
        return Path(path)

    def pdf(self):
        """The page as it would be printed."""
        return base64.b64decode(self.command("Page.printToPDF", printBackground=False)["data"])

    @property
    def errors(self):
        """Everything that went wrong: exceptions, console errors, refused requests."""
        self.evaluate("0")  # lets events arrive
        kinds = {"Runtime.exceptionThrown", "Network.loadingFailed"}
        found = [event for event in self._events if event.get("method") in kinds]
        found += [e for e in self._events if e.get("method") == "Runtime.consoleAPICalled" and e["params"]["type"] in ("error", "warning")]
        return found + [e for e in self._events if e.get("method") == "Log.entryAdded" and e["params"]["entry"]["level"] == "error"]

    @property
    def requests(self):
        """Addresses that were asked for, beside the page itself and what lies inside it (data:)."""
        urls = [event["params"]["request"]["url"] for event in self._events if event.get("method") == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith("data:")][1:]

    def close(self):
        """End the browser and remove what it wrote."""
        self._loop.run_until_complete(self._http.close())
        self._loop.close()
        try:
            os.killpg(self._process.pid, 15)
            self._process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            self._process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
