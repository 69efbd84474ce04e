"""The Dockerfile's steps without a Docker engine: its instructions run in a chroot that debootstrap has made.

What differs from `docker build`: the base is Debian's own bookworm with its Python 3.11 instead of `python:3.11-slim-bookworm`; there are no
layers, so nothing is shown about caching; ENTRYPOINT and health are not Docker's. ENV, ARG, WORKDIR, USER, SHELL, COPY and RUN are obeyed.
"""

import fnmatch
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = "python3,python3-venv,ca-certificates"


@dataclass
class Stage:
    """A stage of the build: its root directory and what ENV, WORKDIR and USER have set so far."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "0"


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """(INSTRUCTION, rest) in order; comments left out, continued lines joined."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())]


def machine_paths() -> dict[str, Path]:
    """How this machine reaches its package registries: paths (and what lies there) that pip and apt need in the chroot as well."""
    places = {"/etc/resolv.conf", "/etc/hosts", "/etc/apt/apt.conf.d"}
    for text in pip_configuration().values():
        # An index on the disk points to files beside it.
        places |= {word.removesuffix("/simple") for word in text.replace("file://", " ").split() if word.startswith("/")}
    return {place: Path(place) for place in places if Path(place).exists()}


def pip_configuration() -> dict[str, str]:
    """The user's own pip configuration as environment variables: a build has another home."""
    done = subprocess.run(["pip", "config", "list"], capture_output=True, text=True)
    values = {}
    for line in done.stdout.splitlines():
        name, _, value = line.partition("=")
        if name.startswith("global."):
            values["PIP_" + name.removeprefix("global.").upper().replace("-", "_")] = value.strip("'\"").replace("\\n", " ")
    own = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "REQUESTS_CA", "CURL_CA"))}
    return values | own


def home_of(stage: Stage) -> str:
    """The user's home, which Docker takes from the image's /etc/passwd as well."""
    users = [line.split(":") for line in (stage.root / "etc" / "passwd").read_text().splitlines()]
    return next((fields[5] for fields in users if fields[2] == stage.user), "/")


def enter(stage: Stage, command: list[str], *, check: bool = True, timeout_s: int = 1800) -> subprocess.CompletedProcess:
    """Run a command in the stage, in a mount and process namespace of its own, so that no mount and no process outlives it."""
    root = stage.root
    mounts = [f"mount -t proc proc {root}/proc", f"mount --rbind /dev {root}/dev", f"mount -t tmpfs -o size=2g tmpfs {root}/dev/shm"]  # noqa: S108
    for place, source in machine_paths().items():
        target = root / place.lstrip("/")
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        mounts.append(f"mount --bind {source} {target}")
    (root / stage.workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": home_of(stage), "DEBIAN_FRONTEND": "noninteractive"}
    env |= pip_configuration() | stage.env
    words = [f"{name}={value}" for name, value in env.items()]
    inside = ["chroot", f"--userspec={stage.user}:{stage.user}", str(root), "/usr/bin/env", "-i", *words]
    inside += ["/bin/bash", "-c", f'cd {stage.workdir} && exec "$@"', "enter", *command]
    script = " && ".join([*mounts, "exec " + shlex.join(inside)])
    return subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c", script],
        capture_output=True, text=True, check=check, timeout=timeout_s, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def build(repository: Path, folder: Path, arguments: dict[str, str]) -> Stage:
    """Obey the Dockerfile; returns its last stage."""
    base = folder / "base"
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(base)], check=True, capture_output=True, timeout=1800
    )
    (base / "usr/bin/python").symlink_to("python3")
    stages: dict[str, Stage] = {}
    for word, rest in instructions((repository / "Dockerfile").read_text()):
        if word == "FROM":
            assert re.fullmatch(r"python:3\.11\S*-bookworm( AS \w+)?", rest), rest
            name = rest.split(" AS ")[1] if " AS " in rest else "final"
            shutil.copytree(base, folder / name, symlinks=True, ignore=shutil.ignore_patterns("dev", "proc"))
            for empty in ("dev", "proc"):
                (folder / name / empty).mkdir(exist_ok=True)
            stages[name] = stage = Stage(folder / name)
        else:
            obey(stage, word, rest, repository, stages, arguments)
    return stage


def obey(stage: Stage, word: str, rest: str, repository: Path, stages: dict[str, Stage], arguments: dict[str, str]) -> None:
    if word == "RUN":
        done = enter(stage, ["/bin/bash", "-o", "pipefail", "-c", rest], check=False)
        assert done.returncode == 0, f"RUN {rest[:200]}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    elif word == "COPY":
        copy(stage, rest.split(), repository, stages)
    elif word in ("ARG", "ENV"):
        for pair in shlex.split(rest):
            name, _, value = pair.partition("=")
            value = re.sub(r"\$\{?(\w+)\}?", lambda found: stage.env.get(found[1], os.defpath if found[1] == "PATH" else ""), value)
            stage.env[name] = arguments.get(name, value) if word == "ARG" else value
    elif word == "WORKDIR":
        stage.workdir = rest
    elif word == "USER":
        stage.user = rest
    else:
        assert word in ("SHELL", "LABEL", "ENTRYPOINT", "CMD"), f"the Dockerfile has an instruction that this does not know: {word}"


def copy(stage: Stage, words: list[str], repository: Path, stages: dict[str, Stage]) -> None:
    flags = dict(word.removeprefix("--").split("=", 1) for word in words if word.startswith("--"))
    *sources, target = [word for word in words if not word.startswith("--")]
    origin = stages[flags["from"]].root if "from" in flags else repository
    ignored = [] if "from" in flags else (repository / ".dockerignore").read_text().split()

    def leave_out(folder: str, names: list[str]) -> set[str]:
        inside = Path(folder).relative_to(repository) if ignored else Path()
        return {
            name
            for name in names
            for each in ignored
            if fnmatch.fnmatch(str(inside / name), each.removeprefix("**/")) or name == each.removeprefix("**/")
        }

    into = stage.root / (target if target.startswith("/") else f"{stage.workdir}/{target}").lstrip("/")
    for source in sources:
        found = origin / source.lstrip("/")
        place = into / found.name if target.endswith("/") else into
        place.parent.mkdir(parents=True, exist_ok=True)
        if found.is_dir():
            shutil.copytree(found, place, symlinks=True, dirs_exist_ok=True, ignore=leave_out if ignored else None)
        else:
            shutil.copy2(found, place)
        if "chmod" in flags:
            place.chmod(int(flags["chmod"], 8))
        if "chown" in flags:
            user = enter(stage, ["/usr/bin/id", "-u", flags["chown"].split(":")[0]]).stdout.strip()
            subprocess.run(["chown", "-R", f"{user}:{user}", str(place)], check=True)
