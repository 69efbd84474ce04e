"""Messages over a connection, however they come."""

import concurrent.futures
import itertools
import socket
import struct
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadsense.sumo.connection import Channel


class Piecewise:
    """The socket of a connection on which an answer comes in pieces."""

    def __init__(self, *pieces):
        self._pieces = list(pieces)
        self._socket = self

    def recv_into(self, buffer):
        piece = self._pieces.pop(0) if self._pieces else b""
        room = memoryview(buffer)
        count = min(len(room), len(piece))
        room[:count] = piece[:count]
        if count < len(piece):
            self._pieces.insert(0, piece[count:])
        return count


@given(st.binary(max_size=40), st.data())
def test_an_answer_may_come_in_any_pieces(content, data):
    message = struct.pack("!i", len(content) + 4) + content
    cuts = [0, *sorted(data.draw(st.sets(st.integers(1, len(message) - 1)))), len(message)]
    pieces = [message[begin:end] for begin, end in itertools.pairwise(cuts)]
    assert Channel(Piecewise(*pieces)).answer() == content
    with pytest.raises(ConnectionError, match="closed"):
        Channel(Piecewise(*pieces[:-1])).answer()


def test_answers_longer_than_any_before():
    channel = Channel(Piecewise(*(struct.pack("!i", size + 4) + b"x" * size for size in (10, 1 << 17, 1 << 18, 5))))
    assert [len(channel.answer()) for _ in range(4)] == [10, 1 << 17, 1 << 18, 5]


@pytest.mark.parametrize("size", [3, 1 << 17])
def test_a_byte_too_many_is_refused(size):
    with pytest.raises(ValueError, match="1 bytes more"):
        Channel(Piecewise(struct.pack("!i", size + 4) + b"x" * (size + 1))).answer()


@pytest.mark.parametrize("length", [-1, 0, 3])
def test_a_length_that_is_none_is_refused(length):
    with pytest.raises(ValueError, match="a message of"):
        Channel(Piecewise(struct.pack("!i", length))).answer()


def test_a_closed_connection_is_told():
    closed = Piecewise()
    closed._socket = None
    for attempt in (Channel(closed).receive, lambda: Channel(closed).send(b"")):
        with pytest.raises(ConnectionError, match="closed"):
            attempt()


def test_a_message_that_no_buffer_holds_arrives_whole():
    message = bytes(range(256)) * (1 << 14)
    near, far = socket.socketpair()
    with near, far, concurrent.futures.ThreadPoolExecutor() as pool:
        near.settimeout(10.0)
        arrived = pool.submit(lambda: b"".join(iter(lambda: far.recv(1 << 20), b"")))
        Channel(SimpleNamespace(_socket=near)).send(message)
        near.shutdown(socket.SHUT_WR)
        assert arrived.result() == message
