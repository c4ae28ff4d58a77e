"""The types of channels here and in the API are the same."""

from ingest.api.definitions import channel_fields
from notifier.channels.channel_types import CHANNEL_TYPES


def test_the_api_knows_every_type_and_seals_every_secret() -> None:
    assert set(channel_fields.TYPES) == set(CHANNEL_TYPES)
    for name, kind in CHANNEL_TYPES.items():
        assert channel_fields.SECRET_FIELDS.get(name, ()) == kind.secret_fields
