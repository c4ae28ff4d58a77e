"""`none`, `basic`, `bearer` and `api-key`."""

import base64

import msgspec
import pytest
from multidict import MultiDict

from filas.crypto.redaction import HIDDEN, Redactor
from filas.errors import SecretUnreadable
from ingest.http.request import stored_query
from ingest.receive import refused_content
from ingest.verify import auth_types
from tests.ingest.verify.received_requests import received_request, scheme


def basic(user_and_password: str) -> dict[str, str]:
    """Returns the header of HTTP basic authentication."""
    return {"Authorization": "Basic " + base64.b64encode(user_and_password.encode()).decode()}


def test_none_accepts_every_request() -> None:
    """No header is required."""
    assert scheme(type="none").rejection_reason(received_request()) is None


def test_basic_accepts_the_examples_of_rfc_7617() -> None:
    """`Aladdin` and `open sesame`, and the second example, whose password is not ASCII."""
    aladdin = scheme(type="basic", secrets=["Aladdin:open sesame"])
    assert (
        aladdin.rejection_reason(received_request(headers={"Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}))
        is None
    )
    pound = scheme(type="basic", secrets=["test:123£"])
    assert pound.rejection_reason(received_request(headers={"authorization": "basic dGVzdDoxMjPCow=="})) is None


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "credentials-missing"),
        ("", "credentials-malformed"),
        ("Basic", "credentials-wrong"),  # no base64 at all is the base64 of nothing
        ("Bearer dXNlcjpwYXNzd29yZA==", "credentials-malformed"),
        ("Basic ###", "credentials-malformed"),
        ("Basic dXNlcjpwYXNzd29yZA", "credentials-malformed"),  # the padding is missing
        ("Basic \udcff\udcfe", "credentials-malformed"),
        ("Basic é", "credentials-malformed"),
        ("Basic dXNlcjp3cm9uZw==", "credentials-wrong"),
    ],
)
def test_basic_rejects_other_credentials(header: str | None, reason: str) -> None:
    """Missing, malformed and wrong credentials have different reasons. None raises an exception."""
    headers = {} if header is None else {"Authorization": header}
    assert scheme(type="basic", secrets=["user:password"]).rejection_reason(received_request(headers=headers)) == reason


@pytest.mark.parametrize("token", ["old", "new", "chave-é"])
def test_every_active_bearer_token_is_accepted(token: str) -> None:
    """Two secrets are active during a rotation. Tokens are compared as bytes, so they may have any character."""
    both = scheme(type="bearer", secrets=["old", "new", "chave-é"])
    assert both.rejection_reason(received_request(headers={"Authorization": f"Bearer {token}"})) is None


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "credentials-missing"),
        ("Bearer wrong", "credentials-wrong"),
        ("Bearer", "credentials-wrong"),
        ("Bearer let-me-i", "credentials-wrong"),
        ("let-me-in", "credentials-malformed"),
        ("Bearer \udcff", "credentials-wrong"),
    ],
)
def test_bearer_rejects_other_tokens(header: str | None, reason: str) -> None:
    """As above, for tokens."""
    headers = {} if header is None else {"Authorization": header}
    assert scheme(type="bearer", secrets=["let-me-in"]).rejection_reason(received_request(headers=headers)) == reason


def test_an_api_key_is_in_the_header_that_the_webhook_names() -> None:
    """The case of the header's name is ignored. A key in another header is not accepted."""
    check = scheme(type="api-key", header="X-Shop-Key", secrets=["k1"])
    assert check.rejection_reason(received_request(headers={"x-shop-key": "k1"})) is None
    assert check.rejection_reason(received_request(headers={"X-Shop-Key": "k2"})) == "credentials-wrong"
    assert check.rejection_reason(received_request(headers={"X-Api-Key": "k1"})) == "credentials-missing"
    assert "x-shop-key" in check.sensitive_headers


@pytest.mark.parametrize("kind", ["api-key", "bearer"])
@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"k": "old"}, None),
        ({"k": "new"}, None),
        ({"k": "other"}, "credentials-wrong"),
        ({"k": ""}, "credentials-wrong"),
        ({"k": "\udcff"}, "credentials-wrong"),
        ({"K": "new"}, "credentials-missing"),
        ({}, "credentials-missing"),
    ],
)
def test_a_secret_is_in_the_query(kind: str, query: dict[str, str], reason: str | None) -> None:
    """The parameter is named in the definition, and never stored."""
    check = scheme(type=kind, secrets=["old", "new"], name="k", **{"in": "query"})
    assert check.rejection_reason(received_request(query=query)) == reason
    assert check.sensitive_query == {"k"}
    stored = stored_query({"k": "new", "a": "1"}, check.sensitive_query)
    assert stored == {"a": "1"}
    assert refused_content.shown_query({"k": "x"}, check.sensitive_query, Redactor()) == {"k": HIDDEN}


def test_a_secret_that_occurs_twice_in_the_query_is_refused() -> None:
    """It is not clear which one counts."""
    request = received_request()
    request.query = MultiDict([("k", "new"), ("k", "other")])
    check = scheme(type="api-key", secrets=["new"], name="k", **{"in": "query"})
    assert check.rejection_reason(request) == "credentials-missing"


_MULTIPART = b'--x\r\nContent-Disposition: form-data; name="hottok"\r\n\r\nnew\r\n--x--\r\n'


@pytest.mark.parametrize(
    ("content_type", "body", "reason"),
    [
        ("application/x-www-form-urlencoded", b"a=1&hottok=new", None),
        ("application/x-www-form-urlencoded", b"a=1&hottok=n%65w", None),
        ("application/x-www-form-urlencoded", b"hottok=other", "credentials-wrong"),
        ("application/x-www-form-urlencoded", b"hottok=new&hottok=new", "credentials-missing"),
        ("application/x-www-form-urlencoded", b"&hottok=new" * 2000, "credentials-missing"),
        ("multipart/form-data; boundary=x", _MULTIPART, None),
        ("multipart/form-data; boundary=y", _MULTIPART, "credentials-missing"),
        ("application/json", b'{"hottok":"new"}', None),
        ("application/json", b'{"hottok":["new"]}', "credentials-missing"),
        ("application/json", b"[" * 5000, "credentials-missing"),
        ("application/json", b"", "credentials-missing"),
        ("", b"\xff", "credentials-missing"),
    ],
)
def test_a_secret_is_in_a_field_of_the_body(content_type: str, body: bytes, reason: str | None) -> None:
    """Of a form of either type, or of a JSON object."""
    check = scheme(type="api-key", secrets=["new"], name="hottok", **{"in": "form"})
    assert check.rejection_reason(received_request(body, {"Content-Type": content_type})) == reason


def test_one_unreadable_secret_does_not_disable_the_others() -> None:
    """A variable that was removed after a rotation leaves the present secret working. No readable secret is an
    error."""

    def reveal(secret: str) -> str:
        if secret.startswith("env:"):
            raise SecretUnreadable(f"{secret} is not set")
        return secret

    check = auth_types.configuration({"type": "bearer", "secrets": ["env:OLD", "new"]}).scheme(reveal)
    assert check.rejection_reason(received_request(headers={"Authorization": "Bearer new"})) is None
    with pytest.raises(SecretUnreadable, match="env:OLD"):
        auth_types.configuration({"type": "bearer", "secrets": ["env:OLD"]}).scheme(reveal)


def test_an_empty_secret_is_no_secret() -> None:
    """An empty environment variable must not accept a sender without credentials."""
    with pytest.raises(SecretUnreadable):
        scheme(type="bearer", secrets=[""])


@pytest.mark.parametrize(
    ("auth", "named"),
    [
        ({}, "type"),
        ({"type": "magic"}, "type"),
        ({"type": ["none"]}, "type"),
        ({"type": "bearer"}, "secrets"),
        ({"type": "bearer", "secrets": []}, "secrets"),
        ({"type": "bearer", "secrets": "abc"}, "secrets"),
        ({"type": "basic", "secrets": [1]}, "secrets"),
        ({"type": "none", "secrets": ["x"]}, "secrets"),
        ({"type": "api-key", "secrets": ["x"], "header": "no blanks"}, "header"),
        ({"type": "api-key", "secrets": ["x"], "in": "query"}, "name"),
        ({"type": "bearer", "secrets": ["x"], "in": "form"}, "name"),
        ({"type": "bearer", "secrets": ["x"], "in": "cookie", "name": "a"}, "in"),
        ({"type": "api-key", "secrets": ["x"], "in": "header", "name": "no blanks"}, "name"),
        ({"type": "bearer", "secrets": ["x"], "name": "X:"}, "name"),
        ({"type": "hmac", "secrets": ["x"]}, "header"),
        ({"type": "hmac", "secrets": ["x"], "header": "X", "algorithm": "md5"}, "algorithm"),
        ({"type": "hmac", "secrets": ["x"], "header": "X", "template": "{timestamp}"}, "body"),
        ({"type": "hmac", "secrets": ["x"], "header": "X", "template": "{timestamp}.{body}"}, "timestampHeader"),
        ({"type": "hmac", "secrets": ["x"], "header": "X", "toleranceSeconds": 5}, "toleranceSeconds"),
        ({"type": "hmac", "secrets": ["x"], "header": "X", "template": "{bdy}.{body}"}, "{bdy}"),
        ({"type": "hmac", "secrets": ["x"], "header": "X", "template": "{body}{headers:x}"}, "{headers:x}"),
        ({"type": "hmac", "secrets": ["x"], "header": "X", "template": "{body}{json}"}, "{json}"),
        ({"type": "hmac", "secrets": ["x"], "header": "X", "template": "fixed", "coversBody": False}, "{body}"),
        ({"type": "hmac", "secrets": ["x"], "signature": {"name": "no blanks"}}, "name"),
        ({"type": "meta", "secrets": ["x"], "token": "y"}, "token"),
    ],
)
def test_an_error_in_a_definition_names_the_field(auth: dict[str, object], named: str) -> None:
    """The API shows it to the author of the webhook."""
    with pytest.raises(msgspec.ValidationError, match=named):
        auth_types.configuration(auth)


def test_the_word_bearer_is_optional_in_a_header_of_another_name() -> None:
    """Many senders put only the token into a header of their own. RFC 6750 requires the word in `Authorization`."""
    own = scheme(type="bearer", secrets=["token"], name="X-Auth")
    for value, reason in {
        "token": None,
        "Bearer token": None,
        "other": "credentials-wrong",
        "Bearer": "credentials-wrong",
        "Basic token": "credentials-malformed",
    }.items():
        assert own.rejection_reason(received_request(b"", {"X-Auth": value})) == reason, value
    usual = scheme(type="bearer", secrets=["token"])
    assert usual.rejection_reason(received_request(b"", {"Authorization": "token"})) == "credentials-malformed"
