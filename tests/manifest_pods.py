"""Rendered manifests, and who reaches whom by their network policies."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from checkout import ROOT

OVERLAYS = sorted(path.name for path in (ROOT / "deploy/kubernetes/overlays").iterdir())
Object = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    """What a Deployment, a Job or a CronJob starts."""

    object: Object
    template: Object

    @property
    def name(self) -> str:
        return str(self.object["metadata"]["name"])

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.template["metadata"]["labels"])

    @property
    def component(self) -> str:
        """What it does: of a project service, trainer, retrain or monitor; of others their name."""
        return self.labels.get("app.kubernetes.io/component", self.labels["app.kubernetes.io/name"])

    @property
    def spec(self) -> Object:
        return dict(self.template["spec"])

    @property
    def container(self) -> Object:
        (only,) = self.spec["containers"]
        return dict(only)

    def mounts(self) -> set[tuple[str, str]]:
        """Return the names of volumes, and where they are."""
        return {(mount["name"], mount["mountPath"]) for mount in self.container["volumeMounts"]}

    def claims(self) -> set[tuple[str, str]]:
        """Return the claims of volumes that outlive it, and where they are."""
        claims = {
            volume["name"]: volume["persistentVolumeClaim"]["claimName"]
            for volume in self.spec["volumes"]
            if "persistentVolumeClaim" in volume
        }
        return {(claims[name], path) for name, path in self.mounts() if name in claims}

    def config_maps(self) -> set[str]:
        return set(self._named("configMapRef", "configMapKeyRef"))

    def secrets(self) -> set[str]:
        volumes = {volume["secret"]["secretName"] for volume in self.spec["volumes"] if "secret" in volume}
        return volumes | set(self._named("secretRef", "secretKeyRef"))

    def _named(self, whole: str, key: str) -> Iterator[str]:
        yield from (each[whole]["name"] for each in self.container.get("envFrom", []) if whole in each)
        sources = [each.get("valueFrom", {}) for each in self.container.get("env", [])]
        yield from (source[key]["name"] for source in sources if key in source)


class Manifests:
    """Overlay -> its objects."""

    def __init__(self, rendered: Mapping[str, str]) -> None:
        self.text = dict(rendered)
        self._objects = {overlay: list(yaml.safe_load_all(text)) for overlay, text in rendered.items()}

    def all(self, overlay: str) -> list[Object]:
        return self._objects[overlay]

    def of(self, overlay: str, kind: str) -> list[Object]:
        return [each for each in self.all(overlay) if each["kind"] == kind]

    def pods(self, overlay: str, *components: str) -> list[Pod]:
        """Return what starts pods; of some components, or of all."""
        pods = [
            Pod(each, each["spec"]["template"]) for kind in ("Deployment", "Job") for each in self.of(overlay, kind)
        ]
        pods += [Pod(each, each["spec"]["jobTemplate"]["spec"]["template"]) for each in self.of(overlay, "CronJob")]
        return [pod for pod in pods if not components or pod.component in components]

    def environment(self, overlay: str, pod: Pod) -> dict[str, str]:
        """Return the variables of a pod as they are without a secret."""
        maps = {each["metadata"]["name"]: each["data"] for each in self.of(overlay, "ConfigMap")}
        given: dict[str, str] = {}
        for each in pod.container.get("envFrom", []):
            given |= maps[each["configMapRef"]["name"]] if "configMapRef" in each else {}
        for each in pod.container.get("env", []):
            if key := each.get("valueFrom", {}).get("configMapKeyRef"):
                given[each["name"]] = maps[key["name"]][key["key"]]
            elif "value" in each:
                given[each["name"]] = each["value"]
        return given

    def blocks(self, overlay: str, pod: Pod) -> set[tuple[str, int]]:
        """Return the networks and ports outside of the cluster that a pod may connect to."""
        return {
            (peer["ipBlock"]["cidr"], port)
            for peer, ports in self.peers(overlay, pod, "egress", "to")
            for port in ports
            if "ipBlock" in peer
        }

    def namespaces(self, overlay: str, pod: Pod) -> bool:
        """Return whether pods of other namespaces may connect to a pod."""
        return any("namespaceSelector" in peer for peer, _ in self.peers(overlay, pod, "ingress", "from"))

    def peers(self, overlay: str, pod: Pod, way: str, key: str) -> Iterator[tuple[Object, list[int]]]:
        """Yield whom the policies of a pod let through, and on which ports."""
        for policy in self.of(overlay, "NetworkPolicy"):
            if selects(policy["spec"]["podSelector"], pod):
                for rule in policy["spec"].get(way, []):
                    yield from ((peer, [port["port"] for port in rule["ports"]]) for peer in rule[key])


def selects(selector: Object, pod: Pod) -> bool:
    """Return whether a label selector has a pod: all of its labels, and all of its expressions."""
    labels = pod.labels
    held = [labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()]
    for each in selector.get("matchExpressions", []):
        inside = labels.get(each["key"]) in each["values"]
        held.append(inside if each["operator"] == "In" else not inside)
        assert each["operator"] in ("In", "NotIn")
    return all(held)


def ways(manifests: Manifests, overlay: str) -> set[tuple[str, str, int]]:
    """Return who may connect to whom on which port, which the policies of both must say.

    A pod that no policy selects would be open: `default` selects every pod, for both directions.
    """
    (default,) = [
        each["spec"] for each in manifests.of(overlay, "NetworkPolicy") if each["metadata"]["name"] == "default"
    ]
    assert (default["podSelector"], set(default["policyTypes"])) == ({}, {"Ingress", "Egress"})
    assert "ingress" not in default
    pods = manifests.pods(overlay)
    found = set()
    for source in pods:
        for target in pods:
            out = [
                port
                for peer, ports in manifests.peers(overlay, source, "egress", "to")
                for port in ports
                if peer.keys() == {"podSelector"} and selects(peer["podSelector"], target)
            ]
            into = [
                port
                for peer, ports in manifests.peers(overlay, target, "ingress", "from")
                for port in ports
                if peer.keys() == {"podSelector"} and selects(peer["podSelector"], source)
            ]
            found |= {(source.component, target.component, port) for port in set(out) & set(into)}
    return found
