#!/usr/bin/env python3
"""Checks configs/kubernetes, without a cluster: each overlay is built, held against the API's schemas, and every
variable, port, path of a probe, mounted file, secret, metric and image it names against the code and configs that have it.
Then it spoils copies of them, one fault each, and wants each found.

    kubernetes.py      needs kubernetes-validate and PyYAML; with kubectl, its build must be the same as ours
"""
import copy
import json
import pathlib
import re
import shutil
import subprocess
import sys

import kubernetes_validate
import yaml

import kustomize

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDER = ROOT / "configs/kubernetes"
OVERLAYS = ["production", "form-brokers", "single-node", "canary"]
# The oldest that has all that is used (README.md), and the newest whose schemas are there.
VERSIONS = ["1.32", kubernetes_validate.latest_version()]
# Of no schema here: what each may hold.
CUSTOM = {
    ("cert-manager.io/v1", "Issuer"): {"ca"},
    ("cert-manager.io/v1", "Certificate"): {
        "secretName", "issuerRef", "commonName", "dnsNames", "usages", "duration", "renewBefore", "privateKey",
    },
}
# Which configuration a variable is of: file, and the section of it that a first key names.
SAMPLES = {"API": "api.toml", "INGEST": "ingest.toml", "ANALYTICS": "analytics.toml"}
# Where the code says the paths that a program answers.
PATHS = {
    "api": ("api/src/permissions.rs", r'rule\("GET", "(/[a-z]+)"'),
    "roadlake": ("api/src/permissions.rs", r'rule\("GET", "(/[a-z]+)"'),
    "ingest": ("service/src/responder.rs", r'^\s+"(/[a-z]+)" =>'),
    "analytics": ("service/src/responder.rs", r'^\s+"(/[a-z]+)" =>'),
    "rmqtt": ("cross/rmqtt/src/health.rs", r'Some\("(/[a-z/]+)"\)'),
}


def images():
    """What configs/docker makes: program to (user, ports, path of the program)."""
    made = {}
    for file in sorted((ROOT / "configs/docker").glob("*Dockerfile")):
        for stage in re.split(r"^FROM ", file.read_text(), flags=re.M)[1:]:
            if not stage.startswith("scratch"):
                continue
            program = re.search(r'^ENTRYPOINT \["(/usr/bin/([a-z-]+))"\]$', stage, re.M)[2]
            name = re.match(r"scratch AS ([a-z-]+)", stage)
            if name and name[1] != program:
                raise kustomize.Refused(f"{file}: target {name[1]} runs {program}")
            ports = re.search(r"^EXPOSE ([0-9 ]+)$", stage, re.M)
            user = re.search(r"^USER (\d+):(\d+)$", stage, re.M)
            made[program] = (int(user[1]), {int(p) for p in ports[1].split()} if ports else set())
    return made


def read(path):
    return (ROOT / path).read_text()


def keys_of(sample):
    """The keys a sample file names, those in comments too, as they are in variables."""
    keys, section = set(), []
    for line in read(f"configs/{sample}").splitlines():
        line = re.sub(r"^# ?", "", line)
        if header := re.match(r"\[+([a-z0-9_.]+)\]+$", line):
            section = header[1].split(".")
            # A list of tables is one value of a variable.
            keys.add("__".join(section).upper())
        elif key := re.match(r"([a-z_0-9]+) = ", line):
            keys.add("__".join([*section, key[1]]).upper())
    return keys


def variable_faults(name):
    process, _, key = name.removeprefix("ROADLAKE_").partition("__")
    if process == "SERVE":
        process, _, key = key.partition("__")
    if process not in SAMPLES:
        return [f"{name}: no program has this prefix"]
    # [s3] is told once, in that of ingest.
    sample = SAMPLES["INGEST" if key.startswith("S3__") else process]
    if key not in keys_of(sample):
        return [f"{name}: no key of configs/{sample}"]
    if re.search(r"PASSWORD|SECRET|KEY|TOKEN", key) and not re.search(r"_FILE$|_DIR$", key):
        return [f"{name}: a secret is given by a file"]
    return []


# Resources that fit all of VERSIONS, as JSON.
FITTING = set()


def misfit(resource, version):
    try:
        kubernetes_validate.validate(resource, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        name = resource["metadata"]["name"]
        return f"{resource['kind']} {name}: Kubernetes {version}: {error.message} at {list(error.path)}"
    return None


class Checked:
    """Resources of one overlay, and the faults found in them."""

    def __init__(self, resources):
        self.resources = resources
        self.faults = []
        self.names = {kustomize.key(r) for r in resources}
        self.pods = [r for r in resources if kustomize.pod_template(r)]

    def fault(self, resource, what):
        self.faults.append(f"{resource['kind']} {resource['metadata']['name']}: {what}")

    def of_kind(self, kind):
        return [r for r in self.resources if r["kind"] == kind]

    def selected(self, selector):
        """The workloads whose pods a selector takes."""
        wanted = (selector or {}).items()
        return [p for p in self.pods if wanted <= labels_of(p).items()]

    def run(self):
        self.schemas()
        for pod in self.pods:
            self.security(pod)
            self.container(pod)
            self.spread_and_budget(pod)
        self.services()
        self.network()
        self.references()
        self.scaling()
        return self.faults

    def schemas(self):
        for resource in self.resources:
            kind = (resource["apiVersion"], resource["kind"])
            if kind in CUSTOM:
                if unknown := set(resource["spec"]) - CUSTOM[kind]:
                    self.fault(resource, f"{sorted(unknown)} is no key of it")
                continue
            if resource["kind"] == "Secret":
                self.fault(resource, "secrets are referred to, not written down")
            # Overlays share most of what they have, and a look at a schema takes long.
            text = json.dumps(resource, sort_keys=True)
            if text not in FITTING:
                misfits = [m for version in VERSIONS if (m := misfit(resource, version))]
                self.faults += misfits
                if not misfits:
                    FITTING.add(text)

    def security(self, pod):
        spec = kustomize.pod_template(pod)["spec"]
        container = only(spec["containers"])
        own = container["securityContext"]
        for what, is_so in [
            ("runs as another than root", spec["securityContext"].get("runAsNonRoot") is True),
            ("names its user", spec["securityContext"].get("runAsUser", 0) > 0),
            ("has a seccomp profile", spec["securityContext"].get("seccompProfile") == {"type": "RuntimeDefault"}),
            ("cannot gain privileges", own.get("allowPrivilegeEscalation") is False),
            ("cannot write its root", own.get("readOnlyRootFilesystem") is True),
            ("has no capabilities", own.get("capabilities") == {"drop": ["ALL"]}),
            ("has no token of the API server", spec.get("automountServiceAccountToken") is False),
            ("asks for processor and memory", {"cpu", "memory"} <= set(container["resources"]["requests"])),
            ("is bounded in memory", "memory" in container["resources"]["limits"]),
            ("names its image's release", re.search(r":[0-9]+\.[0-9]+\.[0-9]+[^:]*$", container["image"])),
        ]:
            if not is_so:
                self.fault(pod, f"not so: {what}")

    def container(self, pod):
        spec = kustomize.pod_template(pod)["spec"]
        container = only(spec["containers"])
        ports = {p["name"]: p["containerPort"] for p in container["ports"]}
        listened = set()
        mounted = mounted_files(spec, container)
        values = [(e["name"], e.get("value")) for e in container["env"]]
        for name, value in values:
            if name.startswith("ROADLAKE_"):
                for fault in variable_faults(name):
                    self.fault(pod, fault)
            elif f"$({name})" not in container.get("args", []):
                self.fault(pod, f"nobody reads {name}")
            if re.search(r"LISTEN$", name):
                listened.add(int(value.rpartition(":")[2]))
        # What of the values is a path must be mounted.
        texts = [v for _, v in values if v] + container.get("args", [])
        for path in {p for t in texts for p in re.findall(r"(?<![a-z0-9.:/])/[a-z][A-Za-z0-9_./-]*", t)}:
            if path not in mounted and not any(path == m for m in mounts(container)):
                self.fault(pod, f"{path} is not mounted")
        image = container["image"].rpartition("/")[2].partition(":")[0]
        user = spec["securityContext"]["runAsUser"]
        if images().get(image) != (user, set(ports.values())):
            self.fault(pod, f"configs/docker makes no {image} of user {user} with the ports {sorted(ports.values())}")
        program = container["name"]
        if program == "rmqtt":
            config = only([r for r in self.of_kind("ConfigMap") if r["metadata"]["name"] == "rmqtt"])["data"]
            texts = "\n".join(config.values()) + " ".join(container["args"])
            listened |= {int(p) for p in re.findall(r"0\.0\.0\.0:(\d+)", texts)}
            for path in re.findall(r'"(/etc/[^"]*[^/])"', texts):
                if path not in mounted:
                    self.fault(pod, f"{path} is not mounted")
            for argument in [a for a in container["args"] if a.startswith("--")]:
                if f'"{argument}" =>' not in read("cross/rmqtt/src/main.rs"):
                    self.fault(pod, f"{argument} is no argument of rmqtt-node")
            self.brokers(pod, config)
        if listened != set(ports.values()):
            self.fault(pod, f"it listens on {sorted(listened)}, its ports are {sorted(ports.values())}")
        file, pattern = PATHS[program]
        answered = set(re.findall(pattern, read(file), re.M))
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container.get(probe, {}).get("httpGet")
            if asked and (asked["path"] not in answered or asked["port"] not in ports):
                self.fault(pod, f"{probe} {asked}: {program} answers {sorted(answered)} at {sorted(ports)}")
        if "livenessProbe" not in container or "readinessProbe" not in container:
            self.fault(pod, "liveness and readiness are probed")
        annotations = kustomize.pod_template(pod)["metadata"].get("annotations", {})
        if annotations.get("prometheus.io/scrape") and not ("http" in ports and "/metrics" in answered):
            self.fault(pod, "it is scraped, and has no metrics at a port named http")
        if program == "ingest":
            said = dict(values)["ROADLAKE_INGEST__INSTANCES"]
            index = next(e for e in container["env"] if e["name"] == "ROADLAKE_INGEST__INSTANCE")["valueFrom"]
            if int(said) != pod["spec"]["replicas"] or pod["spec"].get("ordinals"):
                self.fault(pod, f"{pod['spec']['replicas']} pods from 0 on, and {said} instances")
            if "pod-index" not in index["fieldRef"]["fieldPath"]:
                self.fault(pod, "its share is its ordinal")

    def brokers(self, pod, config):
        """The nodes of the configuration are the pods there are, by the names they have; a single one forms its own
        cluster, with the names of the others for who comes later: rmqtt does not start without any."""
        first, count = pod["spec"]["ordinals"]["start"], pod["spec"]["replicas"]
        if count == 1 and "--form" not in container_of(pod)["args"]:
            self.fault(pod, "one node joins nobody: --form")
        ordinals = range(first, first + max(count, 3))
        for key, port in (("node_grpc_addrs", 5363), ("raft_peer_addrs", 6003)):
            wanted = [f"{i}@rmqtt-{i}.{pod['spec']['serviceName']}:{port}" for i in ordinals]
            said = re.search(rf"^{key} = (\[.*\])$", config["rmqtt-cluster-raft.toml"], re.M)
            if yaml.safe_load(said[1]) != wanted:
                self.fault(pod, f"{key} = {said[1]}, and the pods are {wanted}")

    def spread_and_budget(self, pod):
        count = pod["spec"].get("replicas", 3)
        budgets = [b for b in self.of_kind("PodDisruptionBudget") if pod in self.selected(b["spec"]["selector"]["matchLabels"])]
        spread = kustomize.pod_template(pod)["spec"].get("topologySpreadConstraints", [])
        if count > 1 and (len(budgets) != 1 or not spread):
            self.fault(pod, f"{count} pods: one disruption budget (there are {len(budgets)}), and spread")
        for constraint in spread:
            if pod not in self.selected(constraint["labelSelector"]["matchLabels"]):
                self.fault(pod, "is spread by other pods")

    def services(self):
        for service in self.of_kind("Service"):
            spec = service["spec"]
            if "selector" not in spec:
                continue
            found = self.selected(spec["selector"])
            if len(found) != 1:
                self.fault(service, f"takes the pods of {len(found)} workloads")
            for port in spec["ports"]:
                for pod in found:
                    if port["targetPort"] not in port_names(pod):
                        self.fault(service, f"{pod['metadata']['name']} has no port {port['targetPort']}")
        for pod in self.pods:
            named = pod["spec"].get("serviceName")
            if named and ("Service", named) not in self.names:
                self.fault(pod, f"there is no Service {named}")
        ports = {s["metadata"]["name"]: {p["name"] for p in s["spec"]["ports"]} for s in self.of_kind("Service")}
        for ingress in self.of_kind("Ingress"):
            for path in [p for rule in ingress["spec"]["rules"] for p in rule["http"]["paths"]]:
                to = path["backend"]["service"]
                if to["port"]["name"] not in ports.get(to["name"], ()):
                    self.fault(ingress, f"there is no port {to['port']} of a Service {to['name']}")

    def network(self):
        policies = self.of_kind("NetworkPolicy")
        denies = [p for p in policies if p["spec"]["podSelector"] == {} and not {"ingress", "egress"} & set(p["spec"])]
        # The canary comes into production's namespace.
        is_whole = ("Namespace", "roadlake") in self.names
        if is_whole and not any(set(d["spec"]["policyTypes"]) == {"Ingress", "Egress"} for d in denies):
            self.faults.append("nothing denies what no policy allows")
        of = lambda p: self.selected(p["spec"]["podSelector"].get("matchLabels"))
        for pod in self.pods:
            own = [p for p in policies if p["spec"]["podSelector"] and pod in of(p)]
            if len(own) != 1:
                self.fault(pod, f"{len(own)} network policies are its own")
        for policy in policies:
            rules = [("ingress", r) for r in policy["spec"].get("ingress", [])]
            rules += [("egress", r) for r in policy["spec"].get("egress", [])]
            for way, rule in rules:
                named = [p["port"] for p in rule.get("ports", []) if isinstance(p["port"], str)]
                others = [asked_of(p["podSelector"]) for p in rule.get("to", []) if "podSelector" in p]
                ends = of(policy) if way == "ingress" else [p for o in others for p in self.selected(o)]
                if way == "egress" and not ends and not is_whole:
                    # A pod of production's.
                    continue
                for port in named:
                    if not ends or any(port not in port_names(e) for e in ends):
                        self.fault(policy, f"{way}: no pod there has the port {port}")

    def references(self):
        """Every ConfigMap and account is there; every secret is made here, or README.md tells of it and its keys."""
        told = dict(re.findall(r"^\| `([a-z0-9-]+)` \| ([^|]*) \|", read("configs/kubernetes/README.md"), re.M))
        made = {c["spec"]["secretName"] for c in self.of_kind("Certificate")}
        for certificate in self.of_kind("Certificate"):
            if ("Issuer", certificate["spec"]["issuerRef"]["name"]) not in self.names:
                self.fault(certificate, "its issuer is not there")
        wanted = []
        for pod in self.pods:
            spec = kustomize.pod_template(pod)["spec"]
            if ("ServiceAccount", spec["serviceAccountName"]) not in self.names:
                self.fault(pod, "its account is not there")
            sources = [s for v in spec["volumes"] for s in v.get("projected", {}).get("sources", [])]
            wanted += [(pod, s["secret"]["name"], [i["key"] for i in s["secret"]["items"]]) for s in sources if "secret" in s]
            claims = [v["persistentVolumeClaim"]["claimName"] for v in spec["volumes"] if "persistentVolumeClaim" in v]
            wanted += [(pod, claim, []) for claim in claims]
            for variable in only(spec["containers"])["env"]:
                of = variable.get("valueFrom", {}).get("configMapKeyRef")
                maps = [r for r in self.of_kind("ConfigMap") if of and r["metadata"]["name"] == of["name"]]
                # The canary's is production's.
                if of and maps and of["key"] not in maps[0]["data"]:
                    self.fault(pod, f"{variable['name']}: there is no {of}")
                if "secretKeyRef" in variable.get("valueFrom", {}):
                    self.fault(pod, f"{variable['name']}: a secret is given by a file")
        wanted += [(i, i["spec"]["ca"]["secretName"], ["tls.crt", "tls.key"]) for i in self.of_kind("Issuer")]
        for who, name, keys in wanted:
            missing = [k for k in keys if f"`{k}`" not in told.get(name, "")]
            # The canary's certificates are production's.
            is_productions = name.endswith("-tls") and ("Namespace", "roadlake") not in self.names
            if name not in made and not is_productions and (name not in told or missing):
                self.fault(who, f"README.md does not tell of {name} {missing}")

    def scaling(self):
        adapter = yaml.safe_load((FOLDER / "prometheus/adapter.yaml").read_text())["rules"]["custom"]
        there = set(re.findall(r"`([a-z_]+)`", read("docs/metrics.md")))
        made = {}
        for rule in adapter:
            series = re.match(r"[a-z_]+", rule["seriesQuery"])[0]
            if series not in there or not re.match(rule["name"]["matches"], series):
                self.faults.append(f"adapter.yaml: {series} is no metric of docs/metrics.md")
            made[rule["name"]["as"]] = series
        # Debian's promtool knows no pods, so what counts of the scrape job is looked at here.
        job = only(yaml.safe_load((FOLDER / "prometheus/scrape.yml").read_text())["scrape_configs"])
        labels = {r.get("target_label") for r in job["relabel_configs"]}
        keeps = {r["source_labels"][0]: r["regex"] for r in job["relabel_configs"] if r.get("action") == "keep"}
        annotated = "__meta_kubernetes_pod_annotation_prometheus_io_scrape"
        if keeps != {annotated: "true", "__meta_kubernetes_pod_container_port_name": "http"} or not {"namespace", "pod"} <= labels:
            self.faults.append("scrape.yml: not what pods and adapter.yaml go by")
        for scaler in self.of_kind("HorizontalPodAutoscaler"):
            target = scaler["spec"]["scaleTargetRef"]
            workload = [p for p in self.pods if kustomize.key(p) == (target["kind"], target["name"])]
            if len(workload) != 1 or "replicas" in workload[0]["spec"]:
                self.fault(scaler, "what it scales is there, and says no number itself")
            kinds = [m["type"] for m in scaler["spec"]["metrics"]]
            resources = {m["resource"]["name"] for m in scaler["spec"]["metrics"] if m["type"] == "Resource"}
            if kinds.count("Pods") != 1 or resources != {"cpu", "memory"}:
                self.fault(scaler, "goes by processor, memory and requests")
            for metric in [m["pods"]["metric"]["name"] for m in scaler["spec"]["metrics"] if m["type"] == "Pods"]:
                if metric not in made:
                    self.fault(scaler, f"adapter.yaml makes no {metric}")


def only(items):
    if len(items) != 1:
        raise kustomize.Refused(f"one is expected, not {len(items)}: {items}")
    return items[0]


def labels_of(pod):
    return kustomize.pod_template(pod)["metadata"]["labels"]


def port_names(pod):
    return {p["name"] for p in only(kustomize.pod_template(pod)["spec"]["containers"])["ports"]}


def mounts(container):
    return {m["mountPath"]: m["name"] for m in container["volumeMounts"]}


def mounted_files(spec, container):
    """The paths of all files that projected volumes bring."""
    files = set()
    volumes = {v["name"]: v for v in spec["volumes"]}
    for place, name in mounts(container).items():
        for source in volumes.get(name, {}).get("projected", {}).get("sources", []):
            if "secret" in source:
                files |= {f"{place}/{i['path']}" for i in source["secret"]["items"]}
            else:
                samples = ["rmqtt.toml", "rmqtt-cluster-raft.toml", "rmqtt-retainer.toml", "mosquitto.acl"]
                files |= {f"{place}/{s}" for s in samples}
    return files


# A fault each: overlay, resource, and what is done to it. Each must be found.
def container_of(resource):
    return kustomize.pod_template(resource)["spec"]["containers"][0]


def rename_first(resource, old, new):
    variable = next(e for e in container_of(resource)["env"] if e["name"] == old)
    variable["name"] = new


SPOILED = [
    ("a misspelt variable", ("Deployment", "api"), lambda r: rename_first(r, "ROADLAKE_API__LISTEN", "ROADLAKE_API__LISTENS")),
    ("a variable of another section", ("StatefulSet", "ingest"), lambda r: rename_first(r, "ROADLAKE_INGEST__HTTP__LISTEN", "ROADLAKE_INGEST__LISTEN")),
    ("a path nobody answers", ("Deployment", "analytics"), lambda r: container_of(r)["readinessProbe"]["httpGet"].update(path="/readyz")),
    ("a port nobody listens on", ("StatefulSet", "ingest"), lambda r: container_of(r)["ports"][0].update(containerPort=9464)),
    ("a file nobody mounts", ("Deployment", "api"), lambda r: container_of(r)["env"][1].update(value="/run/secrets/roadlake/key")),
    ("more pods than shares", ("StatefulSet", "ingest"), lambda r: r["spec"].update(replicas=3)),
    ("more brokers than peers", ("StatefulSet", "rmqtt"), lambda r: r["spec"].update(replicas=5)),
    ("a metric nobody makes", ("HorizontalPodAutoscaler", "api"), lambda r: r["spec"]["metrics"][2]["pods"]["metric"].update(name="requests")),
    ("an image nobody makes", ("Deployment", "api"), lambda r: container_of(r).update(image="registry.example.org/roadlake/apis:0.1.0")),
    ("root", ("Deployment", "api"), lambda r: kustomize.pod_template(r)["spec"]["securityContext"].update(runAsNonRoot=False)),
    ("a key of no schema", ("Deployment", "api"), lambda r: container_of(r).update(livenessprobe={})),
    ("a Service of other pods", ("Service", "api"), lambda r: r["spec"].update(selector={"app": "apis"})),
    ("a secret nobody tells of", ("Issuer", "vehicles"), lambda r: r["spec"]["ca"].update(secretName="authority")),
    ("a policy of other pods", ("NetworkPolicy", "ingest"), lambda r: r["spec"]["podSelector"].update(matchLabels={"app": "ingests"})),
    ("a policy with another port", ("NetworkPolicy", "rmqtt"), lambda r: r["spec"]["ingress"][0]["ports"][0].update(port="mqtt")),
    ("an open namespace", ("NetworkPolicy", "default-deny"), lambda r: r["spec"].update(ingress=[{}])),
    ("a budget of other pods", ("PodDisruptionBudget", "rmqtt"), lambda r: r["spec"]["selector"].update(matchLabels={"app": "x"})),
    ("a secret written down", ("ConfigMap", "lake"), lambda r: r.update(kind="Secret", data={"key": "cGFzcw=="})),
]


def asked_of(selector):
    """Labels a selector asks for, as labels or as expressions with one value."""
    asked = {e["key"]: only(e["values"]) for e in selector.get("matchExpressions", []) if e["operator"] == "In"}
    return {**selector.get("matchLabels", {}), **asked}


def normal(resources):
    return sorted(resources, key=kustomize.key)


def main():
    subprocess.run([FOLDER / "broker-config.py", "--check"], check=True)
    faults = []
    for overlay in OVERLAYS:
        resources = kustomize.build(FOLDER / "overlays" / overlay)
        if shutil.which("kubectl"):
            built = subprocess.run(["kubectl", "kustomize", FOLDER / "overlays" / overlay], check=True, capture_output=True)
            if normal(r for r in yaml.safe_load_all(built.stdout) if r) != normal(resources):
                faults.append(f"{overlay}: kubectl builds it otherwise")
        found = Checked(resources).run()
        faults += [f"{overlay}: {fault}" for fault in found]
        print(f"kubernetes: {overlay}: {len(resources)} resources, {len(found)} faults")
    whole = kustomize.build(FOLDER / "overlays/production")
    known = Checked(whole).run()
    for what, key, spoil in SPOILED:
        resources = copy.deepcopy(whole)
        spoil(next(r for r in resources if kustomize.key(r) == key))
        if not set(Checked(resources).run()) - set(known):
            faults.append(f"nobody finds {what} of {key}")
    print(f"kubernetes: {len(SPOILED)} spoiled copies")
    if faults:
        sys.exit("\n".join(faults))


main()
