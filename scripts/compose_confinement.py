"""How the containers of scripts/compose_test.py are confined: by the engine, and by their networks."""

import json
from concurrent.futures import ThreadPoolExecutor

from compose_stack import PROJECT, Stack, require, require_equal
from processes import output_of

OUTSIDE = ("1.1.1.1", 443)
"""An address of the internet."""


def confinement(stack: Stack) -> None:
    """Inspect every container: no root, no capability, read-only, limited; published on 127.0.0.1 alone."""
    trainers = [f"{service}-trainer" for service in stack.services]
    for service in (*stack.ports, *trainers):
        require_confined(stack, service, restarts="no" if service in trainers else "unless-stopped")


def require_confined(stack: Stack, service: str, *, restarts: str) -> None:
    """Require all of that of one container, and that it restarts as it should."""
    container = stack.inspect(service)
    host = container["HostConfig"]
    actual = {
        "user": container["Config"]["User"],
        "read-only": host["ReadonlyRootfs"],
        "capabilities dropped": host["CapDrop"],
        "no new privileges": any("no-new-privileges" in option for option in host["SecurityOpt"] or []),
        "memory limit": host["Memory"] > 0,
        "CPU limit": host["NanoCpus"] > 0,
        "process limit": (host["PidsLimit"] or 0) > 0,
        "init": host["Init"],
        "rotated log": "max-size" in host["LogConfig"]["Config"],
        "restarts": host["RestartPolicy"]["Name"],
    }
    expected = dict.fromkeys(actual, True) | {
        "user": "nobody" if service == "prometheus" else "10001:10001",
        "capabilities dropped": ["ALL"],
        "restarts": restarts,
    }
    require_equal(service, actual, expected)
    addresses = {place["HostIp"] for places in host["PortBindings"].values() for place in places}
    require(addresses <= {"127.0.0.1"}, f"{service} is published on {addresses}")


def no_way_out(stack: Stack) -> None:
    """Inspect the networks and try: no container can connect to the internet."""
    names = ("backend", "pages", "downloads")
    networks = {name: json.loads(output_of("docker", "network", "inspect", f"{PROJECT}_{name}"))[0] for name in names}
    for name in ("backend", "downloads"):
        require(networks[name]["Internal"], f"the network {name} is not internal")
    option = networks["pages"]["Options"].get("com.docker.network.bridge.enable_ip_masquerade")
    require(option == "false", f"the network of the pages masquerades: {option}")
    other = {f"{service}-trainer": "downloads" for service in stack.services}
    for service in (*stack.ports, *other):
        attached = set(stack.inspect(service)["NetworkSettings"]["Networks"])
        allowed = {f"{PROJECT}_backend", f"{PROJECT}_{other.get(service, 'pages')}"}
        require(attached == allowed, f"{service} is in {attached}")
    code = f"import socket\ntry: socket.create_connection({OUTSIDE}, 3)\nexcept OSError: print('refused')"
    asked = sorted(stack.ports.keys() - {"prometheus"})  # which has no Python
    with ThreadPoolExecutor() as pool:  # each waits for 3 s
        answers = pool.map(lambda name: stack.compose("exec", "--no-TTY", name, "python", "-c", code), asked)
        for service, answer in zip(asked, answers, strict=True):
            require(answer.strip() == "refused", f"{service} has connected to {OUTSIDE}")
