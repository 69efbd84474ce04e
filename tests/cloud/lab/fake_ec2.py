"""First process of the lab's namespaces: moto as AWS's control plane, and a data plane in which every running instance is a machine.

An instance that is terminated loses its machine by SIGKILL; a machine that shuts itself down terminates its instance. Started by lab.py only.
"""

import base64
import json
import os
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path

import boto3
import lab

WORK = Path(os.environ["LAB_WORK"])
CONFIG = json.loads((WORK / "lab.json").read_text())
ROLE, GROUP, BUCKET = "RoadSense-Trainer-Role", "roadsense-cluster", "roadsense-training-results"
SHUTDOWN = """#!/bin/bash
# shutdown -h now|+MINUTES: fake_ec2.py does the rest (InstanceInitiatedShutdownBehavior: terminate)
echo "$2" >> ~/SHUTDOWN_ASKED
([ "$2" = now ] || sleep $((${2#+} * 60)); touch ~/SHUTDOWN) < /dev/null > /dev/null 2>&1 &
"""
# What the boot script and the initialization commands call and the lab does not have; `docker` is there so that none is installed.
SHIMS = {"sudo": '#!/bin/bash\nexec "$@"\n', "shutdown": SHUTDOWN} | dict.fromkeys(
    ("docker", "dnf", "systemctl", "cloud-init", "aws"), "#!/bin/bash\n[ -t 0 ] || true\nexit 0\n"
)
machines = {}


def sh(command):
    subprocess.run(command, shell=True, check=True)


def log(*words):
    print(time.strftime("%T"), *words, flush=True)


def account(ec2):
    """What `deploy/` describes."""
    iam = boto3.client("iam")
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName=ROLE)
    iam.add_role_to_instance_profile(InstanceProfileName=ROLE, RoleName=ROLE)
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = ec2.create_security_group(GroupName=GROUP, Description="lab", VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}])
    boto3.client("s3").create_bucket(Bucket=BUCKET)


def start(ec2, instance):
    name, address, lifecycle = instance["InstanceId"], instance["PrivateIpAddress"], instance.get("InstanceLifecycle", "on-demand")
    box, short = WORK / "box" / name, name[-8:]
    (box / "home/.ssh").mkdir(parents=True)
    (box / "imds").mkdir()
    (box / "ip").write_text(address)
    pair = ec2.describe_key_pairs(KeyNames=[instance["KeyName"]], IncludePublicKey=True)["KeyPairs"][0]["PublicKey"]
    (box / "home/.ssh/authorized_keys").write_text((WORK / "key.pub").read_text() + pair.strip() + "\n")
    boot = ec2.describe_instance_attribute(InstanceId=name, Attribute="userData").get("UserData", {}).get("Value", "")
    (box / "user_data").write_bytes(base64.b64decode(boot))
    env = lab.environment(CONFIG)  # no keys in it: a machine gets its role's from the metadata service
    kept = {key: value for key, value in env.items() if key not in ("HOME", "TERM")}
    (box / "home/.bashrc").write_text("".join(f"export {key}='{value}'\n" for key, value in kept.items()))
    (box / "home/.bash_profile").write_text(". ~/.bashrc\n")
    meta = {
        "meta-data/instance-id": name, "meta-data/local-ipv4": address, "meta-data/instance-type": instance["InstanceType"],
        "meta-data/instance-life-cycle": lifecycle, "meta-data/placement/region": lab.REGION,
        "meta-data/placement/availability-zone": instance["Placement"]["AvailabilityZone"], "meta-data/iam/security-credentials": ROLE,
    }  # fmt: skip
    (box / "imds/meta.json").write_text(json.dumps(meta))
    with (box / "log").open("wb") as out:
        command = [*lab.UNSHARE, "--net", str(lab.HERE / "machine.sh"), name, "instance", address]
        machine = machines[name] = subprocess.Popen(command, env=env, cwd="/", stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    while os.readlink(f"/proc/{machine.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
        time.sleep(0.05)
    sh(f"ip link add v{short} type veth peer name p{short}; ip link set v{short} master br0 up")
    sh(f"ip link set p{short} netns {machine.pid} name eth0")
    log("UP", name, address, instance["InstanceType"], lifecycle)


def step(ec2):
    known = {each["InstanceId"]: each for page in ec2.describe_instances()["Reservations"] for each in page["Instances"]}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for name, instance in known.items():
        state, box = instance["State"]["Name"], WORK / "box" / name
        if state == "running" and name not in machines:
            start(ec2, instance)
        elif state != "running" and name in machines:
            machines[name].kill()
            machines.pop(name).wait()
            log("DOWN", name, state)
        elif state == "running":
            notice, off = box / "imds/instance-action", box / "home/SHUTDOWN"
            if off.exists() or (notice.exists() and json.loads(notice.read_text())["time"] <= now):
                log("SHUTDOWN" if off.exists() else "SPOT LOSS", name)
                ec2.terminate_instances(InstanceIds=[name])


def main():
    lab.assert_no_uplink(CONFIG["host_netns"])  # before anything else
    sh("ip link set lo up; ip link add br0 type bridge; echo 0 > /proc/sys/net/ipv4/ip_forward")
    sh(f"ip addr add {lab.GATE}/16 dev br0; ip link set br0 up")
    lab.assert_no_uplink(CONFIG["host_netns"])
    for name, text in SHIMS.items():
        (WORK / "bin" / name).write_text(text)
        (WORK / "bin" / name).chmod(0o755)
    for name in ("key", "hostkey"):
        sh(f"ssh-keygen -q -t ed25519 -N '' -f '{WORK}/{name}'")
    with (WORK / "moto.log").open("wb") as out:
        moto = subprocess.Popen(
            [sys.executable, str(lab.HERE / "moto_server.py"), "-H", lab.GATE, "-p", str(lab.PORT)], stdout=out, stderr=out
        )
    while socket.socket().connect_ex((lab.GATE, lab.PORT)):
        if moto.poll() is not None:
            sys.exit((WORK / "moto.log").read_text()[-2000:])
        time.sleep(0.2)
    ec2 = boto3.client("ec2")
    account(ec2)
    (WORK / "ready").touch()
    log("ready")
    while True:
        try:
            step(ec2)
        except Exception:
            traceback.print_exc()  # one slow answer must not end the lab
        time.sleep(0.5)


if __name__ == "__main__":
    main()
