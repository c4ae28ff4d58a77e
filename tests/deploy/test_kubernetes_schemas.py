"""Every document that may be applied to a cluster, rendered by kubectl, fits the schemas of Kubernetes."""

import copy

import kubernetes_validate
import msgspec
import pytest

from tests.deploy import custom_resources
from tests.deploy.kubernetes_schemas import OLDEST, VERSIONS, validate
from tests.deploy.kustomize import VARIATIONS, Manifest, needs_kubectl, rendered

pytestmark = [needs_kubectl, pytest.mark.starts_processes]

NOT_NAMESPACED = {"Namespace", "PriorityClass"}


def check(document: Manifest, version: str) -> None:
    """Raises when Kubernetes of that version would refuse or ignore something in it."""
    if document["kind"] in custom_resources.KINDS:
        custom_resources.check(document)
    else:
        validate(document, version)


@pytest.mark.parametrize("variation", VARIATIONS)
def test_everything_fits_the_schemas(variation: str) -> None:
    """Each document, strictly, for the oldest and the newest Kubernetes: an unknown field is an error."""
    documents = rendered(variation).documents
    assert documents
    for document in documents:
        for version in (OLDEST, VERSIONS[-1]):
            check(document, version)


@pytest.mark.parametrize("version", VERSIONS[1:-1])
def test_the_versions_between_know_it_all_too(version: str) -> None:
    """Of what is applied for real use."""
    for document in rendered("overlays/production").documents:
        check(document, version)


def test_a_misspelt_field_is_found() -> None:
    """The check is strict: for Kubernetes' own kinds and for the others."""
    deployment = copy.deepcopy(rendered("overlays/production").one("Deployment", "ingest"))
    deployment["spec"]["template"]["spec"]["terminationGracePeriodSecond"] = 1
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriodSecond"):
        check(deployment, OLDEST)
    scaled = copy.deepcopy(rendered("overlays/production + keda").one("ScaledObject", "notifier"))
    scaled["spec"]["minReplicas"] = 1
    with pytest.raises(msgspec.ValidationError, match="minReplicas"):
        check(scaled, OLDEST)


@pytest.mark.parametrize("variation", VARIATIONS)
def test_everything_has_one_name_in_one_namespace(variation: str) -> None:
    """Nothing lands in the namespace that happens to be the current one, and nothing twice."""
    documents = rendered(variation).documents
    for document in documents:
        place = document["metadata"].get("namespace")
        assert place == (None if document["kind"] in NOT_NAMESPACED else "filas"), document["metadata"]
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    assert len(names) == len(set(names))
