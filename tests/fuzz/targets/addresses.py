"""Addresses of contacts and texts that are compared: the canonical form of a canonical form is itself.

Input: a text, and a second one in the next line.
"""

from filas.contacts.canonical_address import EXACT, PHONES, canonical_address, medium_of, ordering_address
from filas.contacts.typed_contact import last_digits, possible_aliases
from filas.contract.comparable_text import MAX_CHARS, comparable, folded_text
from filas.contract.fingerprints import MAX_MESSAGE, fingerprint, normalised
from filas.contract.group_keys import conversation_group
from filas.contract.storable_text import (
    escape_surrogates,
    from_lossless_bytes,
    header_text,
    is_storable,
    json_bytes,
    lossless_bytes,
    mark_surrogates,
    sent_bytes,
    to_storable,
)
from filas.models.record import ErrorDetail
from ingest.http.client_address import normalized
from ingest.providers.message import clean_contact
from tests.fuzz.target import text_of, unicode_of

WORDS = (
    "+55 11 99999-0000", "whatsapp:", "tel:", "@", "(11)", "00", "+54 9 11", "+52 1", "a@B.example", "\u00a0",
    "\u202e", "\u200b", "\u0661", "①", "2️⃣", "ß", "İ", "ﬁ", "[::1]:80", "::ffff:1.2.3.4", "1.2.3.4:80",
)  # fmt: skip
MAX_BYTES = 1024
MEDIA = (None, "email", *sorted(PHONES | EXACT))


def fuzz(data: bytes) -> None:
    """Every form of two texts."""
    one, _, other = data.partition(b"\n")
    for text in (unicode_of(one), text_of(one)):
        _check_address(text, unicode_of(other))
        _check_text(text)
    _check_client(text_of(one))


def _check_address(text: str, other: str) -> None:
    contact = clean_contact(text)
    if contact is None:
        return
    for medium in MEDIA:
        canonical = canonical_address(contact, medium)
        assert canonical_address(canonical, medium) == canonical, (medium, contact, canonical)
        assert is_storable(canonical)
        if medium == "email" and "@" not in contact:
            continue  # no address of its medium
        assert ordering_address(canonical) == ordering_address(contact), (medium, contact, canonical)
        second = clean_contact(other)
        if second is not None and canonical_address(second, medium) == canonical:
            assert ordering_address(second) == ordering_address(contact), (medium, contact, second)
        assert medium_of(contact, medium) in MEDIA
    assert canonical_address(contact) in possible_aliases(contact)
    assert all(digits.isdigit() for digits in last_digits(contact))
    group = conversation_group("shop", contact)
    assert group is None or is_storable(group)


def _check_text(text: str) -> None:
    form = comparable(text)
    if form is not None:
        assert is_storable(form) or not is_storable(text), form
        # A form that is longer than the texts that are compared, such as one of many `ß`, is compared only as a form.
        assert len(form) > MAX_CHARS or comparable(form) == form, (text, form, comparable(form))
    folded_text(text)
    assert is_storable(to_storable(text))
    assert to_storable(to_storable(text)) == to_storable(text)
    assert not is_storable(text) or to_storable(text) == text
    assert from_lossless_bytes(lossless_bytes(text)) == text
    assert is_storable(header_text(text))
    for made in (escape_surrogates(text), mark_surrogates(text)):
        made.encode()
    json_bytes({text: [text]})
    sent_bytes(text)
    assert len(normalised(text)) <= 2 * MAX_MESSAGE
    assert is_storable(fingerprint(ErrorDetail(kind=text[:20], message=text, node_id=text[:20])))


def _check_client(text: str) -> None:
    address = normalized(text)
    assert address is None or normalized(address) == address
