"""AWS's control plane: one session, short answers, errors of one line. The only place that imports boto3, and only when it is used."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, TypeVar

from roadsense.errors import CloudError, DependencyError

Result = TypeVar("Result")

_LOG: Final = logging.getLogger(__name__)
_MISSING: Final = ("NotFound", "NoSuchEntity", "NoSuchBucket", "404", "NotFoundException", "RepositoryNotFoundException")


def session(attempts: int = 4) -> Any:
    """A boto3 session whose clients give up after seconds and not after minutes."""
    try:
        import boto3
    except ImportError:
        raise DependencyError("boto3 is not installed; install RoadSense's own dependencies: pip install -e .") from None
    from botocore.config import Config

    made = boto3.Session()
    made._session.set_default_client_config(
        Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": attempts})
    )
    return made


def call(what: str, work: Callable[[Any], Result]) -> Result:
    """Run `work(session)`.

    Raises:
        CloudError: AWS refused or did not answer; one line that says so.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return work(session())
    except (BotoCoreError, ClientError) as problem:
        text = " ".join(str(problem).split())
        advice = "aws configure, or AWS_PROFILE" if "redential" in text else "roadsense cloud doctor"
        raise CloudError(f"{what}: AWS says {text[:300]}; see {advice}") from None


def asked(work: Callable[[Any], Result]) -> Result | None:
    """Run `work(session)`; None where AWS does not answer, refuses, or answers something unexpected."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return work(session(attempts=1))
    except (BotoCoreError, ClientError, KeyError, ValueError) as problem:
        _LOG.debug("AWS gave no answer: %s", problem)
        return None


def found(work: Callable[[Any], Result], what: str) -> Result | None:
    """Run `work(session)`; None when AWS says that the thing does not exist.

    Raises:
        CloudError: any other refusal.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return work(session())
    except ClientError as problem:
        code = str(problem.response.get("Error", {}).get("Code", ""))
        if any(word in code for word in _MISSING):
            return None
        raise CloudError(f"{what}: AWS says {' '.join(str(problem).split())[:300]}; check your credentials and rights") from None
    except BotoCoreError as problem:
        raise CloudError(f"{what}: {' '.join(str(problem).split())[:300]}; check your credentials (aws configure)") from None
