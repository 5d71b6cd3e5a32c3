"""A requests adapter that plays answers in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from tests.capture.play import Answer, Player


class Chunks(io.RawIOBase):
    """The body of an answer: one chunk at most is given at a time."""

    def __init__(self, player: Player, answer: Answer) -> None:
        self._player = player
        self._answer = answer
        self._chunks: Iterator[bytes] = iter(answer.chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._player.taken += 1
            self._rest = next(self._chunks, b"")
            if not self._rest and self._answer.error is not None:
                raise self._answer.error
        given = self._rest[: len(buffer)]
        self._rest = self._rest[len(given) :]
        buffer[: len(given)] = given
        return len(given)

    def close(self) -> None:
        if not self.closed:
            self._player.closed += 1
        super().close()


class PlayingAdapter(HTTPAdapter):
    """Answers every request from a player."""

    def __init__(self, player: Player) -> None:
        super().__init__()
        self._player = player

    def send(self, request: Any, *args: Any, **kwargs: Any) -> requests.Response:
        answer = self._player.next(request)
        raw = HTTPResponse(
            body=Chunks(self._player, answer),
            headers=answer.headers,
            status=answer.status,
            preload_content=False,
            decode_content=False,
        )
        response: requests.Response = self.build_response(request, raw)
        return response


def session_of(*answers: Answer) -> tuple[requests.Session, Player]:
    """A session that gets these answers, whatever it asks for."""
    player = Player(list(answers))
    return playing(player), player


def playing(player: Player) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    for scheme in ("https://", "http://"):
        session.mount(scheme, PlayingAdapter(player))
    return session
