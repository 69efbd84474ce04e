"""The watcher against a metadata service that speaks IMDSv2 only."""

import http.server
import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from roadsense.cloud.spot_watcher import InstanceMetadata, Notice, watch


class FakeMetadata(http.server.BaseHTTPRequestHandler):
    def log_message(self, form, *values):
        pass

    def do_PUT(self):
        self.server.tokens += 1
        self.reply(200, f"token{self.server.tokens}")

    def do_GET(self):
        if self.headers.get("X-aws-ec2-metadata-token") != f"token{self.server.tokens}":
            self.server.refused += 1
            return self.reply(401, "")
        path = self.path.removeprefix("/latest/meta-data/")
        return self.reply(200, self.server.says[path]) if path in self.server.says else self.reply(404, "")

    def reply(self, code, body):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


@pytest.fixture
def metadata():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeMetadata)
    server.says, server.tokens, server.refused = {}, 0, 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server, InstanceMetadata(f"http://127.0.0.1:{server.server_port}/latest")
    server.shutdown()
    server.server_close()


def test_silence_interruption_and_rebalance(metadata):
    server, service = metadata
    assert service.notice() is None
    server.says["events/recommendations/rebalance"] = json.dumps({"noticeTime": "2026-11-20T12:00:00Z"})
    assert service.notice() == Notice("rebalance", None)
    server.says["spot/instance-action"] = json.dumps({"action": "terminate", "time": "2026-11-20T12:02:00Z"})
    notice = service.notice()
    assert notice == Notice("interruption", datetime(2026, 11, 20, 12, 2, tzinfo=UTC))
    assert notice.remaining_s(datetime(2026, 11, 20, 12, tzinfo=UTC)) == 120
    assert notice.remaining_s(notice.at + timedelta(seconds=9)) == 1
    assert server.tokens == 1, "one token is enough for an hour"


def test_a_token_that_is_no_longer_known_is_renewed(metadata):
    server, service = metadata
    service.notice()
    server.tokens += 1  # the service has forgotten the old one
    server.says["spot/instance-action"] = "not json"
    assert service.notice() == Notice("interruption", None)
    assert server.refused == 1


def test_every_kind_of_notice_is_acted_on_once_and_until_it_worked(metadata):
    server, service = metadata
    server.says["events/recommendations/rebalance"] = "{}"
    seen = []

    def react(notice):
        seen.append(notice.kind)
        if len(seen) == 3:
            server.says["spot/instance-action"] = "{}"
        return len(seen) != 1  # the first attempt fails

    looks = iter(range(8))
    watch(service, react, look_every_s=0, stop=lambda: next(looks, None) is None)
    assert seen == ["rebalance", "rebalance"]
    server.says["spot/instance-action"] = "{}"
    looks = iter(range(4))
    watch(service, react, look_every_s=0, stop=lambda: next(looks, None) is None)
    assert seen == ["rebalance", "rebalance", "interruption"]


def test_a_service_that_does_not_answer_is_asked_again():
    lines = []
    looks = iter(range(2))
    service = InstanceMetadata("http://127.0.0.1:9/latest")
    watch(service, lambda notice: True, look_every_s=0, stop=lambda: next(looks, None) is None, say=lines.append)
    assert len(lines) == 2
