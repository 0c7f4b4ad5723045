"""The fields of Kubernetes objects that our manifests use, by hand: what is not listed here is an error, so a misspelt field is one.

Ray's own from the CRDs of KubeRay 1.7.0 (ray-operator/config/crd/bases, served version v1), Kubernetes' from its API 1.34.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
SECONDS: Schema = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
LABEL: Schema = {"type": "string", "pattern": r"^[a-z]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
QUANTITY: Schema = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(m|Ki|Mi|Gi|Ti)?$"}
KEY: Schema = {"type": "string", "pattern": r"^[-._a-zA-Z0-9]+$", "maxLength": 253}


def made(required: str = "", **fields: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": fields, "required": required.split()}


def many(item: Schema) -> Schema:
    return {"type": "array", "items": item, "minItems": 1}


def mapped(value: Schema, key: Schema | None = None) -> Schema:
    return {"type": "object", "additionalProperties": value, **({"propertyNames": key} if key else {})}


LABELS = mapped({"type": "string", "pattern": r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$", "maxLength": 63})


def named(longest: int) -> Schema:
    """Metadata of an object whose name may have so many characters; `generateName` gets five more."""
    name = {**LABEL, "maxLength": longest}
    prefix = {"type": "string", "pattern": r"^[a-z][-a-z0-9]*-$", "maxLength": longest - 5}
    either = [{"required": ["name"]}, {"required": ["generateName"]}]
    return {**made(name=name, generateName=prefix, labels=LABELS), "oneOf": either}


ITEM = made("key path", key=KEY, path={"type": "string", "pattern": r"^(?!/)(?!.*\.\.)"})
VOLUME = made("name", name=LABEL, configMap=made("name", name=LABEL, items=many(ITEM)), emptyDir=made())
MOUNT = made("name mountPath", name=LABEL, mountPath={"type": "string", "pattern": "^/"}, readOnly=FLAG)
SECCOMP = made("type", type={"enum": ["RuntimeDefault"]})
CONTAINER = made(
    "name image resources securityContext",
    name=LABEL,
    image=TEXT,
    command=many(TEXT),
    env=many(made("name value", name={"type": "string", "pattern": "^[A-Z_]+$"}, value=TEXT)),
    envFrom=many(made("secretRef", secretRef=made("name", name=TEXT))),
    ports=many(made("name containerPort", name={**LABEL, "maxLength": 15}, containerPort={"type": "integer", "minimum": 1, "maximum": 65535})),
    resources=made("requests limits", requests=made("cpu memory", cpu=QUANTITY, memory=QUANTITY), limits=made("memory", memory=QUANTITY)),
    securityContext=made(
        "allowPrivilegeEscalation capabilities",
        allowPrivilegeEscalation={"const": False},
        readOnlyRootFilesystem=FLAG,
        capabilities=made("drop", drop={"const": ["ALL"]}),
    ),
    volumeMounts=many(MOUNT),
)
POD_SECURITY = made(
    "runAsNonRoot runAsUser seccompProfile",
    runAsNonRoot={"const": True},
    runAsUser={"type": "integer", "minimum": 1},
    runAsGroup=COUNT,
    fsGroup=COUNT,
    seccompProfile=SECCOMP,
)
POD = made(
    "containers securityContext",
    containers=many(CONTAINER),
    volumes=many(VOLUME),
    securityContext=POD_SECURITY,
    serviceAccountName=LABEL,
    automountServiceAccountToken=FLAG,
    restartPolicy={"enum": ["Never", "OnFailure"]},
    terminationGracePeriodSeconds=COUNT,
)
TEMPLATE = made("spec", metadata=made(labels=LABELS), spec=POD)
START_PARAMS = mapped(TEXT)

CLUSTER_SPEC = made(
    "headGroupSpec authOptions rayVersion",
    rayVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+$"},
    authOptions=made("mode", mode={"enum": ["disabled", "token"]}, secretName=TEXT),
    headGroupSpec=made("template", rayStartParams=START_PARAMS, template=TEMPLATE),
    workerGroupSpecs=many(
        made(
            "groupName maxReplicas minReplicas template",
            groupName=LABEL,
            replicas=COUNT,
            minReplicas=COUNT,
            maxReplicas=COUNT,
            rayStartParams=START_PARAMS,
            template=TEMPLATE,
        )
    ),
)
JOB_SPEC = made(
    "entrypoint rayClusterSpec shutdownAfterJobFinishes activeDeadlineSeconds ttlSecondsAfterFinished suspend",
    entrypoint=TEXT,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
    suspend=FLAG,
    shutdownAfterJobFinishes={"const": True},  # without it neither a time to live nor a suspended job is valid
    ttlSecondsAfterFinished=COUNT,
    activeDeadlineSeconds=SECONDS,
    backoffLimit=COUNT,
    rayClusterSpec=CLUSTER_SPEC,
)
CRON = {"type": "string", "pattern": r"^(@\w+|\S+ \S+ \S+ \S+ \S+)$"}


def kind(version: str, name: str, required: str = "", longest: int = 63, **fields: Schema) -> Schema:
    head = {"apiVersion": {"const": version}, "kind": {"const": name}, "metadata": named(longest)}
    return made(f"apiVersion kind metadata {required}", **head, **fields)


KINDS = {
    "RayCluster": kind("ray.io/v1", "RayCluster", "spec", 53, spec=CLUSTER_SPEC),
    "RayJob": kind("ray.io/v1", "RayJob", "spec", 47, spec=JOB_SPEC),
    "RayCronJob": kind(
        "ray.io/v1",
        "RayCronJob",
        "spec",
        36,
        spec=made("schedule jobTemplate", schedule=CRON, timeZone={"type": "string", "minLength": 1}, suspend=FLAG, jobTemplate=JOB_SPEC),
    ),
    "CronJob": kind(
        "batch/v1",
        "CronJob",
        "spec",
        52,
        spec=made(
            "schedule jobTemplate concurrencyPolicy",
            schedule=CRON,
            timeZone=TEXT,
            suspend=FLAG,
            concurrencyPolicy={"enum": ["Allow", "Forbid", "Replace"]},
            startingDeadlineSeconds=SECONDS,
            successfulJobsHistoryLimit=COUNT,
            failedJobsHistoryLimit=COUNT,
            jobTemplate=made("spec", spec=made("template", template=TEMPLATE, backoffLimit=COUNT, activeDeadlineSeconds=SECONDS)),
        ),
    ),
    "ConfigMap": kind("v1", "ConfigMap", data=mapped(TEXT, KEY), binaryData=mapped(TEXT, KEY)),
    "ServiceAccount": kind("v1", "ServiceAccount"),
    "Role": kind(
        "rbac.authorization.k8s.io/v1",
        "Role",
        "rules",
        rules=many(made("apiGroups resources verbs", apiGroups=many(TEXT), resources=many(TEXT), verbs=many(TEXT))),
    ),
    "RoleBinding": kind(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        "roleRef subjects",
        roleRef=made("apiGroup kind name", apiGroup=TEXT, kind={"const": "Role"}, name=LABEL),
        subjects=many(made("kind name", kind={"const": "ServiceAccount"}, name=LABEL)),
    ),
}
