/**
 * Records test/captures/demo.pcapng: real programs in one network namespace talk to real servers in another.
 *
 *     apt-get install tcpdump dnsmasq-base nginx-light tinyproxy-bin microsocks iproute2 iputils-ping netcat-openbsd dnsutils curl openssl
 *     python3 -m venv .lab/venv && .lab/venv/bin/pip install aioquic==1.7.2
 *     sudo deno run -A scripts/build/record_demo.ts
 *
 * It needs root, leaves nothing behind but the captures, and uses the addresses and names that are reserved for documentation
 * (RFC 5737, RFC 3849, RFC 2606, RFC 7042). Who owns a flow is what /proc says about the program that was told to use its local port.
 */
import type { ProcessFact } from "../../sim/capture/record.ts";
import { openCapture } from "../../sim/capture/open.ts";
import { PcapngWriter } from "../../sim/capture/write.ts";
import { ROOT } from "../project.ts";

const ROOT_PATH = decodeURIComponent(ROOT.pathname);
const LAB = `${ROOT_PATH}.lab/demo`;
const PYTHON = `${ROOT_PATH}.lab/venv/bin/python`;
const PEERS = `${ROOT_PATH}scripts/build/demo_peers.py`;
const CLIENT_MAC = "00:00:5e:00:53:01";

const NGINX = `
daemon off; master_process off; pid ${LAB}/nginx.pid; error_log stderr crit;
events { worker_connections 64; }
http {
  access_log off; default_type text/plain; server_tokens off;
  server {
    listen 80; listen [::]:80; listen 443 ssl http2; listen [::]:443 ssl http2;
    ssl_certificate ${LAB}/cert.pem; ssl_certificate_key ${LAB}/key.pem;
    root ${LAB}/www;
  }
}`;

const DNSMASQ = `
no-resolv
no-hosts
no-daemon
listen-address=198.51.100.53
bind-interfaces
cname=www.example.com,edge.example.net
host-record=edge.example.net,198.51.100.10,2001:db8:2::10
host-record=api.example.org,198.51.100.20
host-record=video.example.org,198.51.100.30
host-record=intranet.example.com,198.51.100.40
host-record=git.example.com,203.0.113.22
host-record=ads.example.net,203.0.113.66
host-record=game.example.net,203.0.113.70
host-record=updates.example.net,203.0.113.80
host-record=v6.example.org,2001:db8:2::80
local=/com/
local=/net/
local=/org/
`;

const TINYPROXY = `Port 8888\nListen 203.0.113.128\nTimeout 10\nMaxClients 5\nLogLevel Critical\nAllow 192.0.2.0/24\n`;

const INTERNET_ADDRESSES = [
  ..."53 10 20 30 40".split(" ").map((last) => `198.51.100.${last}/32`),
  ..."22 66 70 77 80 99 128 129".split(" ").map((last) => `203.0.113.${last}/32`),
  "2001:db8:2::10/128",
  "2001:db8:2::80/128",
];

async function run(command: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("bash", {
    args: ["-ec", command],
    stderr: "piped",
    stdout: "null",
  }).output();
  if (!success) throw new Error(`Cannot run ${command.split("\n")[0]}: ${new TextDecoder().decode(stderr)}`);
}

function start(namespace: string, command: string): Deno.ChildProcess {
  const args = ["netns", "exec", namespace, "bash", "-c", `exec ${command}`];
  return new Deno.Command("ip", { args, stdout: "null", stderr: "null", stdin: "null" }).spawn();
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

async function tearDown(): Promise<void> {
  await run("ip netns del weir-client 2>/dev/null || true; ip netns del weir-internet 2>/dev/null || true");
  await run("rm -rf /etc/netns/weir-client /etc/netns/weir-internet");
}

async function setUp(): Promise<void> {
  await tearDown();
  await run(`
    mkdir -p ${LAB}/www ${LAB}/bin /etc/netns/weir-client /etc/netns/weir-internet
    echo nameserver 198.51.100.53 | tee /etc/netns/weir-client/resolv.conf > /etc/netns/weir-internet/resolv.conf
    ip netns add weir-client; ip netns add weir-internet
    ip -n weir-client link add eth0 address ${CLIENT_MAC} type veth peer name eth0 address 00:00:5e:00:53:fe netns weir-internet
    for n in weir-client weir-internet; do
      ip -n $n link set lo up
      ip netns exec $n sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.eth0.accept_dad=0
      ip -n $n link set eth0 gso_max_segs 1 gso_max_size 1500
      ip -n $n link set eth0 up
    done
    ip netns exec weir-client sysctl -qw net.ipv4.ip_local_port_range="52000 60999"
    ip -n weir-client addr add 192.0.2.10/24 dev eth0
    ip -n weir-client addr add 2001:db8:1::10/64 dev eth0 nodad
    ip -n weir-internet addr add 192.0.2.1/24 dev eth0
    ip -n weir-internet addr add 2001:db8:1::1/64 dev eth0 nodad
    for a in ${INTERNET_ADDRESSES.join(" ")}; do ip -n weir-internet addr add $a dev lo; done
    ip -n weir-client route add default via 192.0.2.1
    ip -n weir-client -6 route add default via 2001:db8:1::1
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=example.com \\
      -addext subjectAltName=DNS:*.example.com,DNS:*.example.net,DNS:*.example.org -keyout ${LAB}/key.pem -out ${LAB}/cert.pem
    echo 'A page of the example.' > ${LAB}/www/index.html
    head -c 43 /dev/zero > ${LAB}/www/pixel.gif
    yes 'one line of an update' | head -c 18000 > ${LAB}/www/package.bin
    yes '{"answer":42}' | head -c 4200 > ${LAB}/www/api.json
    cp "$(command -v curl)" ${LAB}/bin/updater.exe
    cp "$(readlink -f "$(command -v nc)")" ${LAB}/bin/game.exe`);
  await Deno.writeTextFile(`${LAB}/nginx.conf`, NGINX);
  await Deno.writeTextFile(`${LAB}/dnsmasq.conf`, DNSMASQ);
  await Deno.writeTextFile(`${LAB}/tinyproxy.conf`, TINYPROXY);
}

function startServers(): Deno.ChildProcess[] {
  return [
    `dnsmasq -C ${LAB}/dnsmasq.conf 2>/dev/null`,
    `nginx -p ${LAB} -c ${LAB}/nginx.conf`,
    `tinyproxy -d -c ${LAB}/tinyproxy.conf`,
    `microsocks -i 203.0.113.129 -p 1080`,
    `${PYTHON} ${PEERS} servers ${LAB}/cert.pem ${LAB}/key.pem`,
  ].map((command) => start("weir-internet", command));
}

async function stop(servers: readonly Deno.ChildProcess[]): Promise<void> {
  for (const server of servers) {
    try {
      server.kill("SIGKILL");
    } catch { /* it ended before */ }
    await server.status;
  }
}

/** Programs by local port, as /proc told. */
class Owners {
  readonly byPort: Map<number, ProcessFact> = new Map();

  /** Runs `command` in the client's namespace and remembers it as the owner of local `port`. */
  async run(port: number, command: string, input = ""): Promise<void> {
    const child = new Deno.Command("ip", {
      args: ["netns", "exec", "weir-client", "bash", "-c", `exec ${command} ${input}`],
      stdout: "null",
      stderr: "null",
      stdin: "null",
    }).spawn();
    if (port > 0) this.byPort.set(port, await processOf(child.pid, command.split(" ")[0]!));
    await child.status;
    await pause(60);
  }
}

/** What /proc says once the shell has become the program. */
async function processOf(pid: number, program: string): Promise<ProcessFact> {
  const name = program.slice(program.lastIndexOf("/") + 1);
  for (let attempt = 0; attempt < 200; attempt++) {
    const path = await Deno.readLink(`/proc/${pid}/exe`).catch(() => "");
    const own = path.slice(path.lastIndexOf("/") + 1);
    if (own !== "" && !/^(ip|bash|deno.*)$/.test(own)) {
      const shown = path.startsWith(LAB) ? `/opt/demo/${name}` : path; // the lab's own folder is nobody's business
      const uid = (await Deno.stat(`/proc/${pid}`)).uid ?? undefined;
      return { path: shown, name: shown.slice(shown.lastIndexOf("/") + 1), pid, user: uid === 0 ? "root" : "", uid };
    }
    await pause(1);
  }
  throw new Error(`Cannot find the process ${name}: it ended before /proc was read`);
}

async function talk(owners: Owners): Promise<void> {
  const curl = (port: number, rest: string) => owners.run(port, `curl -sk -m 5 --local-port ${port} ${rest}`);
  const game = `${LAB}/bin/game.exe`;
  await curl(50101, "-4 https://www.example.com/");
  await curl(50102, "-6 https://www.example.com/");
  await owners.run(50103, `${LAB}/bin/updater.exe -s -m 5 --local-port 50103 http://updates.example.net/package.bin`);
  await curl(50104, "https://ads.example.net/pixel.gif");
  await owners.run(50105, `${PYTHON} ${PEERS} get video.example.org /film 50105 0`);
  await curl(50106, "https://203.0.113.77/");
  await owners.run(50107, "nc -N -w 2 -p 50107 git.example.com 9418", "< <(sleep 0.1; printf '\\0\\0\\0\\7refs/a1')");
  const moves = "for i in 1 2 3 4 5 6 7 8; do echo move $i; sleep 0.02; done";
  await owners.run(50108, `${game} -u -w 1 -p 50108 game.example.net 27015`, `< <(${moves})`);
  await owners.run(50109, `${game} -u -w 1 -p 50109 203.0.113.70 27016`, "< <(yes map | head -c 3000; sleep 0.1)");
  await curl(50110, "-x http://203.0.113.128:8888 -p https://api.example.org/api.json");
  await curl(50111, "--socks5-hostname 203.0.113.129:1080 http://api.example.org/api.json");
  await curl(50112, "https://intranet.example.com:8443/");
  await curl(50113, "http://intranet.example.com/");
  await curl(50114, "http://v6.example.org/");
  await curl(50116, "http://203.0.113.99/api.json");
  await owners.run(0, "dig -p 5353 +tries=1 +time=1 @224.0.0.251 printer.local A");
  await owners.run(0, "ping -c 2 -i 0.2 www.example.com -4");
  await owners.run(0, "ping -c 1 -6 v6.example.org");
  await owners.run(0, "dig +tcp +tries=1 +time=1 @198.51.100.53 www.example.com A");
  await owners.run(50115, `${PYTHON} ${PEERS} get video.example.org /film 50115 60`);
}

/** Writes the packets that tcpdump took again, each with its direction and its process. */
async function convert(raw: string, output: string, owners: Owners): Promise<number> {
  using file = await Deno.open(output, { write: true, create: true, truncate: true });
  const ports = new PortFinder();
  const missing = new Set(owners.byPort.keys());
  const writer = new PcapngWriter((bytes) => {
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
  }, {
    application: "weir record_demo",
    system: "Linux",
    comment: "Names and addresses are reserved for documentation.",
  });
  using reader = await openCapture(raw);
  writer.addInterface({ linkType: 1, name: "eth0" });
  for (let record = await reader.next(); record !== undefined; record = await reader.next()) {
    const { data, timestampUs, timestampNsRest, originalLength } = record;
    const mac = [...data.subarray(6, 12)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
    const outbound = mac === CLIENT_MAC;
    const port = ports.find(data, outbound);
    missing.delete(port);
    const direction = outbound ? 2 : 1;
    const process = owners.byPort.get(port);
    writer.writePacket(data, 0, data.length, { timestampUs, timestampNsRest, originalLength, direction, process });
  }
  writer.flush();
  if (missing.size > 0) {
    throw new Error(`Cannot use the recording: nothing went through ports ${[...missing].join(", ")}`);
  }
  return reader.packets;
}

/** Finds the client's port in Ethernet frames. A later fragment has none of its own: it gets that of the first one. */
class PortFinder {
  #byFragmentId: Map<number, number> = new Map();

  /** 0 when the frame carries neither TCP nor UDP. */
  find(frame: Uint8Array, outbound: boolean): number {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    const type = view.getUint16(12);
    if (type !== 0x0800 && type !== 0x86dd) return 0;
    const protocol = view.getUint8(type === 0x0800 ? 23 : 20);
    if (protocol !== 6 && protocol !== 17) return 0;
    const fragment = type === 0x0800 ? view.getUint16(20) & 0x3fff : 0;
    const id = view.getUint16(18);
    if ((fragment & 0x1fff) !== 0) return this.#byFragmentId.get(id) ?? 0;
    const transport = type === 0x0800 ? 14 + (view.getUint8(14) & 15) * 4 : 54;
    const port = view.getUint16(transport + (outbound ? 0 : 2));
    if (fragment !== 0) this.#byFragmentId.set(id, port);
    return port;
  }
}

/** Records one conversation. */
async function record(output: string): Promise<void> {
  const raw = `${LAB}/raw.pcap`;
  const owners = new Owners();
  await setUp();
  const servers = startServers();
  try {
    await pause(1500);
    const tcpdump = start(
      "weir-client",
      `tcpdump -i eth0 --immediate-mode -U -Z root --time-stamp-precision=nano -w ${raw} 2>/dev/null`,
    );
    await pause(700);
    await talk(owners);
    await pause(1200);
    tcpdump.kill("SIGINT");
    await tcpdump.status;
    console.log(`${output}: ${await convert(raw, output, owners)} packets`);
  } finally {
    await stop(servers);
    await tearDown();
  }
}

if (import.meta.main) await record(`${ROOT_PATH}test/captures/demo.pcapng`);
