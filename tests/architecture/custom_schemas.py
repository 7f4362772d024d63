"""What we use of the kinds that Kubernetes itself does not know, strictly: written from their documentation.

KEDA 2 (ScaledObject) and the Prometheus operator (PodMonitor, PrometheusRule).
"""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
TEXTS: Schema = {"type": "object", "additionalProperties": TEXT}
DURATION: Schema = {"type": "string", "pattern": r"^\d+(ms|s|m|h|d)$"}


def _object(required: tuple[str, ...] = (), **members: Schema) -> Schema:
    return {
        "type": "object",
        "properties": members,
        "required": list(required),
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items, "minItems": 1}


def _kind(version: str, kind: str, spec: Schema) -> Schema:
    metadata = _object(("name",), name=TEXT, namespace=TEXT, labels=TEXTS, annotations=TEXTS)
    return _object(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion={"const": version},
        kind={"const": kind},
        metadata=metadata,
        spec=spec,
    )


_SCALING = _object(
    stabilizationWindowSeconds={"type": "integer", "maximum": 3600},
    policies=_list(
        _object(
            ("type", "value", "periodSeconds"),
            type={"enum": ["Pods", "Percent"]},
            value={"type": "integer"},
            periodSeconds={"type": "integer", "maximum": 1800},
        )
    ),
)

_KAFKA_TRIGGER = _object(
    ("type", "metadata"),
    type={"const": "kafka"},
    metadata=_object(
        ("bootstrapServers", "consumerGroup", "topic"),
        bootstrapServers=TEXT,
        consumerGroup=TEXT,
        topic=TEXT,
        lagThreshold={"type": "string", "pattern": r"^\d+$"},
        offsetResetPolicy={"enum": ["earliest", "latest"]},
    ),
)

_PROMETHEUS_TRIGGER = _object(
    ("type", "metadata"),
    type={"const": "prometheus"},
    metadata=_object(
        ("serverAddress", "query", "threshold"),
        serverAddress=TEXT,
        query=TEXT,
        threshold={"type": "string", "pattern": r"^\d+$"},
        activationThreshold={"type": "string", "pattern": r"^\d+$"},
    ),
)

_SCALED_OBJECT = _object(
    ("scaleTargetRef", "triggers"),
    scaleTargetRef=_object(("name",), name=TEXT),
    minReplicaCount={"type": "integer"},
    maxReplicaCount={"type": "integer"},
    pollingInterval={"type": "integer"},
    advanced=_object(
        horizontalPodAutoscalerConfig=_object(behavior=_object(scaleUp=_SCALING, scaleDown=_SCALING))
    ),
    triggers=_list({"oneOf": [_KAFKA_TRIGGER, _PROMETHEUS_TRIGGER]}),
)

_POD_MONITOR = _object(
    ("selector", "podMetricsEndpoints"),
    selector=_object(("matchLabels",), matchLabels=TEXTS),
    podMetricsEndpoints=_list(
        _object(
            ("port",),
            port=TEXT,
            path=TEXT,
            interval=DURATION,
            relabelings=_list(
                _object(
                    sourceLabels=_list(TEXT),
                    regex=TEXT,
                    targetLabel=TEXT,
                    replacement=TEXT,
                )
            ),
        )
    ),
)

_RULE = _object(
    ("expr",),
    alert=TEXT,
    record=TEXT,
    expr=TEXT,
    **{"for": DURATION},
    keep_firing_for=DURATION,
    labels=TEXTS,
    annotations=TEXTS,
)

CUSTOM: dict[str, Schema] = {
    "ScaledObject": _kind("keda.sh/v1alpha1", "ScaledObject", _SCALED_OBJECT),
    "PodMonitor": _kind("monitoring.coreos.com/v1", "PodMonitor", _POD_MONITOR),
    "PrometheusRule": _kind(
        "monitoring.coreos.com/v1",
        "PrometheusRule",
        _object(
            ("groups",),
            groups=_list(_object(("name", "rules"), name=TEXT, interval=DURATION, rules=_list(_RULE))),
        ),
    ),
}
