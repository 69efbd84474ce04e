"""`roadsense`: parses the command line, runs one command, and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from roadsense import __version__
from roadsense.cli.flags import Parser, suggest, with_underscores
from roadsense.errors import RoadSenseError, UsageError

_COMMANDS: Final = {
    "generate": "make a dataset of scenarios from base scenarios",
    "check": "verify a dataset: hashes, files, configs, and by really driving every scenario",
    "inspect": "look at a dataset: every scenario on a contact sheet, what was drawn, what the splits share",
    "train": "train a policy",
    "sweep": "train many configurations with Ray Tune, stop the worse ones early, and judge the best",
    "evaluate": "drive the fixed evaluation list with a policy",
    "compare": "judge policies against each other from recorded episodes",
    "ablate": "train what differs in one thing each, with several seeds, and say what each is worth",
    "radio-curve": "drive the same episodes over worse and worse radios: crashes against packet loss and latency",
    "bench": "measure how fast this machine drives and learns, beside a yardstick",
    "report": "write one page that says what runs learned, with figures and episodes to watch",
    "replay": "play a recorded episode again, exactly: in SUMO, as a page to watch, or as an animation",
    "validate-recording": "replay the log of a real drive through the neighbour table and a policy",
    "export": "write a trained policy for devices (C99, TFLite, ONNX), proven equal to torch",
    "doctor": "look at this machine: whether a training can run, how fast it would be, and what it would cost elsewhere",
    "scaling": "predict speed and cost of a training with many env runners, from measured parts",
    "soak": "drive for long while simulators and workers are killed and stopped, and count what is lost or left",
    "cloud": "plan, run, watch and end training on AWS, under a monthly limit",
    "pipeline": "generate, check, train, evaluate and package in one go",
}
_INTERNAL_ERROR: Final = 70  # EX_SOFTWARE of sysexits.h
_INTERRUPTED: Final = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 done, 1 defects found, 2 bad input, 3 budget, 4 dependency, 130 / 143 stopped."""
    words = with_underscores(sys.argv[1:] if argv is None else argv)
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # own parts are named module:function; the user's modules lie where the user works
    debug = "--debug" in words or os.environ.get("ROADSENSE_DEBUG") == "1"
    try:
        return _run(words)
    except RoadSenseError as error:
        if debug:
            traceback.print_exc()
        print(f"roadsense: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("roadsense: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if debug:
            traceback.print_exc()
        print(f"roadsense: {_first_line(error)}; check paths, permissions and free space", file=sys.stderr)
        return RoadSenseError.exit_code
    except Exception as error:
        if debug:
            traceback.print_exc()
        print(f"roadsense: internal error, {type(error).__name__}: {_first_line(error)}; --debug shows where", file=sys.stderr)
        return _INTERNAL_ERROR


def _run(words: Sequence[str]) -> int:
    parser = Parser(prog="roadsense", description="Train V2V collision-avoidance policies on SUMO, in parallel.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    name = next((word for word in words if not word.startswith("-")), None)
    for command, summary in _COMMANDS.items():
        sub = commands.add_parser(command, help=summary, description=summary.capitalize() + ".", allow_abbrev=False)
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        if command == name:
            # Only the command that runs is imported: `roadsense --help` must not load Ray.
            module = importlib.import_module(f"roadsense.cli.{command.replace('-', '_')}")
            module.add_flags(sub)
            sub.set_defaults(run_command=module.run)
    words, job_flags = _split(words) if name == "cloud" else (words, [])
    flags, unknown = parser.parse_known_args(words)
    flags.words, flags.job_flags = words, job_flags
    if unknown:
        known = [option for action in commands.choices[flags.command]._actions for option in action.option_strings]
        raise UsageError(f"{flags.command} has no {unknown[0]}{suggest(unknown[0], known)}; see roadsense {flags.command} --help")
    return int(flags.run_command(flags))


def _split(words: Sequence[str]) -> tuple[Sequence[str], list[str]]:
    """The words before and after `--`: what follows belongs to the job on the machines."""
    position = list(words).index("--") if "--" in words else len(words)
    return words[:position], list(words[position + 1 :])


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else "no message"
