"""fake_imds.py DIR: EC2's metadata service of one machine, on 169.254.169.254:80; version 2 only, version 1 gets 401.

DIR/meta.json holds the plain answers. DIR/instance-action and DIR/rebalance, while they exist, are the spot notices.
"""

import http.server
import json
import socketserver
import sys
import time
from pathlib import Path

FOLDER = Path(sys.argv[1])
META = json.loads((FOLDER / "meta.json").read_text())
TTL = "X-aws-ec2-metadata-token-ttl-seconds"
NOTICES = {"meta-data/spot/instance-action": "instance-action", "meta-data/events/recommendations/rebalance": "rebalance"}
ROLE = "meta-data/iam/security-credentials"


def at(seconds=0.0):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


class Metadata(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, form, *values):
        with (FOLDER / "imds.log").open("a") as log:
            log.write(f"{time.strftime('%T')} {self.command} {self.path} {values[1] if len(values) > 1 else ''}\n")

    def answer(self, code, body="", headers=()):
        self.send_response(code)
        for header in (("Content-Length", str(len(body.encode()))), *headers):
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(body.encode())

    def do_PUT(self):
        seconds = self.headers.get(TTL)
        if self.path == "/latest/api/token" and seconds:
            self.answer(200, "TOKEN", [(TTL, seconds)])
        else:
            self.answer(400)

    def do_GET(self):
        if self.headers.get("X-aws-ec2-metadata-token") != "TOKEN":
            return self.answer(401)
        path = self.path.removeprefix("/latest/").rstrip("/")
        if path in NOTICES and (FOLDER / NOTICES[path]).exists():
            return self.answer(200, (FOLDER / NOTICES[path]).read_text())
        if path == f"{ROLE}/{META[ROLE]}":
            keys = {"AccessKeyId": "ASIAFAKE00000000", "SecretAccessKey": "fake", "Token": "fake"}
            dates = {"LastUpdated": at(), "Expiration": at(6 * 3600)}
            return self.answer(200, json.dumps({"Code": "Success", "Type": "AWS-HMAC", **dates, **keys}))
        return self.answer(200, META[path]) if path in META else self.answer(404)


class Server(socketserver.ThreadingTCPServer):
    """Not http.server.HTTPServer: that one asks DNS for its own name first, and comes up too late for Ray."""

    daemon_threads = allow_reuse_address = True


if __name__ == "__main__":
    Server(("169.254.169.254", 80), Metadata).serve_forever()
