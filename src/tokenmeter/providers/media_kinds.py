"""What a model makes, by its name, and what a file is, by its own: for gateways of many models."""

from __future__ import annotations

import re
from functools import lru_cache

from tokenmeter.providers.media import IMAGE, VIDEO

AUDIO, TEXT = "audio_generated", "text_generated"

# A model's kind by its name, the first that is found; the rest are images.
_KINDS = (
    (AUDIO, re.compile(r"audio|music|suno|speech|tts|voice|lyria|song|sound")),
    (TEXT, re.compile(r"llm|prompt-enhanc|caption|transcri")),
    (IMAGE, re.compile(r"(?:to|text2|image2)-?image|image-edit|-t2i|-i2i")),
    (
        VIDEO,
        re.compile(
            r"video|[ti]2v|r2v|lip-?sync|veo|sora|kling|wan[\d-]|hailuo|minimax|runway|pixverse"
            r"|vidu|luma|seedance|hunyuan|ltx|happyhorse|effects|dance|motion|clipping|animate"
        ),
    ),
)
_EXTENSION = re.compile(r"\.(\w{2,5})(?:$|[?#])", re.ASCII)
_TYPED = re.compile(r"(?:data:)?(image|video|audio)/")
_FILES = {
    **dict.fromkeys(("mp4", "mov", "webm", "mkv", "gif"), VIDEO),
    **dict.fromkeys(("png", "jpg", "jpeg", "webp", "avif", "svg"), IMAGE),
    **dict.fromkeys(("mp3", "wav", "ogg", "m4a", "flac"), AUDIO),
}
_TYPES = {"image": IMAGE, "video": VIDEO, "audio": AUDIO}


@lru_cache(maxsize=1024)
def kind_of_model(model: str) -> str:
    """Return the event of what a model makes: ``seedance-2-image-to-video`` makes videos."""
    name = model.lower()
    return next((kind for kind, words in _KINDS if words.search(name)), IMAGE)


def kind_of_file(place: str) -> str:
    """Return the event of a file by its address; "" if that does not say."""
    typed = kind_of_type(place)
    if typed:
        return typed
    found = _EXTENSION.findall(place)
    return _FILES.get(found[-1].lower(), "") if found else ""


def kind_of_type(content_type: str) -> str:
    """Return the event of a content type, or of a ``data:`` address; "" for any other."""
    typed = _TYPED.match(content_type)
    return "" if typed is None else _TYPES[typed[1]]
