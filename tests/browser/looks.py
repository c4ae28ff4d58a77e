"""How a page is shown: theme, language and width. Each test of a page runs in each of them."""

import itertools
from typing import Literal, NamedTuple

Theme = Literal["light", "dark"]
Language = Literal["en", "pt-BR"]


class Look(NamedTuple):
    """`width` is in pixels: a desk and a telephone."""

    theme: Theme
    language: Language
    width: int

    @property
    def height(self) -> int:
        """Of the window."""
        return 900 if self.width > 900 else 740

    def __str__(self) -> str:
        return f"{self.theme}-{self.language}-{self.width}"


WIDE, NARROW = 1440, 360
DEFAULT = Look("light", "en", WIDE)
THEMES: tuple[Theme, ...] = ("light", "dark")
LANGUAGES: tuple[Language, ...] = ("en", "pt-BR")
EVERY = tuple(Look(*each) for each in itertools.product(THEMES, LANGUAGES, (WIDE, NARROW)))
