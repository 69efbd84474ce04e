"""A fake AWS on one Linux machine, in which unmodified Ray runs `ray up`; see README.md. Everything lives in namespaces without a way out."""

import contextlib
import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
GATE, PORT, REGION = "172.31.255.254", 5555, "us-east-1"
ENDPOINT = f"http://{GATE}:{PORT}"
TOOLS = "ip unshare nsenter mount hostname sshd ssh ssh-keygen rsync".split()
UNSHARE = "unshare --mount --pid --uts --fork --kill-child --mount-proc".split()
SYSTEM_PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_EC2_METADATA_DISABLED": "true"}  # the laptop's only
GUARD_S = "240"  # of the machines' guard, instead of five minutes


def missing_tools():
    return [tool for tool in TOOLS if not shutil.which(tool, path=f"{os.environ['PATH']}:{SYSTEM_PATH}")]


def assert_no_uplink(host_netns):
    """Exit unless this network namespace has no way out. Sends no packet: connect() on UDP only looks up a route."""
    if os.readlink("/proc/self/ns/net") == host_netns:
        sys.exit("REFUSED: still in the host's network namespace")
    for family in ("-4", "-6"):
        routes = subprocess.check_output(["ip", family, "route", "show", "table", "all", "default"], text=True)
        if [line for line in routes.splitlines() if not line.startswith("unreachable")]:
            sys.exit(f"REFUSED: default route present: {routes}")
    for family, address in ((socket.AF_INET, "8.8.8.8"), (socket.AF_INET, "52.94.76.1"), (socket.AF_INET6, "2001:4860:4860::8888")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            if (rc := probe.connect_ex((address, 53))) not in (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                sys.exit(f"REFUSED: {address} is routable (rc {rc})")
    print("no uplink: no default route, public addresses unreachable", flush=True)


def environment(config):
    """A clean environment: nothing of the developer's own (real AWS keys, proxies) enters the lab."""
    work, python = config["work"], config["python"]
    return {
        "PATH": f"{HERE}/bin:{work}/bin:{os.path.dirname(python)}:{SYSTEM_PATH}", "HOME": f"{work}/home", "LANG": "C.UTF-8", "TERM": "dumb",
        "LAB_WORK": work, "LAB_HERE": str(HERE), "LAB_PYTHON": python, "LAB_KEEP": ":".join(config["keep"]), "LAB_GATE": GATE,
        "AWS_ENDPOINT_URL": ENDPOINT, "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION, "ROADSENSE_GUARD_S": GUARD_S,
        "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": "300", "RAY_agent_register_timeout_ms": "300000",  # three machines share one, and perhaps with others
    }  # fmt: skip


def started(pid):
    """Start time of a process, so that a recycled number is never taken for ours; None once it is gone."""
    with contextlib.suppress(OSError):
        field = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if field[0] == "Z" else field[19]


class Lab:
    """Up when made; `down` ends every process in it, and namespaces, links and mounts go with them."""

    def __init__(self, work, python=sys.executable):
        self.work = Path(work).resolve()
        for name in ("home", "bin", "box"):
            (self.work / name).mkdir(parents=True)
        ask = "import json, sys, ray, boto3, roadsense; print(json.dumps(sys.path + [sys.prefix, sys.base_prefix]))"
        paths = [*json.loads(subprocess.check_output([python, "-c", ask], cwd="/")), str(self.work), str(HERE)]
        keep = sorted({path for path in paths if os.path.isdir(path)})
        self._config = {
            "work": str(self.work), "python": os.path.abspath(python), "keep": keep, "host_netns": os.readlink("/proc/self/ns/net")
        }  # fmt: skip
        (self.work / "lab.json").write_text(json.dumps(self._config))
        (self.work / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        users = [line.split(":") for line in Path("/etc/passwd").read_text().splitlines(keepends=True)]
        home = f"{self.work}/home"
        (self.work / "passwd").write_text("".join(":".join([*u[:5], home, u[6]] if u[0] == "root" else u) for u in users))
        env = environment(self._config) | KEYS
        with (self.work / "lab.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*UNSHARE, "--net", python, str(HERE / "fake_ec2.py")], env=env, cwd="/",
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._pids = {self._process.pid: started(self._process.pid)}
        end = time.monotonic() + 90
        while not (self.work / "ready").exists() or len(self._pids) == 1:
            if self._process.poll() is not None or time.monotonic() > end:
                self.down()
                raise RuntimeError("the lab did not start:\n" + (self.work / "lab.log").read_text()[-3000:])
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            if children and len(self._pids) == 1:
                self._pids[int(children[0])] = started(children[0])
                self._inner = children[0]
            time.sleep(0.2)

    def laptop(self, *command, cwd, **options):
        """Start a command as the developer's machine: in the lab's network, with own processes, home and /tmp."""
        env = environment(self._config) | KEYS | {"LAB_CWD": str(cwd)}
        env["LAB_KEEP"] += f":{cwd}"
        inside = ["nsenter", "-t", self._inner, "-m", "-n", "-p", *UNSHARE, str(HERE / "machine.sh"), "laptop", *map(str, command)]
        options = {"stdout": subprocess.PIPE, "text": True} | options
        return subprocess.Popen(inside, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, **options)

    def call(self, *command, cwd, timeout_s=240):
        """The same, waited for: exit code and output."""
        process = self.laptop(*command, cwd=cwd)
        output, _ = process.communicate(timeout=timeout_s)
        return process.returncode, output

    def python(self, code, *words):
        """What a piece of code with boto3 prints in the lab."""
        rc, output = self.call(self._config["python"], "-c", code, *words, cwd=self.work)
        assert rc == 0, output
        return output

    def notice(self, instance, seconds):
        """What EC2 does: the notice stands in the machine's metadata, and at the stated time the machine is taken."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
        place = self.work / "box" / instance / "imds" / "instance-action"
        place.with_suffix(".new").write_text(json.dumps({"action": "terminate", "time": at}))
        place.with_suffix(".new").rename(place)

    def down(self):
        for pid, start in reversed(self._pids.items()):
            if started(pid) == start:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._process.wait(timeout=60)
