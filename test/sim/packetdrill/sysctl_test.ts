import { assertEquals, assertThrows } from "@std/assert";
import { parseScript } from "../../../sim/packetdrill/parser.ts";
import { UnsupportedError } from "../../../sim/packetdrill/script_error.ts";
import { profileOf, type Settings, settingsOf } from "../../../sim/packetdrill/settings.ts";
import { runCommand } from "../../../sim/packetdrill/sysctl.ts";

function settings(source: string): Settings {
  return settingsOf(parseScript(source, new Set()), profileOf(source));
}

Deno.test("settingsOf() takes the head of a script", () => {
  const found = settings("--ip_version=ipv6\n--mtu=9000\n--tolerance_usecs=75000\n--local_ip=fd00::7\n0 `x`\n");
  assertEquals([found.version, found.mtu, found.toleranceUs, found.tcp.mss], [6, 9_000, 75_000, 8_940]);
  assertEquals(found.local.w3, 7);
  assertThrows(() => settings("--wire_client\n0 `x`"), UnsupportedError, "--wire_client");
  assertThrows(() => settings("--mtu=many\n0 `x`"), UnsupportedError, "--mtu=many");
  assertThrows(() => settings("--local_ip=1.2.3\n0 `x`"), UnsupportedError, "1.2.3");
});

Deno.test("profileOf() tells Linux's suite from FreeBSD's", () => {
  assertEquals(profileOf("`../common/defaults.sh`"), "linux");
  assertEquals(profileOf("0 `sysctl -q net.ipv4.tcp_ecn=2`"), "linux");
  assertEquals(profileOf("0 `sysctl -w net.inet.tcp.ecn.enable=2`"), "bsd");
  assertEquals(profileOf("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3"), "plain");
});

Deno.test("runCommand() maps the sysctl lines that have a meaning here", () => {
  const found = settings("0 `x`");
  runCommand(found, "sysctl -w net.inet.tcp.rfc1323=0", 1);
  assertEquals([found.tcp.timestamps, found.tcp.windowScale], [false, -1]);
  runCommand(found, "sysctl -w net.inet.tcp.rfc1323=1", 1);
  assertEquals([found.tcp.timestamps, found.tcp.windowScale], [true, 6]);
  runCommand(found, "sysctl -w kern.ipc.maxsockbuf=4294967295", 1);
  assertEquals(found.tcp.windowScale, 14);
  runCommand(found, "sysctl -w net.inet.tcp.recvspace=4096; sysctl -w net.inet.tcp.delacktime=0", 1);
  assertEquals([found.tcp.receiveBufferBytes, found.tcp.delayedAckUs], [4_096, 0]);
  runCommand(found, "../common/defaults.sh\nsysctl -q net.ipv4.tcp_ecn=2 net/ipv4/tcp_sack=0    # both\n", 1);
  assertEquals([found.tcp.ecn, found.tcp.ecnAccept, found.tcp.sack], [false, true, false]);
  runCommand(found, "../../common/set_sysctls.py /proc/sys/net/ipv4/tcp_timestamps=0", 1);
  assertEquals(found.tcp.timestamps, false);
  runCommand(found, 'sysctl -q net.ipv4.tcp_rmem="4096 5000 6000"', 1);
  assertEquals([found.tcp.receiveBufferBytes, found.tcp.receiveBufferBytesMax], [5_000, 6_000]);
  assertEquals(found.ignored, ["../common/defaults.sh"]);
});

Deno.test("runCommand() lists what it ignores", () => {
  const found = settings("0 `x`");
  runCommand(
    found,
    "sockstat -4 | grep x; sysctl -w net.inet.tcp.unheard_of=1\nsysctl -w net.inet.tcp.sack.enable=many",
    1,
  );
  assertEquals(found.ignored, [
    "sockstat -4 | grep x",
    "sysctl -w net.inet.tcp.unheard_of=1",
    "sysctl -w net.inet.tcp.sack.enable=many",
  ]);
});

Deno.test("runCommand() refuses what a script cannot do without", () => {
  const found = settings("0 `x`");
  for (
    const command of [
      "ip route change 192.0.2.1 mtu lock 640",
      "tc qdisc replace dev tun0 root pfifo limit 0",
      "sysctl net.ipv4.tcp_fastopen=0x402",
    ]
  ) {
    assertThrows(() => runCommand(found, command, 7), UnsupportedError);
  }
});
