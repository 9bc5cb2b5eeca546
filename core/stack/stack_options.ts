/** What can be chosen about a stack, with defaults. */
import { STACK_CONNECTION_COUNT_MAX, STACK_HALF_OPEN_COUNT_MAX, UDP_IDLE_US } from "../base/limits.ts";
import { STACK_UDP_ENDPOINT_COUNT_MAX } from "../base/limits.ts";
import { DEFAULT_TCP_OPTIONS, type TcpOptions } from "./tcp/tcp_options.ts";

/** Everything that can be chosen about a stack. */
export interface StackOptions {
  /** Units: bytes of an IP packet. */
  readonly mtu: number;
  /** Largest packet that the device cuts into segments itself; 0: it cuts nothing. Units: bytes of an IP packet. */
  readonly segmentationBytesMax: number;
  /** True when the device fills the checksums of TCP and UDP. */
  readonly checksumsComputed: boolean;
  /** True where the device carries what the machine says to itself, so that 127.0.0.1 and ::1 are senders. */
  readonly loopback: boolean;
  /** Units: hops. */
  readonly timeToLive: number;
  /** What a connection uses that nobody says more about. */
  readonly tcp: Readonly<TcpOptions>;
  /** Connections and waiting flows; a power of two, at most `STACK_CONNECTION_COUNT_MAX`. */
  readonly connectionCountMax: number;
  /** Waiting flows and handshakes under way; more get SYN cookies. At most `STACK_HALF_OPEN_COUNT_MAX`. */
  readonly halfOpenCountMax: number;
  /** When SYNs are answered with cookies. Without them, SYNs beyond the bound are dropped. */
  readonly synCookies: "flood" | "never" | "always";
  /** False: datagrams are answered with "port unreachable". */
  readonly udp: boolean;
  readonly udpIdleUs: number;
  /** UDP sources; a power of two, at most `STACK_UDP_ENDPOINT_COUNT_MAX`. */
  readonly udpEndpointCountMax: number;
  /** What becomes of echo requests: answered here, handed to `onEcho`, or dropped. */
  readonly echo: "answer" | "hand" | "drop";
}

/** What a caller of `createStackOptions` may say: anything, and of TCP's options only some. */
export type StackChoices = Partial<Omit<StackOptions, "tcp">> & { readonly tcp?: Partial<TcpOptions> };

/** Lays choices over the defaults. TCP's MSS follows from the MTU unless it is chosen. */
export function createStackOptions(choices: StackChoices = {}): StackOptions {
  const mtu = choices.mtu ?? 1_500;
  return {
    segmentationBytesMax: 0,
    checksumsComputed: false,
    loopback: false,
    timeToLive: 64,
    connectionCountMax: STACK_CONNECTION_COUNT_MAX,
    halfOpenCountMax: STACK_HALF_OPEN_COUNT_MAX,
    synCookies: "flood",
    udp: true,
    udpIdleUs: UDP_IDLE_US,
    udpEndpointCountMax: STACK_UDP_ENDPOINT_COUNT_MAX,
    echo: "answer",
    ...choices,
    mtu,
    tcp: { ...DEFAULT_TCP_OPTIONS, mss: mtu - 40, ...choices.tcp },
  };
}
