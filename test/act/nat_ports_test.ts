import { assertEquals } from "@std/assert";
import { isLoopbackKey, NatPorts } from "../../core/act/nat_ports.ts";
import type { TranslateListeners } from "../../core/act/translate_options.ts";
import { KEY_WORDS, PORTS, TupleIndex } from "../../core/act/tuple_index.ts";
import { NAT_PORT_MIN, NAT_PORT_TRIES_MAX } from "../../core/base/limits.ts";
import { parseIp } from "../../core/base/ip_address.ts";

const TUN: TranslateListeners = {
  way: "tun",
  v4: { address: parseIp("198.18.0.1")!, peer: parseIp("198.18.0.2")!, port: 7_000 },
};
const REFLECT: TranslateListeners = { way: "reflect", v4: { port: 7_000 } };

function key(source: string, sourcePort: number, destination: string, destinationPort: number): Uint32Array {
  const words = new Uint32Array(KEY_WORDS);
  const [from, to] = [parseIp(source)!, parseIp(destination)!];
  words.set([from.w0, from.w1, from.w2, from.w3, to.w0, to.w1, to.w2, to.w3]);
  words[PORTS] = (sourcePort << 16) | destinationPort;
  return words;
}

Deno.test("NatPorts.choose() uses a port again as late as it can, and begins anew after the last", () => {
  const ports = new NatPorts(TUN, 0x10000 - NAT_PORT_MIN - 2);
  const taken = new TupleIndex(1, 8);
  const into = new Uint32Array(KEY_WORDS);
  const chosen: number[] = [];
  for (let i = 0; i < 4; i++) {
    assertEquals(ports.choose(4, key("192.0.2.1", 5, "198.51.100.2", 80), true, taken, into), true);
    chosen.push(into[PORTS]! >>> 16);
    taken.add(i, into);
  }
  assertEquals(chosen, [65_534, 65_535, NAT_PORT_MIN, NAT_PORT_MIN + 1]);
  assertEquals(into, key("198.18.0.2", NAT_PORT_MIN + 1, "198.18.0.1", 7_000));
  assertEquals([ports.listenPort(4), ports.listenPort(6)], [7_000, 0]);
  assertEquals(ports.choose(6, key("2001:db8::1", 5, "2001:db8::2", 80), true, taken, into), false);
});

Deno.test("NatPorts.choose() gives up after so many ports that are taken", () => {
  const ports = new NatPorts(TUN, 0);
  const taken = new TupleIndex(1, 128);
  const into = new Uint32Array(KEY_WORDS);
  for (let i = 0; i < NAT_PORT_TRIES_MAX; i++) taken.add(i, key("198.18.0.2", NAT_PORT_MIN + i, "198.18.0.1", 7_000));
  const original = key("192.0.2.1", 5, "198.51.100.2", 80);
  assertEquals(ports.choose(4, original, true, taken, into), false);
  assertEquals(ports.choose(4, original, true, taken, into), true, "further ports are tried the next time");
});

Deno.test("NatPorts.choose() keeps an application's own port where packets are reflected, unless it is taken or unwanted", () => {
  const taken = new TupleIndex(1, 8);
  const into = new Uint32Array(KEY_WORDS);
  const ports = new NatPorts(REFLECT, 0);
  ports.choose(4, key("192.0.2.1", 5_000, "198.51.100.2", 80), true, taken, into);
  assertEquals(into, key("198.51.100.2", 5_000, "192.0.2.1", 7_000));
  taken.add(0, into);
  ports.choose(4, key("192.0.2.1", 5_000, "198.51.100.2", 443), true, taken, into);
  assertEquals(into, key("198.51.100.2", NAT_PORT_MIN, "192.0.2.1", 7_000));
  ports.choose(4, key("192.0.2.9", 5_000, "198.51.100.2", 443), false, taken, into);
  assertEquals(into, key("198.51.100.2", NAT_PORT_MIN + 1, "192.0.2.9", 7_000));
  const local = key("127.0.0.1", 5_000, "127.0.0.2", 80);
  ports.choose(4, local, true, taken, into);
  assertEquals([isLoopbackKey(local), into], [true, key("127.0.0.1", 5_000, "127.0.0.2", 7_000)]);
});
