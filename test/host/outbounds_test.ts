import { assert, assertEquals, assertFalse } from "@std/assert";
import fc from "fast-check";
import { formatIp, parseIp } from "../../core/base/ip_address.ts";
import type { Dialer, DialResult } from "../../core/host/dial.ts";
import type { Duplex } from "../../core/host/duplex.ts";
import { orderAddresses, Outbounds } from "../../core/host/outbounds.ts";
import type { OutboundSettings, ProtocolSettings } from "../../core/outbound/settings.ts";
import { NAMED, SECRET, testEnv } from "../support/outbound_pairs.ts";

const UUID = "b831381d-6324-4d53-ad4f-8cda48b30811";
const FOUND = ["192.0.2.1", "2001:db8::1", "192.0.2.2"].map((text) => parseIp(text)!);

function proxy(name: string, protocol: ProtocolSettings, more: Partial<OutboundSettings> = {}): OutboundSettings {
  return {
    ...{ name, protocol, server: "192.0.2.9", port: 1080, udp: true, tls: undefined, webSocket: undefined },
    ...{ dialer: undefined, interfaceName: undefined, ipVersion: "dual" as const },
    ...more,
  };
}

const SOCKS: ProtocolSettings = { kind: "socks5", login: { user: "somebody", password: SECRET } };

/** A server that says `answer`, then nothing more, or ends. Notes how it is left. */
class Scripted implements Duplex {
  end: "" | "closed" | "aborted" = "";
  #answer: Uint8Array | undefined;
  readonly #hangs: boolean;
  readonly #gone = Promise.withResolvers<never>();

  constructor(answer: Uint8Array, hangs: boolean) {
    this.#answer = answer.length > 0 ? answer : undefined;
    this.#hangs = hangs;
    this.#gone.promise.catch(() => {});
  }

  async read(into: Uint8Array): Promise<number | null> {
    const answer = this.#answer;
    this.#answer = undefined;
    if (answer !== undefined) {
      into.set(answer);
      return answer.length;
    }
    return this.#hangs ? await this.#gone.promise : null;
  }

  write(bytes: Uint8Array): Promise<number> {
    return Promise.resolve(bytes.length);
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.end ||= "closed";
    this.#gone.reject(new Error("closed"));
  }

  abort(): void {
    this.end ||= "aborted";
    this.#gone.reject(new Error("aborted"));
  }
}

/** Outbounds whose connections are those given, with a list of what was dialed. */
function outboundsWith(settings: readonly OutboundSettings[], stream: () => Duplex | undefined) {
  const dialed: string[] = [];
  const dialer = {
    sourceFor: () => undefined,
    dial: (address: Parameters<Dialer["dial"]>[0], port: number): Promise<DialResult> => {
      dialed.push(`${formatIp(address)}:${port}`);
      const made = stream();
      return Promise.resolve(made === undefined ? { failure: "refused", message: "nobody listens" } : { stream: made });
    },
  } as unknown as Dialer;
  const outbounds = new Outbounds(settings, { dialer, env: testEnv(), resolve: () => Promise.resolve(FOUND) });
  return { outbounds, dialed };
}

function messageOf(result: DialResult): string {
  return result.stream === undefined ? result.message : "";
}

Deno.test("orderAddresses() keeps what ip-version wants, in its order", () => {
  const of = (wish: OutboundSettings["ipVersion"]) => orderAddresses(FOUND, wish).map(formatIp);
  assertEquals(of("dual"), ["192.0.2.1", "2001:db8::1", "192.0.2.2"]);
  assertEquals(of("ipv4"), ["192.0.2.1", "192.0.2.2"]);
  assertEquals(of("ipv6"), ["2001:db8::1"]);
  assertEquals(of("ipv4-prefer"), ["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
  assertEquals(of("ipv6-prefer"), ["2001:db8::1", "192.0.2.1", "192.0.2.2"]);
});

Deno.test("connect() never goes straight out when a proxy of the chain is not there or cannot be used", async () => {
  const settings = [
    proxy("lost", SOCKS, { dialer: "nobody" }),
    proxy("circle", SOCKS, { dialer: "circle" }),
    proxy("refuses", { kind: "reject" }),
    proxy("through", SOCKS, { dialer: "refuses" }),
    proxy("bad key", { kind: "ss", cipher: "2022-blake3-aes-128-gcm", password: SECRET }),
    proxy("bad uuid", { kind: "vmess", uuid: "x".repeat(31), cipher: "auto" }),
  ];
  for (
    const chain of [["nobody"], ["lost"], ["circle"], ["refuses"], ["through"], ["bad key"], ["bad uuid"], [
      "refuses",
      "lost",
    ]]
  ) {
    const { outbounds, dialed } = outboundsWith(settings, () => new Scripted(new Uint8Array(0), false));
    const result = await outbounds.connect(chain, NAMED);
    assertEquals([result.stream, result.failure, dialed], [undefined, "prohibited", []], chain.join());
    assert(/^Cannot use the proxy "/.test(messageOf(result)), messageOf(result));
    assertFalse(messageOf(result).includes(SECRET));
  }
});

Deno.test("connect() tries a second address of a server, and tells why when that does not work either", async () => {
  const { outbounds, dialed } = outboundsWith([proxy("p", SOCKS, { server: "s.example" })], () => undefined);
  const result = await outbounds.connect(["p"], NAMED);
  assertEquals([result.failure, messageOf(result)], ["refused", "nobody listens"]);
  assertEquals(dialed, ["192.0.2.1:1080", "[2001:db8::1]:1080".replace(/[[\]]/g, "")]);
});

Deno.test("connect() gives a silent server up when the application has", async () => {
  const server = new Scripted(new Uint8Array(0), true);
  const { outbounds } = outboundsWith([proxy("p", SOCKS)], () => server);
  const giveUp = new AbortController();
  const connecting = outbounds.connect(["p"], NAMED, giveUp.signal);
  setTimeout(() => giveUp.abort(), 5);
  const result = await connecting;
  assertEquals([result.failure, messageOf(result), server.end], ["failed", "the application gave up", "aborted"]);
});

const WEB_SOCKET = { path: "/", headers: [["X-Token", SECRET]] as const, earlyDataBytesMax: 0, earlyDataHeader: "" };
const KINDS: readonly OutboundSettings[] = [
  proxy("socks5", SOCKS),
  proxy("http", { kind: "http", login: { user: "u", password: SECRET }, headers: [["X-Token", SECRET]] }),
  proxy("ss", { kind: "ss", cipher: "aes-128-gcm", password: SECRET }),
  proxy("ss 2022", { kind: "ss", cipher: "2022-blake3-aes-128-gcm", password: btoa("sixteen bytes ok") }),
  proxy("trojan", { kind: "trojan", password: SECRET }),
  proxy("vmess", { kind: "vmess", uuid: UUID, cipher: "auto" }),
  proxy("vless over ws", { kind: "vless", uuid: UUID }, { webSocket: WEB_SOCKET }),
];
Deno.test("no message of a failed stream holds a secret, whatever the server says", async () => {
  const answers = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    fc.constantFrom(
      "\x05\x02\x01\x01",
      "\x05\xff",
      "\x05\x02\x01\x00\x05\x05",
      "HTTP/1.1 407 No\r\n\r\n",
      "HTTP/1.1 200 OK\r\n\r\n",
    ).map(
      (text) => Uint8Array.from(text, (char) => char.charCodeAt(0)),
    ),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...KINDS), answers, async (settings, answer) => {
      const server = new Scripted(answer, false);
      const { outbounds } = outboundsWith([settings], () => server);
      const result = await outbounds.connect([settings.name], NAMED);
      const told = result.stream === undefined ? [result.message] : [];
      if (result.stream !== undefined) {
        try {
          await result.stream.write(new Uint8Array(10));
          for (let left = 5; left > 0 && await result.stream.read(new Uint8Array(100)) !== null; left--) { /* on */ }
        } catch (error) {
          told.push((error as Error).message);
        }
        result.stream.close();
      }
      assert(server.end !== "", "the connection is ended");
      for (const secret of [SECRET, btoa(`u:${SECRET}`), UUID, UUID.replaceAll("-", ""), btoa("sixteen bytes ok")]) {
        assertFalse(told.join().includes(secret), told.join());
      }
    }),
    { seed: 4, numRuns: 300 },
  );
});
