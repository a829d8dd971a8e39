"""docker-compose.yml, as Docker Compose itself reads it, and the Dockerfile, as hadolint does."""

import json
import re
import tomllib
from typing import Any

import pytest
import yaml

from model_worker.settings import WorkerSettings
from server.settings import GatewaySettings
from tests.deploy.conftest import ROOT, SETTINGS, read, run, stopping_seconds

PROFILES = [["cpu"], ["nvidia"], ["cpu", "turn", "metrics"]]
OURS = ("gateway", "worker-cpu", "worker-nvidia")


def composed(*profiles: str) -> dict[str, Any]:
    wanted = [word for profile in profiles for word in ("--profile", profile)]
    config = run("docker-compose", *wanted, "config", "--format", "json")
    return json.loads(config)["services"]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return composed("*")


@pytest.mark.parametrize("profiles", PROFILES, ids=lambda each: "+".join(each))
def test_compose_takes_each_profile(profiles: list[str]) -> None:
    names = set(composed(*profiles))
    workers = {"worker-cpu"} if "cpu" in profiles else {"worker-nvidia"}
    beside = {"coturn", "prometheus", "grafana"} if "turn" in profiles else set()
    assert names == {"redis", "gateway"} | workers | beside


def test_all_are_locked_up(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service.get("privileged"), name
        if name != "coturn":
            assert service["cap_drop"] == ["ALL"], name
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", name
        tag = service["image"].rpartition(":")[2]
        assert name in OURS or (":" in service["image"] and tag != "latest"), name


def test_settings_are_the_parts_own_and_can_be_read(services: dict[str, Any]) -> None:
    for name in OURS:
        environment = services[name]["environment"]
        assert set(environment) <= SETTINGS, name
        settings = GatewaySettings if name == "gateway" else WorkerSettings
        read(settings, environment)
        assert services[name]["healthcheck"]["test"]


def test_media_ports_are_those_published(services: dict[str, Any]) -> None:
    gateway = services["gateway"]
    first, last = gateway["environment"]["LOOKBACK_UDP_PORTS"].split("-")
    udp = [port for port in gateway["ports"] if port["protocol"] == "udp"]
    assert [port["target"] for port in udp] == list(range(int(first), int(last) + 1))
    assert all(port["published"] == str(port["target"]) for port in udp)


def test_workers_have_time_to_stop(services: dict[str, Any]) -> None:
    for name in ("worker-cpu", "worker-nvidia"):
        grace = float(services[name]["stop_grace_period"].removesuffix("s"))
        drain = float(services[name]["environment"]["LOOKBACK_DRAIN_SECONDS"])
        assert stopping_seconds(drain) <= grace <= 30


def test_hadolint_finds_nothing() -> None:
    assert run("hadolint", "Dockerfile") == ""


def test_every_target_is_built_and_every_package_comes_along(services: dict[str, Any]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    targets = set(re.findall(r"^FROM \S+ AS (\S+)", dockerfile, re.MULTILINE))
    assert {services[name]["build"]["target"] for name in OURS} <= targets
    last = dockerfile[dockerfile.rindex("FROM base AS") :]
    for part in dockerfile.split("FROM base AS ")[1:]:
        assert "COPY --from" in part and "USER root" not in part
    assert "CMD" in last and "USER 10001:10001" in dockerfile
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().split() if line[0] == "!"}
    with (ROOT / "pyproject.toml").open("rb") as file:
        setuptools = tomllib.load(file)["tool"]["setuptools"]
    folders = {each.split(".")[0] for each in setuptools["packages"]} - {"lookback_client"}
    folders |= {each.split("/")[0] for each in setuptools["package-dir"].values()}
    assert folders | {"requirements", "pyproject.toml", "README.md", "LICENSE"} <= let_in


def test_what_prometheus_asks_is_what_listens(services: dict[str, Any]) -> None:
    jobs = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    for job in jobs["scrape_configs"]:
        for found in job["dns_sd_configs"]:
            for name in found["names"]:
                environment = services[name]["environment"]
                port = environment.get("LOOKBACK_METRICS_PORT") or environment["LOOKBACK_PORT"]
                assert str(found["port"]) == port
    for name in ("prometheus", "grafana"):
        for volume in services[name]["volumes"]:
            if volume["type"] == "bind":
                assert (ROOT / volume["source"]).exists(), volume["source"]
