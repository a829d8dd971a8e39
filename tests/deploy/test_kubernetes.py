"""The manifests, as kubectl renders them, against Kubernetes' own schemas, and among themselves."""

import shutil
import subprocess
from typing import Any

import kubernetes_validate
import pytest
import yaml

from model_worker.settings import WorkerSettings
from server.settings import GatewaySettings
from tests.deploy.conftest import ROOT, SETTINGS, read, run, stopping_seconds

VERSIONS = ("1.30", "1.37")

Manifests = dict[tuple[str, str], Any]


def rendered(folder: str) -> Manifests:
    documents = yaml.safe_load_all(run("kubectl", "kustomize", ROOT / "deploy" / folder))
    return {(each["kind"], each["metadata"]["name"]): each for each in documents}


@pytest.fixture(scope="module")
def manifests() -> Manifests:
    return rendered("kubernetes")


def environment(manifests: Manifests, name: str) -> dict[str, str]:
    """As the container of that deployment sees it; what only the cluster knows in its stead."""
    pod = manifests["Deployment", name]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= manifests["ConfigMap", source["configMapRef"]["name"]]["data"]
    for each in container["env"]:
        found[each["name"]] = each.get("value") or "10.0.0.1"
    return found


@pytest.mark.parametrize("folder", ["kubernetes", "nvidia"])
def test_kubernetes_takes_them(folder: str) -> None:
    for version in VERSIONS:
        for manifest in rendered(folder).values():
            kubernetes_validate.validate(manifest, version, strict=True)


def test_all_are_locked_up(manifests: Manifests) -> None:
    pods = [
        manifest["spec"]["template"]["spec"]
        for (kind, _), manifest in manifests.items()
        if kind == "Deployment"
    ]
    assert len(pods) == 4
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            held = container["securityContext"]
            assert held["readOnlyRootFilesystem"] and held["capabilities"] == {"drop": ["ALL"]}
            assert held["allowPrivilegeEscalation"] is False
            assert container["livenessProbe"] and container["readinessProbe"]
            assert "limits" in container["resources"]
            assert not container["image"].endswith(":latest") and ":" in container["image"]


def test_selectors_mounts_and_policies_find_what_they_name(manifests: Manifests) -> None:
    apps = {name for kind, name in manifests if kind == "Deployment"}
    for (kind, name), manifest in manifests.items():
        spec = manifest.get("spec", {})
        if kind == "Deployment":
            labels = spec["template"]["metadata"]["labels"]
            assert spec["selector"]["matchLabels"].items() <= labels.items()
            pod = spec["template"]["spec"]
            volumes = {volume["name"] for volume in pod.get("volumes", [])}
            for container in pod["containers"]:
                assert {m["name"] for m in container.get("volumeMounts", [])} == volumes
        if kind == "Service":
            assert spec["selector"]["app"] in apps, name
        if kind == "PodDisruptionBudget":
            assert spec["selector"]["matchLabels"]["app"] in apps, name
    policies = {
        manifest["spec"]["podSelector"].get("matchLabels", {}).get("app")
        for (kind, _), manifest in manifests.items()
        if kind == "NetworkPolicy"
    }
    assert policies == apps | {None}


def test_settings_are_the_parts_own_and_can_be_read(manifests: Manifests) -> None:
    for name, settings in (("gateway", GatewaySettings), ("worker", WorkerSettings)):
        found = environment(manifests, name)
        assert {each for each in found if each.startswith("LOOKBACK_")} <= SETTINGS
        read(settings, found)


def test_media_ports_are_the_gateways(manifests: Manifests) -> None:
    gateway = manifests["Deployment", "gateway"]["spec"]["template"]["spec"]["containers"][0]
    first, last = map(int, environment(manifests, "gateway")["LOOKBACK_UDP_PORTS"].split("-"))
    udp = [port for port in gateway["ports"] if port.get("protocol") == "UDP"]
    assert [port["containerPort"] for port in udp] == list(range(first, last + 1))
    assert all(port["hostPort"] == port["containerPort"] for port in udp)
    assert int(environment(manifests, "gateway")["LOOKBACK_MOST_CAMERAS"]) == len(udp)
    rules = manifests["NetworkPolicy", "gateway"]["spec"]["ingress"]
    open_to_all = [port for rule in rules if "from" not in rule for port in rule["ports"]]
    assert open_to_all == [{"port": first, "endPort": last, "protocol": "UDP"}]


def test_workers_have_time_to_stop(manifests: Manifests) -> None:
    pod = manifests["Deployment", "worker"]["spec"]["template"]["spec"]
    drain = float(environment(manifests, "worker")["LOOKBACK_DRAIN_SECONDS"])
    assert stopping_seconds(drain) <= pod["terminationGracePeriodSeconds"] <= 30


def test_a_gpu_is_asked_for() -> None:
    pod = rendered("nvidia")["Deployment", "worker"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert container["image"].startswith("registry.example/lookback-worker-nvidia:")
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    names = [each["name"] for each in container["env"]]
    assert "LOOKBACK_BROKER_URL" in names and len(names) == len(set(names))


def test_scaling_is_of_the_workers(manifests: Manifests) -> None:
    scaled = rendered("scaling")["ScaledObject", "worker"]["spec"]
    assert ("Deployment", scaled["scaleTargetRef"]["name"]) in manifests
    replicas = manifests["Deployment", "worker"]["spec"]["replicas"]
    assert scaled["minReplicaCount"] >= replicas


def test_haproxy_takes_what_the_balancer_is_given(manifests: Manifests, tmp_path: Any) -> None:
    assert shutil.which("haproxy"), "haproxy is not installed"
    container = manifests["Deployment", "balancer"]["spec"]["template"]["spec"]["containers"][0]
    config = next(
        manifest["data"]["haproxy.cfg"]
        for (kind, name), manifest in manifests.items()
        if kind == "ConfigMap" and name.startswith("balancer-")
    )
    (tmp_path / "haproxy.cfg").write_text(config)
    given = {each["name"]: each["value"] for each in container["env"]}
    done = subprocess.run(
        ["haproxy", "-c", "-f", str(tmp_path / "haproxy.cfg")],
        env={"PATH": "/usr/sbin:/usr/bin", **given},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
