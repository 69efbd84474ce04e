"""What the security section of docs/operations.md promises, as far as the source shows it."""

import ast
import re
import subprocess

# Loading these executes what is in a file.
UNSAFE_LOADERS = {("pickle", "load"), ("pickle", "loads"), ("torch", "load"), ("joblib", "load"), ("yaml", "load"), ("shelve", "open")}
SHELLS = {("os", "system"), ("os", "popen"), ("subprocess", "getoutput"), ("subprocess", "getstatusoutput")}
SECRETS = re.compile(
    r"AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|gh[pousr]_[A-Za-z0-9]{36}|aws_secret_access_key\s*=\s*\S{20}", re.IGNORECASE
)


def calls(repository):
    for path in sorted((repository / "roadsense").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield path.relative_to(repository), node


def name_of(call: ast.Call) -> tuple[str, str]:
    function = call.func
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return function.value.id, function.attr
    return "", function.id if isinstance(function, ast.Name) else ""


def test_no_shell_and_nothing_that_executes_what_it_loads(repository):
    found = []
    for path, call in calls(repository):
        shell = any(keyword.arg == "shell" for keyword in call.keywords)
        pickles = any(keyword.arg == "allow_pickle" and getattr(keyword.value, "value", True) for keyword in call.keywords)
        if shell or pickles or name_of(call) in UNSAFE_LOADERS | SHELLS or name_of(call) in {("", "eval"), ("", "exec")}:
            found.append(f"{path}:{call.lineno}")
    assert found == []


def test_no_secret_in_the_repository(repository):
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True)
    if listed.returncode != 0:  # an unpacked archive
        files = [path for path in (repository / "roadsense").rglob("*") if path.is_file()]
    else:
        files = [repository / name for name in listed.stdout.split("\0") if name]
    found = [str(path) for path in files if path.is_file() and SECRETS.search(path.read_text(encoding="utf-8", errors="ignore"))]
    assert [path for path in found if not path.endswith("test_security.py")] == []
