"""Checks documents against the JSON schemas of Kubernetes."""

import json
from functools import cache, lru_cache
from typing import Any

import kubernetes_validate.utils
import yaml

OLDEST = "1.29"
"""The oldest Kubernetes that the manifests support (deploy/kubernetes/README.md)."""

VERSIONS = [f"1.{minor}" for minor in range(29, int(kubernetes_validate.latest_version().split(".")[1]) + 1)]

# The library parses a megabyte of definitions again for each document.
kubernetes_validate.utils.schema_contents = lru_cache(128)(kubernetes_validate.utils.schema_contents)


def validate(document: dict[str, Any], version: str) -> None:
    """Raises kubernetes_validate.ValidationError unless the document fits. An unknown field is an error."""
    _validate(json.dumps(document), version)


@cache
def _validate(document: str, version: str) -> None:
    assert kubernetes_validate.validate(json.loads(document), version, strict=True) == version


def read_all(text: str) -> list[dict[str, Any]]:
    """The documents of a YAML text, by libyaml where PyYAML was built with it."""
    return [*yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))]
