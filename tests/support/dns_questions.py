"""One DNS question over UDP or TCP, with the standard library: also run, as text, inside pods that have no more."""

import secrets
import socket
import struct

TYPES = {"A": 1, "TXT": 16, "AAAA": 28, "ANY": 255}
RCODES = {0: "NOERROR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}


def ask(
    server: str, name: str, kind: str = "A", *, port: int = 53, by_tcp: bool = False
) -> tuple[str, list[str]]:
    """The answer's code and its addresses. Raises OSError, TimeoutError among them."""
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.rstrip(".").split("."))
    asked = secrets.token_bytes(2) + b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
    asked += labels + b"\x00" + struct.pack("!HH", TYPES[kind], 1)
    answer = _by_tcp(server, port, asked) if by_tcp else _by_udp(server, port, asked)
    assert answer[:2] == asked[:2]
    return RCODES.get(answer[3] & 15, str(answer[3] & 15)), _addresses(answer, len(asked))


def _by_udp(server: str, port: int, asked: bytes) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.settimeout(3)
        way.sendto(asked, (server, port))
        return way.recv(4096)


def _by_tcp(server: str, port: int, asked: bytes) -> bytes:
    with socket.create_connection((server, port), timeout=3) as way:
        way.sendall(struct.pack("!H", len(asked)) + asked)
        with way.makefile("rb") as reading:
            return reading.read(struct.unpack("!H", reading.read(2))[0])


def _addresses(answer: bytes, at: int) -> list[str]:
    found = []
    for _ in range(struct.unpack("!H", answer[6:8])[0]):
        while answer[at] and answer[at] < 0xC0:
            at += answer[at] + 1
        at += 2 if answer[at] else 1
        kind, _, _, size = struct.unpack("!HHIH", answer[at : at + 10])
        at += 10
        if kind == TYPES["A"]:
            found.append(".".join(map(str, answer[at : at + size])))
        at += size
    return found
