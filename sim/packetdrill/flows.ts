/**
 * Which connection a packet of the script belongs to. packetdrill tests one at a time: the one opened last, unless ports are written.
 *
 * Source: google/packetdrill run_packet.c, `find_or_create_socket_for_script_packet`.
 */
import { Flow } from "./flow.ts";
import type { PacketSpec } from "./script.ts";
import type { Settings } from "./settings.ts";

/** First port that scripted peers connect from. */
const FIRST_REMOTE_PORT = 40_000;

/** Knows the flow under test. */
export class Flows {
  readonly #settings: Settings;
  readonly #flows: Flow[] = [];
  readonly #passive = new Set<Flow>();
  #current: Flow | undefined;
  /** The next inbound packet opens a new flow to this port; −1: it belongs to the current one. */
  #listeningPort = -1;
  #nextRemotePort = FIRST_REMOTE_PORT;

  constructor(settings: Settings) {
    this.#settings = settings;
  }

  /** The flow under test, if there is one. */
  get current(): Flow | undefined {
    return this.#current;
  }

  /** True when the script's side opened the flow. */
  isPassive(flow: Flow): boolean {
    return this.#passive.has(flow);
  }

  /** The flow between two ports, if there is one. */
  find(localPort: number, remotePort: number): Flow | undefined {
    return this.#flows.find(({ ends }) => ends.localPort === localPort && ends.remotePort === remotePort);
  }

  #open(localPort: number, remotePort: number, isPassive: boolean): Flow {
    const { version, local, remote } = this.#settings;
    const flow = new Flow({ version, local, localPort, remote, remotePort });
    this.#flows.push(flow);
    if (isPassive) this.#passive.add(flow);
    this.#current = flow;
    this.#listeningPort = -1;
    return flow;
  }

  /** A socket began to listen: what comes in next opens a flow. */
  listening(localPort: number): void {
    this.#listeningPort = localPort;
  }

  /** A socket opens a flow itself. */
  connecting(localPort: number, remotePort: number): void {
    this.#open(localPort, remotePort, false);
  }

  /** The flow of a packet that the script sends. */
  forInbound(packet: PacketSpec): Flow {
    const ports = packet.protocol === "icmp" ? undefined : packet.ports;
    if (ports !== undefined) {
      const [remotePort, localPort] = ports;
      const found = this.find(localPort, remotePort) ?? this.#open(localPort, remotePort, true);
      this.#current = found;
      return found;
    }
    const isOpening = packet.protocol !== "icmp" && this.#listeningPort >= 0;
    if (this.#current !== undefined && !isOpening) return this.#current;
    const localPort = this.#listeningPort >= 0 ? this.#listeningPort : this.#settings.bindPort;
    return this.#open(localPort, this.#nextRemotePort++, true);
  }

  /** The flow of a packet that the script expects. */
  forOutbound(packet: PacketSpec): Flow | undefined {
    const ports = packet.protocol === "icmp" ? undefined : packet.ports;
    return ports === undefined ? this.#current : this.find(ports[0], ports[1]);
  }
}
