"""HTTP/2 by hand (RFC 9113, RFC 7541): frames as they are on the wire, malformed ones too. Headers are sent without
compression, and answers are parsed only as far as tests need."""

import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 1, 4, 1

# Entries of HPACK's static table.
STATUSES = {0x88: 200, 0x89: 204, 0x8a: 206, 0x8b: 304, 0x8c: 400, 0x8d: 404, 0x8e: 500}


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def integer(value, bits, first=0):
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out = [first | most]
    value -= most
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes([*out, value])


def text(value):
    value = value if isinstance(value, bytes) else value.encode("latin-1")
    return integer(len(value), 7) + value


def field(name, value, keep=False):
    """A literal field; with `keep` the other end adds it to its dynamic table."""
    return (b"\x40" if keep else b"\x00") + text(name) + text(value)


def fields(*pairs):
    return b"".join(field(name, value) for name, value in pairs)


def request(*more, method="POST", path="/v1/completions"):
    return fields((":method", method), (":scheme", "http"), (":path", path), (":authority", "h"), *more)


def headers(block, stream=1, flags=END_HEADERS | END_STREAM):
    return frame(HEADERS, flags, stream, block)


def get(path, stream=1):
    return headers(request(method="GET", path=path), stream)


def post(path, body, stream=1):
    return headers(request(path=path), stream, END_HEADERS) + frame(DATA, END_STREAM, stream, body)


def hello(settings=()):
    return PREFACE + frame(SETTINGS, payload=b"".join(struct.pack(">HI", *each) for each in settings))


def frames(received):
    """The complete frames: (kind, flags, stream, payload)."""
    at = 0
    while at + 9 <= len(received):
        size = int.from_bytes(received[at:at + 3], "big")
        kind, flags, stream = struct.unpack(">BBI", received[at + 3:at + 9])
        if at + 9 + size > len(received):
            return
        yield kind, flags, stream, received[at + 9:at + 9 + size]
        at += 9 + size


def status_of(block):
    """`:status` comes first, as an entry of the static table or as a literal with its name from there."""
    while block and block[0] & 0xe0 == 0x20:  # table size updates
        block = block[1:]
    if block[0] in STATUSES:
        return STATUSES[block[0]]
    if block[:1] == b"\x48" and block[1] & 0x80:
        return int(digits(block[2:2 + (block[1] & 0x7f)])[:3])
    return int(block[2:5]) if block[:2] == b"\x48\x03" else None


def digits(packed):
    """Decimal digits in HPACK's Huffman code: 0, 1 and 2 have five bits, the others six."""
    bits, found = "".join(f"{byte:08b}" for byte in packed), ""
    while len(bits) >= 5:
        size = 5 if int(bits[:5], 2) <= 2 else 6
        code, bits = int(bits[:size], 2), bits[size:]
        if size == 6 and not 0x19 <= code <= 0x1f:
            break  # padding
        found += str(code if size == 5 else code - 0x19 + 3)
    return found


def outcomes(received):
    """What the server decided: statuses, "reset CODE", "goaway CODE"."""
    found = []
    for kind, _, _, payload in frames(received):
        if kind == HEADERS:
            found.append(status_of(payload))
        elif kind == RST_STREAM:
            found.append(f"reset {int.from_bytes(payload, 'big')}")
        elif kind == GOAWAY:
            found.append(f"goaway {int.from_bytes(payload[4:8], 'big')}")
    return found


def ended(received, stream=1):
    """Whether nothing more will come on the stream."""
    return any(number == stream and (kind == RST_STREAM or (kind in (DATA, HEADERS) and flags & END_STREAM))
               for kind, flags, number, _ in frames(received))
