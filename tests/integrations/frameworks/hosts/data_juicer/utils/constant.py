from __future__ import annotations


class Fields:
    stats = "__dj__stats__"
    source_file = "__dj__source_file__"
