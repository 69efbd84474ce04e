#!/usr/bin/env bash
# RoadSense in its image, on the files of the current folder.
#
#   ./run_docker.sh generate | train | evaluate | pipeline [flags of roadsense]      ./run_docker.sh train --help
#   ./run_docker.sh test [flags of pytest]     without flags: the tests that need nothing but the image
#   ./run_docker.sh gui [flags of replay]      sumo-gui on this screen: X11, Wayland (through XWayland), WSLg
#   ./run_docker.sh bash
#   ./run_docker.sh help
#
# Runs and datasets appear in ./runs and ./scenarios/datasets, owned by you. ROADSENSE_IMAGE names another image (default: roadsense).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
image=${ROADSENSE_IMAGE:-roadsense}
commit=$(git -C "$here" rev-parse HEAD 2> /dev/null || echo unknown)

usage() { sed -n '2,10s/^# \{0,1\}//p' "$0"; }
fail() { echo "run_docker.sh: $1" >&2; exit "${2:-2}"; }

action=${1:-help}
[ $# -eq 0 ] || shift
options=(--rm --init=false --ulimit nofile=65536:65536 --shm-size=2g --user "$(id -u):$(id -g)" --env HOME=/tmp)
options+=(--env "GIT_COMMIT=$commit" --volume "$PWD/runs:/work/runs" --volume "$PWD/scenarios/datasets:/work/scenarios/datasets")
for name in AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE AWS_REGION AWS_DEFAULT_REGION AWS_ENDPOINT_URL; do
  # By name only: the value does not appear in the list of processes.
  [ -z "${!name:-}" ] || options+=(--env "$name")
done
[ ! -t 0 ] || options+=(--interactive --tty)

display() {
  # WSLg and most Wayland desktops serve X11 as well; SUMO's GUI speaks only that.
  [ -n "${DISPLAY:-}" ] || fail "DISPLAY is not set, so there is no screen for the GUI; on a server use ssh -X"
  options+=(--env DISPLAY --volume /tmp/.X11-unix:/tmp/.X11-unix:ro)
  [ ! -d /mnt/wslg ] || options+=(--volume /mnt/wslg:/mnt/wslg:ro)
  [ ! -d /dev/dri ] || options+=(--device /dev/dri)
  authority=${XAUTHORITY:-$HOME/.Xauthority}
  [ ! -f "$authority" ] || options+=(--env XAUTHORITY=/tmp/.Xauthority --volume "$authority:/tmp/.Xauthority:ro")
  # A remote display (ssh -X) is a port on this machine.
  case $DISPLAY in localhost:* | 127.*) options+=(--network host) ;; esac
}

case $action in
  generate | train | evaluate | pipeline) command=(roadsense "$action" "$@") ;;
  test)
    [ $# -gt 0 ] || set -- tests/radio tests/model tests/env --deselect tests/env/test_convoy_env.py::test_libsumo_gives_the_same_episode
    command=(python -m pytest -p no:cacheprovider "$@")
    ;;
  gui) display; command=(roadsense replay --gui "$@") ;;
  bash) command=(bash "$@") ;;
  help | -h | --help) usage; exit 0 ;;
  *) fail "unknown action $action; see ./run_docker.sh help" ;;
esac
command -v "${DOCKER:-docker}" > /dev/null || fail "docker is not installed; see docs/docker.md" 4
mkdir -p "$PWD/runs" "$PWD/scenarios/datasets"
exec "${DOCKER:-docker}" run "${options[@]}" "$image" "${command[@]}"
