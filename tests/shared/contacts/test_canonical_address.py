"""Which ways of writing an address are the same contact, and which are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filas.contacts.canonical_address import canonical_address, medium_of, ordering_address
from filas.contacts.phone_numbers import is_written_number, number_of
from filas.contract.group_keys import conversation_group

MEDIA = (None, "whatsapp", "twilio", "email", "telegram", "slack", "messenger", "instagram", "http")

SAME_NUMBER = {
    "5511987650001": (
        "+5511987650001",
        "+55 (11) 98765-0001",
        " 55 11 98765 0001 ",
        "+55.11.98765.0001",
        "(+55) 11 98765\u20110001",
        "\u202a+55\xa011\xa098765-0001\u202c",
        "\uff0b\uff15\uff15 11 98765-0001",
        "005511987650001",
        "+55 (0)11 98765-0001",
        "+55 011 98765-0001",
        "whatsapp:+5511987650001",
        "WhatsApp:+55 11 98765-0001",
        "tel:+55-11-98765-0001",
        "5511987650001@s.whatsapp.net",
        "5511987650001:12@s.whatsapp.net",
        "5511987650001@c.us",
        "551187650001",
        "+55 (11) 8765-0001",
        "whatsapp:+551187650001",
    ),
    "5511900000002": ("551100000002", "+55 (11) 90000-0002", "5511900000002"),
    "551133334444": ("+55 (11) 3333-4444",),
    "525512345678": ("5215512345678", "+52 1 55 1234 5678", "+52 55 1234 5678"),
    "541112345678": ("5491112345678", "+54 9 11 1234-5678", "+54 11 15 1234-5678", "+54 (011) 15-1234-5678"),
    "542901456789": ("5492901456789", "+54 2901 15 456789", "54 9 2901 15 456789"),
    "543514567890": ("5493514567890", "+54 351 15 4567890"),
    "442079460000": ("+44 (0)20 7946 0000", "00442079460000"),
    "14155550123": ("+1 (415) 555-0123", "1-415-555-0123", "1.415.555.0123"),
}

DIFFERENT_NUMBERS = (
    ("551133334444", "5511933334444"),  # a landline has no ninth digit
    ("5511987650001", "5521987650001"),
    ("5511987650001", "11987650001"),
    ("5215512345678", "5255123456789"),
    ("14155550123", "1415555012"),
    ("12345", "123456"),
)

NOT_NUMBERS = (
    "",
    "U024BE7LH",
    "BR.13491208655302741918",
    "ana",
    "ana@example.com",
    "1203630258@g.us",
    "whatsapp:ana",
    "messenger:1234567890",
    "+55 11 98765-0001 ramal 2",
    "1234",
    "5511987650001234",
    "123+45678",
)


@pytest.mark.parametrize(
    ("written", "digits"), [(one, digits) for digits, ways in SAME_NUMBER.items() for one in (digits, *ways)]
)
def test_a_number_has_one_form_however_it_is_written(written: str, digits: str) -> None:
    assert canonical_address(written, "whatsapp") == digits
    assert canonical_address(written, "twilio") == digits
    assert conversation_group("whatsapp", written) == f"whatsapp:{digits}"


@pytest.mark.parametrize(("one", "other"), DIFFERENT_NUMBERS)
def test_different_numbers_stay_different(one: str, other: str) -> None:
    assert canonical_address(one, "whatsapp") != canonical_address(other, "whatsapp")


@pytest.mark.parametrize("text", NOT_NUMBERS)
def test_other_texts_are_no_numbers(text: str) -> None:
    assert number_of(text) is None
    assert canonical_address(text, "whatsapp") == text


@pytest.mark.parametrize("medium", ["telegram", "slack", "messenger", "instagram"])
@pytest.mark.parametrize(
    "address", ["551187650001", "5215512345678", "-1001234567890", "U024BE7LH", "+55 11 8765-0001"]
)
def test_ids_are_compared_exactly(medium: str, address: str) -> None:
    assert canonical_address(f" {address} ", medium) == address


@pytest.mark.parametrize(
    ("address", "canonical"),
    [
        pytest.param("+55 (11) 8765-0001", "5511987650001", id="brackets and +"),
        pytest.param("11 98765 0001", "11987650001", id="blanks"),
        pytest.param("whatsapp:551187650001", "5511987650001", id="a scheme"),
        pytest.param("551187650001@s.whatsapp.net", "5511987650001", id="an id of WhatsApp Web"),
        pytest.param("551187650001", "551187650001", id="digits alone may be any id"),
        pytest.param("-1001234567890", "-1001234567890", id="a hyphen may be a sign"),
        pytest.param("2026-11-0001", "2026-11-0001", id="an order number"),
        pytest.param(" Ana ", "Ana", id="a name"),
        pytest.param("Ana@Example.com", "Ana@Example.com", id="an address on another channel"),
    ],
)
def test_on_other_channels_only_a_written_number_is_a_number(address: str, canonical: str) -> None:
    for medium in (None, "http", "console"):
        assert canonical_address(address, medium) == canonical


def test_mail_addresses_are_compared_without_case() -> None:
    assert canonical_address(" Ana@Example.COM", "email") == "ana@example.com"


@pytest.mark.parametrize(
    ("channel", "channel_type", "provider_channel", "medium"),
    [
        ("crm", "http", "whatsapp", "whatsapp"),
        ("crm", "whatsapp", None, "whatsapp"),
        ("crm", "http", None, None),
        ("whatsapp", "console", None, "whatsapp"),
        ("whatsapp", None, None, "whatsapp"),
        ("whatsapp", "telegram", None, "telegram"),
        ("crm", "http", "telegram", "telegram"),
        ("crm", None, None, None),
    ],
)
def test_the_medium_is_that_of_the_provider_then_of_the_channel(
    channel: str, channel_type: str | None, provider_channel: str | None, medium: str | None
) -> None:
    assert medium_of(channel, channel_type, provider_channel) == medium


ADDRESSES = st.one_of(
    st.text(max_size=20),
    st.text("0123456789+-() ./", max_size=22),
    st.from_regex(r"(\+|00)?(55|52|521|54|549|540)[0-9]{8,12}", fullmatch=True),
)


@given(ADDRESSES, st.sampled_from(MEDIA))
def test_the_canonical_form_is_its_own_canonical_form(address: str, medium: str | None) -> None:
    found = canonical_address(address, medium)
    assert canonical_address(found, medium) == found


@given(ADDRESSES, st.sampled_from([one for one in MEDIA if one != "email"]))
def test_addresses_of_one_contact_are_one_group(address: str, medium: str | None) -> None:
    assert ordering_address(address) == ordering_address(canonical_address(address, medium))


@given(st.integers(11, 99).filter(lambda area: area % 10 > 0), st.from_regex("[6-9][0-9]{7}", fullmatch=True))
def test_the_ninth_digit_makes_no_difference(area: int, number: str) -> None:
    assert number_of(f"55{area}{number}") == number_of(f"+55 ({area}) 9{number[:4]}-{number[4:]}")


@given(st.text(max_size=30))
def test_no_text_is_refused(text: str) -> None:
    assert isinstance(is_written_number(text), bool)
    assert number_of(text) is None or str(number_of(text)).isdigit()
