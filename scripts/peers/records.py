#!/usr/bin/env python3
"""Prints the JSON that a shop's API might answer: records with ids, names, prices and times, the same on every run.

    records.py BYTES

The body has exactly BYTES bytes. Only random.random() is drawn from: its sequence is the same in every Python. Fields
that repeat and digits that do not are mixed as in real answers: gzip makes a quarter of it, not a fiftieth.
"""
import json
import random
import sys

NAMES = (
    "amber anchor apple arrow autumn basin beacon birch bramble breeze canyon cedar cinder clover copper coral crater "
    "dawn delta dune ember falcon fern field flint forest garnet glacier grove harbor hazel heron hollow island ivory "
    "jasper juniper kestrel lagoon lantern linden maple marble meadow mesa mist moss nectar oak ocean olive onyx orchid "
    "otter pearl pebble pine plume prairie quartz raven reef ridge river robin saffron sage shore silver sparrow spruce "
    "stone summit thicket thistle tide timber topaz valley velvet violet walnut willow winter wren yarrow zephyr"
).split()
STATES = ("active", "active", "active", "paused", "sold out", "on order")
FIRST_SECOND = 1_700_000_000


def main():
    size = int(sys.argv[1])
    draw = random.Random(6).random
    one_of = lambda words: words[int(draw() * len(words))]
    below = lambda limit: int(draw() * limit)

    def time():
        day, second = below(28) + 1, below(86_400)
        return f"2025-{below(12) + 1:02}-{day:02}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"

    def record(number):
        return {
            "id": 48_000 + number * 7 + below(7),
            "slug": f"{one_of(NAMES)}-{below(1 << 16):04x}",
            "name": f"{one_of(NAMES).title()} {one_of(NAMES)} {one_of(NAMES)}",
            "state": one_of(STATES),
            "price": round(draw() * 400, 2),
            "weight": round(draw() * 12, 3),
            "rating": {"average": round(1 + draw() * 4, 1), "count": below(500)},
            "about": " ".join(one_of(NAMES) for _ in range(6 + below(8))),
            "tags": [one_of(NAMES[:24]) for _ in range(1 + below(4))],
            "created": time(),
            "updated": time(),
            "links": {"self": f"/api/v2/items/{number}", "stock": f"/api/v2/items/{number}/stock"},
        }

    head, tail = '{"items":[', '],"note":"%s"}'
    text, number = head, 0
    while True:
        piece = ("," if number else "") + json.dumps(record(number), separators=(",", ":"))
        if len(text) + len(piece) + len(tail % "") > size:
            break
        text, number = text + piece, number + 1
    rest = size - len(text) - len(tail % "")
    if rest < 0:
        sys.exit(f"records.py: {size} bytes are not enough for anything")
    sys.stdout.write(text + tail % ("." * rest))


if __name__ == "__main__":
    main()
