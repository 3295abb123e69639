"""What a request says about its body, before any of it is read."""

from __future__ import annotations

from typing import Final

from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from aigv_reward.integrations.server.refusals import RequestRefused

LONGEST: Final = 1000
UTF8: Final = ("utf-8", "utf8", "us-ascii", "ascii")


def content_type(request: Request) -> tuple[str, dict[bytes, bytes]]:
    """The media type of a body, and its parameters.

    A body is taken as it is, in UTF-8: Python has codecs that take minutes for a small text, and
    a compressed body has no size that could be bounded before it is read.

    Args:
        request: whose headers are read.

    Raises:
        RequestRefused: another charset, a compressed body, or a type that is too long to be one.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise RequestRefused(
            415, "unknown_encoding", f"content encoding {coding[:80]!r}; send the body uncompressed"
        )
    header = request.headers.get("content-type", "")
    if len(header) > LONGEST:
        raise RequestRefused(
            415,
            "unknown_encoding",
            f"a content type of {len(header)} characters, above the limit of {LONGEST}; shorten it",
        )
    kind, options = parse_options_header(header)
    charset = options.get(b"charset", b"utf-8").decode("latin-1").strip().lower()
    if charset.replace("_", "-") not in UTF8:
        raise RequestRefused(
            415, "unknown_encoding", f"charset {charset[:80]!r}; send the body as utf-8"
        )
    return kind.decode("latin-1").strip().lower(), options
