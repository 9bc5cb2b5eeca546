/** TLS over every kind of transport, by both ways there are: what the certificate must be, and what becomes of halves. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { parseIp } from "../../../core/base/ip_address.ts";
import { Dialer } from "../../../core/host/dial.ts";
import type { Duplex } from "../../../core/host/duplex.ts";
import { StreamReader, writeAll } from "../../../core/host/stream_reader.ts";
import { isNodeTlsSound, wrapTls } from "../../../core/host/tls_transport.ts";
import { TunnelError } from "../../../core/host/tunnel_duplex.ts";
import type { TlsSettings } from "../../../core/outbound/settings.ts";
import { type Certificates, Servers, whyWithout } from "./servers.ts";

const REASON = whyWithout("TLS is not tried", ["openssl"]);
const LOOPBACK = parseIp("127.0.0.1")!;

/** Answers what it was sent, then "bye" once the client has closed its half. Counts bytes that came. */
class EchoServer {
  received = 0;
  readonly #listener: Deno.TlsListener;
  readonly #served: Promise<void>[] = [];
  readonly #accepting: Promise<void>;

  constructor({ certFile, keyFile }: Certificates) {
    const [cert, key] = [Deno.readTextFileSync(certFile), Deno.readTextFileSync(keyFile)];
    this.#listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
    this.#accepting = this.#acceptAll();
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async #acceptAll(): Promise<void> {
    try {
      for (;;) this.#served.push(this.#serve(await this.#listener.accept()));
    } catch {
      // It was closed.
    }
  }

  async #serve(conn: Deno.TlsConn): Promise<void> {
    try {
      const buffer = new Uint8Array(65_536);
      for (let count = await conn.read(buffer); count !== null; count = await conn.read(buffer)) {
        this.received += count;
        for (let at = 0; at < count;) at += await conn.write(buffer.subarray(at, count));
      }
      await conn.write(new TextEncoder().encode("bye"));
      await conn.closeWrite();
    } catch {
      // The client did not like the certificate, or went away.
    } finally {
      conn.close();
    }
  }

  async close(): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    await Promise.all(this.#served);
  }
}

/** A stream that is no socket to those who look. Notes how it ended. */
function disguise(stream: Duplex, ends: string[]): Duplex {
  return {
    read: (into) => stream.read(into),
    write: (bytes) => stream.write(bytes),
    closeWrite: () => stream.closeWrite(),
    close: () => {
      ends.push("closed");
      stream.close();
    },
    abort: () => {
      ends.push("aborted");
      stream.abort();
    },
  };
}

async function dial(kind: "deno" | "bound" | "tunnel", port: number, ends: string[]): Promise<Duplex> {
  const dialer = kind === "bound" ? new Dialer({ v4: parseIp("127.0.0.5")!, v6: undefined }) : new Dialer();
  const { stream } = await dialer.dial(LOOPBACK, port);
  return kind === "tunnel" ? disguise(stream!, ends) : stream!;
}

const PLAIN: TlsSettings = {
  serverName: "proxy.test",
  alpn: [],
  skipsVerification: false,
  fingerprint: undefined,
  authorities: undefined,
};

/** A megabyte there and back; then the half-close where it is kept. */
async function converse(stream: Duplex, keepsHalves: boolean): Promise<string> {
  const reader = new StreamReader(stream);
  const sent = new Uint8Array(1_000_000).map((_, i) => i * 31);
  const [, got] = await Promise.all([writeAll(stream, sent), reader.take(sent.length)]);
  if (got === undefined || got.some((byte, at) => byte !== sent[at])) return "other bytes";
  await stream.closeWrite();
  if (!keepsHalves) return "carried";
  const rest = await reader.rest(100);
  return new TextDecoder().decode(rest) === "bye" ? "carried" : "the half-close is lost";
}

for (const trustsNodeTls of [true, false]) {
  for (const kind of ["deno", "bound", "tunnel"] as const) {
    const way = trustsNodeTls ? "with node's library" : "with a detour";
    Deno.test({
      name: `wrapTls() over ${kind} ${way} takes the right certificates only, and carries both halves`,
      ignore: REASON !== undefined || (trustsNodeTls && !isNodeTlsSound()),
      fn: async () => {
        await using servers = await Servers.make();
        const certificates = await servers.certificates();
        const server = new EchoServer(certificates);
        const { authority, fingerprint } = certificates;
        const good: readonly (readonly [TlsSettings, boolean])[] = [
          [{ ...PLAIN, authorities: authority }, true],
          [{ ...PLAIN, authorities: authority, serverName: "127.0.0.1" }, true],
          [{ ...PLAIN, authorities: authority, alpn: ["http/1.1"] }, true],
          [{ ...PLAIN, fingerprint, serverName: "other.test" }, trustsNodeTls],
          [{ ...PLAIN, skipsVerification: true, serverName: "other.test" }, trustsNodeTls],
        ];
        for (const [settings, keepsHalves] of good) {
          const ends: string[] = [];
          const stream = await wrapTls(await dial(kind, server.port, ends), settings, trustsNodeTls);
          assertEquals(await converse(stream, keepsHalves), "carried");
          stream.close();
          for (let i = 0; kind === "tunnel" && ends.length === 0 && i < 100; i++) {
            await new Promise((go) => setTimeout(go, 10));
          }
          if (kind === "tunnel") assert(ends.length > 0, "what is below is closed as well");
        }
        const before = server.received;
        const bad: readonly (readonly [TlsSettings, RegExp])[] = [
          [PLAIN, /^Cannot speak TLS with proxy\.test: .*(UnknownIssuer|unable to verify)/],
          [
            { ...PLAIN, authorities: authority, serverName: "other.test" },
            /^Cannot speak TLS with other\.test: .*(not valid for name|altnames)/,
          ],
          [{ ...PLAIN, fingerprint: "0".repeat(64) }, /whose fingerprint the configuration names/],
        ];
        for (const [settings, message] of bad) {
          const ends: string[] = [];
          const error = await assertRejects(
            async () => await wrapTls(await dial(kind, server.port, ends), settings, trustsNodeTls),
            TunnelError,
          );
          assert(message.test(error.message), error.message);
          if (kind === "tunnel") assert(ends.includes("aborted"));
        }
        assertEquals(server.received, before);
        await server.close();
      },
    });
  }
}

Deno.test({
  name: "wrapTls() tells a server that speaks something else",
  ignore: REASON !== undefined,
  fn: async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const serving = (async () => {
      for await (const conn of listener) {
        await conn.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n"));
        conn.close();
      }
    })();
    for (const kind of ["deno", "tunnel"] as const) {
      const error = await assertRejects(
        async () => await wrapTls(await dial(kind, listener.addr.port, []), PLAIN),
        TunnelError,
      );
      assert(error.message.startsWith("Cannot speak TLS with proxy.test: "), error.message);
    }
    listener.close();
    await serving;
  },
});
