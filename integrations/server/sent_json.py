"""JSON that a client sent, read in little time whatever it is."""

from __future__ import annotations

import json
from typing import Any, Final

MOST_OUTSIDE: Final = 1 << 16
"""Characters outside the texts of a JSON: a request for 64 videos has fewer than 10,000."""


def read_json(sent: str | bytes) -> Any:
    """What a JSON says.

    It is read where all requests are answered. Texts cost next to nothing there, but millions of
    numbers, lists or fields would stop everything for seconds.

    Args:
        sent: the JSON, in UTF-8 where it is bytes.

    Raises:
        ValueError: it is none, or holds more than `MOST_OUTSIDE`; the message goes on from "is".
    """
    try:
        text = sent if isinstance(sent, str) else sent.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 (at byte {error.start}); send UTF-8") from None
    unescaped = text.replace("\\\\", "").replace('\\"', "")
    if unescaped.count('"') <= MOST_OUTSIDE:
        outside = sum(map(len, unescaped.split('"')[::2]))
    else:
        outside = len(unescaped)
    if outside > MOST_OUTSIDE:
        raise ValueError(
            f"JSON with {outside} characters outside its texts, above the limit of {MOST_OUTSIDE}; "
            "send less at once"
        )
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error.msg} at character {error.pos})") from None
    except RecursionError:
        raise ValueError("JSON that is nested too deep; send it as documented") from None
    except ValueError:  # which int() raises
        raise ValueError("JSON with a number of too many digits; send it as documented") from None
