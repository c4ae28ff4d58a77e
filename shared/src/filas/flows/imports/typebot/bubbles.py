"""Typebot's bubbles: texts, pictures, videos, sound, embedded pages and places, as nodes `message`."""

from typing import Final
from urllib.parse import quote

from filas.flows.imports.foreign_fields import number, text
from filas.flows.imports.import_report import BlockReport
from filas.flows.imports.typebot.rich_text import bubble_text
from filas.flows.imports.typebot.typebot_document import Block
from filas.flows.imports.typebot.typebot_scope import Part, TypebotScope

_VIDEO_SITES: Final = {
    "youtube": "https://www.youtube.com/watch?v={}",
    "vimeo": "https://vimeo.com/{}",
    "tiktok": "https://www.tiktok.com/embed/v2/{}",
    "gumlet": "https://play.gumlet.io/embed/{}",
}


def text_of(block: Block, scope: TypebotScope, report: BlockReport) -> str:
    """The template of a text bubble; empty if it has no text."""
    written, has_markup = bubble_text(block.content)
    if has_markup:
        report.add("markup")
    return scope.template(written, report).strip()


def text_bubble(block: Block, scope: TypebotScope, report: BlockReport) -> Part:
    found = text_of(block, scope, report)
    if not found:
        report.add("empty")
        return Part()
    return scope.single(block, report, "message", {"text": found}, "text")


def _media(block: Block, scope: TypebotScope, report: BlockReport, kind: str) -> Part:
    url = text(block.content.get("url")).strip()
    if url.startswith("data:"):
        report.add("embedded-file")
        return Part()
    if not url:
        report.add("empty")
        return Part()
    media = {"kind": kind, "url": scope.template(url, report)}
    return scope.single(block, report, "message", {"media": media}, kind)


def image_bubble(block: Block, scope: TypebotScope, report: BlockReport) -> Part:
    return _media(block, scope, report, "image")


def audio_bubble(block: Block, scope: TypebotScope, report: BlockReport) -> Part:
    return _media(block, scope, report, "audio")


def video_bubble(block: Block, scope: TypebotScope, report: BlockReport) -> Part:
    """A file is sent as a video, and a video of a site as a link."""
    site, url = text(block.content.get("type")), text(block.content.get("url")).strip()
    identity = text(block.content.get("id"))
    if site in ("", "url") and url:
        return _media(block, scope, report, "video")
    if not url and site in _VIDEO_SITES and identity:
        url = _VIDEO_SITES[site].format(quote(identity, safe=""))
    return _link(block, scope, report, url, "video")


def embed_bubble(block: Block, scope: TypebotScope, report: BlockReport) -> Part:
    return _link(block, scope, report, text(block.content.get("url")).strip(), "embed")


def location_bubble(block: Block, scope: TypebotScope, report: BlockReport) -> Part:
    latitude, longitude = number(block.content.get("latitude")), number(block.content.get("longitude"))
    if latitude is None or longitude is None:
        report.add("empty")
        return Part()
    url = f"https://www.openstreetmap.org/?mlat={latitude}&mlon={longitude}"
    return _link(block, scope, report, url, "location", text(block.content.get("name")))


def _link(block: Block, scope: TypebotScope, report: BlockReport, url: str, word: str, title: str = "") -> Part:
    if not url:
        report.add("empty")
        return Part()
    report.add("sent-as-link", url=url)
    written = scope.template("\n".join(part for part in (title, url) if part), report)
    return scope.single(block, report, "message", {"text": written}, word)
