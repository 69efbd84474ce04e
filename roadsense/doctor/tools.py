"""Programs that optional parts call: what each is for, and the Debian package that brings it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from roadsense.findings import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """Programs of which any one will do."""

    programs: tuple[str, ...]
    purpose: str
    install: str


def _debian(*packages: str) -> str:
    return f"apt-get install {' '.join(packages)}"


TOOLS: Final = (
    Tool(programs=("gcc", "cc", "clang"), purpose="roadsense export, and driving with policy.h", install=_debian("gcc", "libc6-dev")),
    Tool(programs=("rsync",), purpose="ray up and roadsense cloud run", install=_debian("rsync")),
    Tool(programs=("ssh",), purpose="ray up and roadsense cloud run", install=_debian("openssh-client")),
    Tool(programs=("docker", "podman"), purpose="building and running the image", install="docs/docker.md says how"),
    Tool(programs=("git",), purpose="naming the commit in what is recorded", install=_debian("git")),
    Tool(programs=("g++",), purpose="tests of the export as C++", install=_debian("g++")),
    Tool(
        programs=("arm-linux-gnueabihf-gcc",),
        purpose="tests of the export on ARM",
        install=_debian("gcc-arm-linux-gnueabihf", "libc6-dev-armhf-cross"),
    ),
    Tool(programs=("qemu-arm",), purpose="tests of the export on ARM", install=_debian("qemu-user")),
    Tool(programs=("Xvfb",), purpose="--gui and its tests where there is no screen", install=_debian("xvfb")),
    Tool(programs=("chromium", "chromium-browser", "google-chrome"), purpose="tests of the report's pages", install=_debian("chromium")),
    Tool(programs=("pdftotext",), purpose="tests of the report's printing", install=_debian("poppler-utils")),
    Tool(programs=("sshd",), purpose="tests of the cluster on this machine", install=_debian("openssh-server")),
    Tool(programs=("ip",), purpose="tests of the cluster on this machine", install=_debian("iproute2")),
)


def tool_findings() -> Iterator[Finding]:
    """One per tool; a training needs none of them."""
    # Debian keeps daemons where a user's PATH does not lead.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    for tool in TOOLS:
        found = next((place for program in tool.programs if (place := shutil.which(program, path=path)) is not None), None)
        yield Finding(
            what=tool.programs[0],
            ok=found is not None,
            seen=f"{found or 'missing'}, for {tool.purpose}",
            remedy="" if found else tool.install,
            exit_code=0,
        )
