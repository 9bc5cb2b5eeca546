"""The peers of the demo capture that Debian does not have: a QUIC server and client, a UDP echo, and a protocol that nobody knows.

Used by record_demo.ts only. Needs aioquic.
"""

import asyncio
import ssl
import sys

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration

BODY = b"a frame of a film that nobody watches\n" * 220


class Http3Server(QuicConnectionProtocol):
    """Answers every request with BODY."""

    http = None

    def quic_event_received(self, event):
        if self.http is None:
            self.http = H3Connection(self._quic)
        for each in self.http.handle_event(event):
            if isinstance(each, HeadersReceived):
                self.http.send_headers(each.stream_id, [(b":status", b"200"), (b"content-type", b"video/plain")])
                self.http.send_data(each.stream_id, BODY, end_stream=True)
                self.transmit()


class Http3Client(QuicConnectionProtocol):
    """Asks once and waits for the end of the answer."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.http = H3Connection(self._quic)
        self.done = asyncio.get_running_loop().create_future()

    async def get(self, authority, path):
        stream = self._quic.get_next_available_stream_id()
        fields = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", authority), (b":path", path)]
        self.http.send_headers(stream, fields, end_stream=True)
        self.transmit()
        await asyncio.wait_for(self.done, 5)

    def quic_event_received(self, event):
        for each in self.http.handle_event(event):
            if isinstance(each, DataReceived) and each.stream_ended and not self.done.done():
                self.done.set_result(True)


class Echo(asyncio.DatagramProtocol):
    """Sends every datagram back."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)


async def greet(reader, writer):
    """A protocol of its own: 4 bytes of length, then so many bytes, both ways."""
    writer.write(b"\x00\x00\x00\x05ready")
    await writer.drain()
    await reader.read(64)
    writer.write(b"\x00\x00\x00\x04done")
    await writer.drain()
    writer.close()


async def run_servers(certificate, key):
    loop = asyncio.get_running_loop()
    for port in (27015, 27016):
        await loop.create_datagram_endpoint(Echo, local_addr=("203.0.113.70", port))
    await asyncio.start_server(greet, "203.0.113.22", 9418)
    configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    configuration.load_cert_chain(certificate, key)
    await serve("198.51.100.30", 443, configuration=configuration, create_protocol=Http3Server)
    print("ready", flush=True)
    await asyncio.Event().wait()


async def run_client(host, path, local_port, name_count):
    """A long list of protocols makes a hello that does not fit into one packet."""
    extra = [f"x-protocol-{i:03}" for i in range(int(name_count))]
    configuration = QuicConfiguration(alpn_protocols=H3_ALPN + extra, verify_mode=ssl.CERT_NONE, server_name=host)
    async with connect(host, 443, configuration=configuration, create_protocol=Http3Client, local_port=int(local_port)) as client:
        await client.get(host.encode(), path.encode())


if __name__ == "__main__":
    asyncio.run({"servers": run_servers, "get": run_client}[sys.argv[1]](*sys.argv[2:]))
