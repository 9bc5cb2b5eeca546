/** How fast names are read: TLS hellos, QUIC Initial packets, HTTP heads, DNS answers. */
import { micros } from "../../core/base/micros.ts";
import { DnsMemory } from "../../core/classify/dns_memory.ts";
import { createSniffOptions, FlowSniffer } from "../../core/classify/sniffer.ts";
import { createQuicCrypto } from "../../core/host/quic_crypto.ts";
import { emitDnsMessage } from "../../core/wire/dns_message.ts";
import { asciiBytes, hexBytes, tlsHello, viewOf } from "../../test/support/hello_build.ts";
import { RFC9001_CLIENT_INITIAL } from "../../test/support/quic_vectors.ts";
import type { BenchRow } from "./row.ts";

const options = createSniffOptions();
const initialCrypto = createQuicCrypto();

function runFor(work: () => void, ms: number): number {
  let count = 0;
  const start = performance.now();
  let now = start;
  while (now - start < ms) {
    for (let i = 0; i < 50; i++) work();
    count += 50;
    now = performance.now();
  }
  return count * 1_000 / (now - start);
}

/** The best of three rounds after a warm-up: what else the machine does only slows down. Units: runs per second. */
function perSecond(work: () => void): number {
  runFor(work, 250);
  return Math.max(runFor(work, 250), runFor(work, 250), runFor(work, 250));
}

function tcpFlow(bytes: Uint8Array, segmentBytes: number): () => void {
  const view = viewOf(bytes);
  return () => {
    const sniffer = new FlowSniffer("tcp", options, initialCrypto);
    sniffer.tcpSyn(1);
    for (let at = 0; at < bytes.length; at += segmentBytes) {
      sniffer.tcpSegment(true, 2 + at, view, at, Math.min(segmentBytes, bytes.length - at));
    }
    if (sniffer.host !== "www.example.com") throw new Error("Cannot measure: the name was not found");
    sniffer.dispose();
  };
}

function quicFlow(): () => void {
  const bytes = hexBytes(RFC9001_CLIENT_INITIAL);
  const view = viewOf(bytes);
  return () => {
    const sniffer = new FlowSniffer("udp", options, initialCrypto);
    sniffer.udpDatagram(true, view, 0, bytes.length);
    if (sniffer.host !== "example.com") throw new Error("Cannot measure: the name was not found");
  };
}

function dnsAnswer(): () => void {
  const memory = new DnsMemory();
  const view = new DataView(new ArrayBuffer(512));
  const length = emitDnsMessage(view, 0, 512, {
    id: 1,
    flags: 0x8180,
    question: { name: "www.example.com", type: 1 },
    answers: [
      { name: "www.example.com", type: 5, ttl: 60, target: "edge.example.net" },
      { name: "edge.example.net", type: 1, ttl: 60, address: [0xc000_0201] },
      { name: "edge.example.net", type: 1, ttl: 60, address: [0xc000_0202] },
    ],
  });
  return () => {
    memory.observeMessage(view, 0, length, micros(0));
  };
}

/** One flow or message a run, everything a flow needs included. */
export function benchNames(): BenchRow[] {
  const hello = tlsHello({ name: "www.example.com", paddingBytes: 200 });
  const large = tlsHello({ name: "www.example.com", paddingBytes: 1_500 });
  const http = asciiBytes("GET /a HTTP/1.1\r\nUser-Agent: x\r\nAccept: */*\r\nHost: www.example.com\r\n\r\n");
  const rows: [string, () => void][] = [
    ["names: TLS hello in one segment", tcpFlow(hello, 1_460)],
    ["names: TLS hello in two segments", tcpFlow(large, 1_460)],
    ["names: HTTP head", tcpFlow(http, 1_460)],
    ["names: QUIC Initial, keys and all", quicFlow()],
    ["names: DNS answer with an alias", dnsAnswer()],
  ];
  return rows.map(([what, work]) => ({ what, value: perSecond(work), unit: "/s" }));
}

/** For `deno task bench`. */
export const bench = benchNames;
