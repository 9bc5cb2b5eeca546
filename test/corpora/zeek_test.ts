/** zeek's captures of TCP anomalies, checksums and truncated packets through the whole pipeline: what they are named after must show. */
import { assertEquals } from "@std/assert";
import { replay } from "../../sim/mod.ts";
import type { ReplayResult } from "../../core/cli/replay_result.ts";
import { noSharedCaptures as ignore, SHARED_CAPTURES, sharedCaptures } from "./shared_captures.ts";

function run(path: string, verifyChecksums = false): Promise<ReplayResult> {
  return replay({ captures: [SHARED_CAPTURES + path], verifyChecksums, mode: "divert" });
}

/** Which checksum is wrong in a file, as its name says. */
function reasonOf(name: string): string {
  if (name.startsWith("mip6")) return "mobilityBadChecksum";
  if (name.includes("icmp")) return "icmpBadChecksum";
  if (name.includes("-udp-")) return "udpBadChecksum";
  return name.includes("tcp") ? "tcpBadChecksum" : "ipv4BadChecksum";
}

Deno.test({
  name: "replay() drops packets with a bad checksum for that reason, and no others, when it is told to verify",
  ignore,
  async fn() {
    const files = sharedCaptures("zeek/chksums/");
    assertEquals(files.length, 26);
    for (const file of files) {
      const name = file.slice("zeek/chksums/".length);
      const { received, dropped } = (await run(file, true)).counters;
      if (name === "localhost-bad-chksum.pcap") assertEquals([received, dropped], [10, { tcpBadChecksum: 6 }]);
      else assertEquals([received, dropped], [1, name.includes("-bad-") ? { [reasonOf(name)]: 1 } : {}], name);
      assertEquals((await run(file)).counters.dropped, {}, `${name} without verification`);
    }
  },
});

/** How each truncated packet ends: reasons by count, or the number that goes on although its end is cut off. */
const TRUNCATED: Record<string, Record<string, number> | number> = {
  "icmp-header-trunc.pcap": { icmpTruncated: 2 },
  "icmp-payload-trunc.pcap": 4,
  "ip-discarder-truncated-tcp-oob.pcapng": { tcpTruncated: 1 },
  "ip4-trunc.pcap": { ipv4Truncated: 1 },
  "ip6-ext-trunc.pcap": { ipv6BadLength: 1 },
  "ip6-trunc.pcap": { ipv6Truncated: 1 },
  "ipv4-internally-truncated-header.pcap": { ipv4Truncated: 1 },
  "ipv4-truncated-broken-header.pcap": { ipv4BadLength: 1 },
  "mpls-6in6-6in6-4in6-trunc.pcap": 1,
  "trunc-hdr.pcap": { linkTruncated: 1 },
};

Deno.test({
  name: "replay() ends each truncated packet once, and says where it was cut",
  ignore,
  async fn() {
    const files = sharedCaptures("zeek/trunc/").map((file) => file.slice("zeek/trunc/".length));
    assertEquals(files, Object.keys(TRUNCATED).sort());
    for (const [name, expected] of Object.entries(TRUNCATED)) {
      const { received, delivered, dropped } = (await run(`zeek/trunc/${name}`)).counters;
      const goesOn = typeof expected === "number";
      assertEquals([delivered, dropped], goesOn ? [expected, {}] : [0, expected], name);
      const ended = goesOn ? expected : Object.values(expected).reduce((sum, count) => sum + count, 0);
      assertEquals(received, ended, name);
    }
  },
});

/** Each flow as source, destination, name, packets, upload and download. */
type Flow = readonly [string, string, string, number, number, number];

const TCP: Record<string, readonly Flow[]> = {
  "ctu-64702-888.pcap": [["192.168.1.108:64702", "185.33.86.224:888", "", 16, 0, 26]],
  "fin_retransmission.pcap": [["10.1.30.117:55344", "17.167.193.62:443", "", 5, 0, 0]],
  "handshake-reorder.pcap": [["141.142.228.5:59856", "192.150.187.43:80", "bro.org", 14, 136, 5007]],
  "http-on-irc-port-missing-syn.pcapng": [["141.142.228.5:6669", "192.150.187.43:80", "bro.org", 13, 136, 5007]],
  "miss_end_data.pcap": [["192.168.122.230:60648", "77.238.160.184:80", "farm7.static.flickr.com", 9, 538, 0]],
  "missing-syn.pcap": [["141.42.64.125:56730", "125.190.109.199:80", "www.icir.org", 21, 98, 9417]],
  "no-handshake.pcap": [["141.142.228.5:59856", "192.150.187.43:80", "bro.org", 1, 136, 0]],
  "one-sided-2745.pcap": [
    ["247.180.123.139:2745", "245.181.165.133:1433", "", 3, 0, 0],
    ["91.189.148.149:2745", "245.181.165.131:281", "", 3, 0, 0],
  ],
  "option-27.pcap": [["72.14.207.99:80", "172.17.0.2:1234", "", 1, 0, 0]],
  "option-sack.pcap": [["127.0.0.1:20", "127.0.0.1:80", "", 4, 0, 0]],
  "options.pcap": [["192.168.1.102:36861", "193.1.193.64:80", "db.local.clamav.net", 4, 104, 0]],
  "payload-syn.pcap": [["192.168.0.1:80", "192.168.0.2:80", "", 6, 100, 0]],
  "payload-synack.pcap": [["192.168.0.1:80", "192.168.0.2:80", "", 6, 0, 110]],
  "qi_internet_SYNACK_curl_jsonip.pcap": [
    ["178.200.100.200:39976", "96.126.98.124:80", "jsonip.com", 14, 153, 391],
  ],
  // Five of its packets announce eight bytes more than were on the wire.
  "reassembly.pcap": [["63.193.213.194:2564", "128.3.97.175:80", "", 112, 27194, 0]],
  // Headers only were captured.
  "retransmit-fast009.pcap": [["10.0.88.85:50368", "192.168.0.27:80", "", 39, 0, 0]],
  "retransmit-timeout.pcapng": [["10.0.0.1:51889", "192.168.0.1:80", "", 3, 36, 0]],
  "rst-inject-rae.pcap": [["1.2.0.2:2527", "1.2.0.3:6649", "", 9, 175, 0]],
  "single-rst.pcap": [["10.0.0.10:48777", "10.0.0.80:80", "", 1, 0, 0]],
  "ssh-dups.pcap": [["192.168.0.102:53206", "192.168.0.112:22", "", 377, 14820, 17092]],
  "syn-bad.pcap": [["141.142.228.5:59856", "192.150.187.43:80", "", 1, 0, 0]],
  "syn-synack.pcap": [["141.142.228.5:59856", "192.150.187.43:80", "", 2, 0, 0]],
  "syn-then-ack-then-rst.pcap": [["1.1.1.1:13131", "1.1.1.2:31313", "", 3, 0, 0]],
  "syn-then-rst.pcap": [["1.1.1.1:13131", "1.1.1.2:31313", "", 2, 0, 0]],
  "syn-then-stuff-then-rst.pcap": [["1.1.1.1:13131", "1.1.1.2:31313", "", 4, 0, 0]],
  "syn.pcap": [["141.142.228.5:59856", "192.150.187.43:80", "", 1, 0, 0]],
  "tcp-fast-open.pcap": [
    ["10.99.99.1:55533", "10.99.99.45:80", "", 8, 65, 200],
    ["10.99.99.1:55534", "10.99.99.45:80", "", 8, 86, 1307],
  ],
  "timeout-with-pings.pcap": [["192.168.1.10:12345", "192.168.1.20:80", "", 3, 0, 0]],
  "timestamp.pcap": [["192.168.1.10:60706", "192.168.2.20:12345", "", 878, 0, 20730]],
  "truncated-header.pcap": [["201.186.157.67:60827", "128.3.26.249:25", "", 24, 0, 0]],
  "window-scale-range.pcap": [["10.0.0.1:40000", "10.0.0.2:80", "", 5, 5, 0]],
};

Deno.test({
  name: "replay() finds the side that opened, the name and the bytes of each flow in captures of TCP anomalies",
  ignore,
  async fn() {
    const files = sharedCaptures("zeek/tcp/").map((file) => file.slice("zeek/tcp/".length));
    assertEquals(files, Object.keys(TCP).sort());
    for (const [name, expected] of Object.entries(TCP)) {
      const result = await run(`zeek/tcp/${name}`);
      const flows = result.flows.map(({ metadata: m, packets, upload, download }) =>
        [
          `${m.sourceIP}:${m.sourcePort}`,
          `${m.destinationIP}:${m.destinationPort}`,
          m.sniffHost,
          packets,
          upload,
          download,
        ] as const
      );
      assertEquals(flows, [...expected], name);
      assertEquals(result.counters.dropped, name === "reassembly.pcap" ? { ipv4BadLength: 5 } : {}, name);
    }
  },
});
