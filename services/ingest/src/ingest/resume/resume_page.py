"""The page of `/resume/{token}` for a person with a browser, in English and Brazilian Portuguese."""

import html
from typing import Final

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Vary": "Accept, Accept-Language",
}
"""The page needs no script, style or frame, so none is allowed."""

REASONS: Final = ("repeated", "over", "unknown", "store")
"""The outcomes of rejected requests that have a page."""

_TEXTS: Final = {
    "en": {
        "ask": (
            "Continue?",
            "A conversation is waiting for your confirmation. Press the button to continue.",
            "Continue",
        ),
        "done": ("Thank you", "Your answer has arrived. You may close this page.", ""),
        "repeated": ("Already answered", "This address has been used: it counts once.", ""),
        "over": ("Too late", "This answer is no longer needed.", ""),
        "unknown": ("Not found", "There is no such address. Check that it is complete.", ""),
        "store": ("One moment", "The answer can't be taken at present. Please try again in a minute.", "Try again"),
    },
    "pt-BR": {
        "ask": (
            "Continuar?",
            "Uma conversa está esperando a sua confirmação. Aperte o botão para continuar.",
            "Continuar",
        ),
        "done": ("Obrigado", "A sua resposta chegou. Você já pode fechar esta página.", ""),
        "repeated": ("Já respondido", "Este endereço já foi usado: ele vale uma vez só.", ""),
        "over": ("Tarde demais", "Esta resposta não é mais necessária.", ""),
        "unknown": ("Não encontrado", "Este endereço não existe. Veja se ele está completo.", ""),
        "store": (
            "Um momento",
            "A resposta não pode ser recebida agora. Tente de novo em um minuto.",
            "Tentar de novo",
        ),
    },
}


def page(which: str, accept_language: str) -> bytes:
    """Returns the page in the language that the browser prefers. `which` is ask, done or one of REASONS."""
    language = preferred(accept_language)
    title, text, button = (html.escape(part) for part in _TEXTS[language][which])
    # Without an action the form is sent to the page's own address, so the page does not contain the token.
    form = f'<form method="post"><button type="submit">{button}</button></form>' if button else ""
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title></head><body><main><h1>{title}</h1><p>{text}</p>{form}</main></body></html>"
    ).encode()


def preferred(accept_language: str) -> str:
    """Returns `pt-BR` where Portuguese comes before English in `Accept-Language` (RFC 9110, 12.5.4), else `en`."""
    best, language = 0.0, "en"
    for entry in accept_language[:200].split(","):
        name, _, parameter = entry.partition(";")
        primary = name.strip().lower().partition("-")[0]
        try:
            quality = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            quality = 0.0
        if primary in ("en", "pt") and quality > best:
            best, language = quality, "pt-BR" if primary == "pt" else "en"
    return language
