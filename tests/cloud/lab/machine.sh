#!/bin/bash
# machine.sh NAME CMD...: make this process (already in fresh mount, PID and UTS namespaces) the machine NAME, then run CMD.
# CMD "instance IP" is an EC2 instance (own network namespace, metadata service, boot script, sshd); anything else runs as the laptop.
# The PID namespace matters: `ray up` and `ray down` run `ray stop`, which ends every Ray process that it can see.
set -euo pipefail
name=$1; shift
box=$LAB_WORK/box/$name
mkdir -p "$box/home/.ssh" "$box/tmp" "$box/local_bin"
chmod 700 "$box/home" "$box/home/.ssh"; chmod 1777 "$box/tmp"
hostname "$name"
mount --bind "$LAB_WORK/passwd" /etc/passwd                      # root's home is the lab's, the real one stays untouched
mount --bind "$LAB_WORK/resolv.conf" /etc/resolv.conf || true    # look-ups fail at once instead of timing out
mount --bind "$box/home" "$LAB_WORK/home"
(                                                                # boot scripts write there; two laptop commands may start at once
  flock 9
  [ -e "$box/local_bin/.copied" ] || { cp -a /usr/local/bin/. "$box/local_bin" && touch "$box/local_bin/.copied"; }
) 9> "$box/lock"
mount --bind "$box/local_bin" /usr/local/bin
IFS=: read -ra keep <<< "$LAB_KEEP"
for folder in "${keep[@]}"; do                                   # own /tmp, with only the needed parts of the real one in it
  case $folder in /tmp/*) mkdir -p "$box$folder"; mount --rbind "$folder" "$box$folder" ;; esac
done
mount --rbind "$box/tmp" /tmp
mount -t tmpfs -o size=1g tmpfs /dev/shm
mount -t tmpfs tmpfs /run; mkdir -p /run/sshd
if [ "$1" = instance ]; then
  until ip link show eth0 &> /dev/null; do sleep 0.1; done
  ip link set lo up; ip addr add "$2/16" dev eth0; ip link set eth0 up
  ip addr add 169.254.169.254/32 dev lo
  ip route add default via "$LAB_GATE"                           # a dead end, but without it Ray takes 127.0.0.1 as the node's address
  setsid "$LAB_PYTHON" "$LAB_HERE/fake_imds.py" "$box/imds" > "$box/imds/server.log" 2>&1 < /dev/null &
  until (: < /dev/tcp/169.254.169.254/80) 2> /dev/null; do sleep 0.1; done   # as on EC2: metadata comes first
  if [ -s "$box/user_data" ]; then bash "$box/user_data" > "$box/boot.log" 2>&1 < /dev/null || true; fi
  exec "$(command -v sshd)" -D -e -f /dev/null -o ListenAddress="$2" -o HostKey="$LAB_WORK/hostkey" -o UsePAM=no -o StrictModes=no \
    -o PasswordAuthentication=no -o PermitRootLogin=prohibit-password -o PidFile=none -o MaxStartups=100
fi
cd "$LAB_CWD"; "$@" && rc=0 || rc=$?; exit $rc
