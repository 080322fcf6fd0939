"""Builds an overlay of configs/kubernetes as `kubectl kustomize` does, for machines without it: resources,
namespace, nameSuffix, labels with selectors, images, and patches of JSON (RFC 6902). What it does not know it
refuses."""
import copy
import pathlib

import yaml

KNOWN = {"apiVersion", "kind", "resources", "namespace", "nameSuffix", "labels", "images", "patches"}
CLUSTER_WIDE = {"Namespace"}


class Refused(Exception):
    """A file that is wrong, or says what this does not know."""


def build(folder):
    """The resources of a kustomization, in no particular order."""
    folder = pathlib.Path(folder)
    file = folder / "kustomization.yaml"
    said = yaml.safe_load(file.read_text())
    unknown = set(said) - KNOWN
    if unknown:
        raise Refused(f"{file}: {sorted(unknown)} is not known here")
    resources = []
    for name in said["resources"]:
        path = folder / name
        if path.is_dir():
            resources += build(path)
        else:
            resources += [r for r in yaml.safe_load_all(path.read_text()) if r is not None]
    seen = set()
    for resource in resources:
        if key(resource) in seen:
            raise Refused(f"{file}: {key(resource)} is there twice")
        seen.add(key(resource))
    for entry in said.get("patches", []):
        resources = patched(resources, entry, file)
    if "nameSuffix" in said:
        suffix(resources, said["nameSuffix"])
    for entry in said.get("labels", []):
        label(resources, entry, file)
    for entry in said.get("images", []):
        retag(resources, entry, file)
    if "namespace" in said:
        for resource in resources:
            if resource["kind"] in CLUSTER_WIDE:
                if resource["kind"] == "Namespace":
                    resource["metadata"]["name"] = said["namespace"]
            else:
                resource["metadata"]["namespace"] = said["namespace"]
    return resources


def key(resource):
    return resource["kind"], resource["metadata"]["name"]


def pod_template(resource):
    """The template of a workload's pods, if it is one."""
    return resource.get("spec", {}).get("template") if resource["kind"] in {"Deployment", "StatefulSet"} else None


def patched(resources, entry, file):
    if set(entry) != {"target", "patch"}:
        raise Refused(f"{file}: a patch has target and patch, not {sorted(entry)}")
    target = (entry["target"]["kind"], entry["target"]["name"])
    found = [r for r in resources if key(r) == target]
    if len(found) != 1:
        raise Refused(f"{file}: the patch's target {target} is there {len(found)} times")
    patch = yaml.safe_load(entry["patch"])
    if isinstance(patch, dict):
        if patch.get("$patch") != "delete" or key(patch) != target:
            raise Refused(f"{file}: of strategic merges only $patch: delete is known here")
        return [r for r in resources if r is not found[0]]
    for operation in patch:
        apply(found[0], operation, file)
    return resources


def apply(resource, operation, file):
    *way, last = [s.replace("~1", "/").replace("~0", "~") for s in operation["path"].split("/")[1:]]
    at = resource
    for step in way:
        at = at[int(step)] if isinstance(at, list) else at[step]
    value = copy.deepcopy(operation["value"])
    match operation["op"], at:
        case "add", list() if last == "-":
            at.append(value)
        case "add", dict():
            at[last] = value
        case "replace", dict() if last in at:
            at[last] = value
        case _:
            raise Refused(f"{file}: cannot {operation['op']} at {operation['path']}")


def suffix(resources, text):
    """Renames, and what refers to a renamed resource by its name."""
    renamed = {key(r) for r in resources}
    for resource in resources:
        refer(resource, renamed, text)
        resource["metadata"]["name"] += text


def refer(resource, renamed, text):
    def to(kind, holder, field):
        if (kind, holder.get(field)) in renamed:
            holder[field] += text

    template = pod_template(resource)
    if template:
        spec = template["spec"]
        to("ServiceAccount", spec, "serviceAccountName")
        for volume in spec.get("volumes", []):
            for source in volume.get("projected", {}).get("sources", []):
                if "configMap" in source:
                    to("ConfigMap", source["configMap"], "name")
    for rule in resource.get("spec", {}).get("rules", []) if resource["kind"] == "Ingress" else []:
        for path in rule["http"]["paths"]:
            to("Service", path["backend"]["service"], "name")
    if resource["kind"] in {"StatefulSet", "HorizontalPodAutoscaler"}:
        raise Refused(f"what a {resource['kind']} refers to is not known here")


def label(resources, entry, file):
    if entry.get("includeSelectors") is not True:
        raise Refused(f"{file}: labels are for selectors too here")
    pairs = entry["pairs"]
    for resource in resources:
        resource["metadata"].setdefault("labels", {}).update(pairs)
        spec = resource.get("spec", {})
        template = pod_template(resource)
        if template:
            template["metadata"].setdefault("labels", {}).update(pairs)
            spec["selector"]["matchLabels"].update(pairs)
            for spread in template["spec"].get("topologySpreadConstraints", []):
                spread["labelSelector"]["matchLabels"].update(pairs)
        elif resource["kind"] == "Service" and "selector" in spec:
            spec["selector"].update(pairs)
        elif resource["kind"] == "PodDisruptionBudget":
            spec["selector"]["matchLabels"].update(pairs)
        elif resource["kind"] == "NetworkPolicy":
            spec["podSelector"].setdefault("matchLabels", {}).update(pairs)


def retag(resources, entry, file):
    used = False
    for resource in resources:
        template = pod_template(resource)
        for container in template["spec"]["containers"] if template else []:
            name, _, _ = container["image"].rpartition(":")
            if name == entry["name"]:
                container["image"], used = f"{name}:{entry['newTag']}", True
    if not used:
        raise Refused(f"{file}: no container has the image {entry['name']}")
