/** What a packetdrill script says, once it is read. Times are µs, sequence numbers are the script's own (they begin at 0). */

/** When something happens. `relative` counts from the moment the event before it was done. */
export type EventTime =
  | { readonly kind: "absolute" | "relative"; readonly atUs: number }
  | { readonly kind: "absoluteRange" | "relativeRange"; readonly atUs: number; readonly endUs: number }
  | { readonly kind: "any" };

/** Which part of the TOS byte (IPv6: traffic class) a script names. */
export interface TosSpec {
  readonly mask: number;
  readonly value: number;
  /** `[ect01]`: either of the two ECT marks. */
  readonly isAnyEct: boolean;
}

/** What a script says about the IP header. */
export interface IpSpec {
  readonly tos: TosSpec | undefined;
  readonly ttl: number | undefined;
  readonly flowLabel: number | undefined;
}

/** One option of a TCP header. */
export type TcpOption =
  | { readonly kind: "nop" | "eol" | "sackOK" }
  | { readonly kind: "mss" | "wscale"; readonly value: number }
  | { readonly kind: "sack"; readonly blocks: readonly (readonly [number, number])[] }
  | {
    readonly kind: "timestamps";
    readonly value: number;
    readonly echo: number;
    /** `val ...`: any value will do. */
    readonly ignoreValue: boolean;
    /** `ecr 7!`: the number as it stands, not translated. */
    readonly absoluteEcho: boolean;
  }
  | { readonly kind: "fastOpen"; readonly cookie: readonly number[]; readonly experimental: boolean }
  | { readonly kind: "unknown"; readonly code: number; readonly data: readonly number[] };

/** A TCP segment, expected, injected, or seen. */
export interface TcpSegment {
  readonly protocol: "tcp";
  readonly ip: IpSpec;
  /** Control bits as they stand in byte 13 of the header. */
  readonly flags: number;
  readonly sequence: number;
  readonly length: number;
  /** `...(0)`: any sequence number. */
  readonly ignoreSequence: boolean;
  /** `0:0(0)!`: the number as it stands on the wire. */
  readonly absoluteSequence: boolean;
  readonly acknowledgment: number;
  /** Undefined: any. */
  readonly window: number | undefined;
  readonly urgent: number;
  /** Undefined: `<...>`, any. */
  readonly options: readonly TcpOption[] | undefined;
  readonly ports: readonly [number, number] | undefined;
}

/** A UDP datagram. */
export interface UdpDatagram {
  readonly protocol: "udp";
  readonly ip: IpSpec;
  readonly length: number;
  readonly ports: readonly [number, number] | undefined;
}

/** What an ICMP error quotes of the packet it is about. */
export type IcmpQuote =
  | { readonly protocol: "tcp"; readonly sequence: number; readonly length: number }
  | { readonly protocol: "udp"; readonly length: number }
  | { readonly protocol: "raw"; readonly length: number };

/** An ICMP or ICMPv6 message. */
export interface IcmpMessage {
  readonly protocol: "icmp";
  readonly ip: IpSpec;
  /** Names as packetdrill has them: `unreachable`, `port_unreachable`; looked up when the IP version is known. */
  readonly type: string;
  readonly code: string | undefined;
  readonly mtu: number | undefined;
  readonly id: number | undefined;
  readonly quote: IcmpQuote | undefined;
}

/** Any packet of a script. */
export type PacketSpec = TcpSegment | UdpDatagram | IcmpMessage;

/** An argument or result of a call. */
export type Expression =
  | { readonly kind: "any" }
  | { readonly kind: "integer"; readonly value: number }
  | { readonly kind: "word"; readonly name: string }
  | { readonly kind: "string"; readonly text: string }
  | { readonly kind: "or"; readonly left: Expression; readonly right: Expression }
  | { readonly kind: "list"; readonly items: readonly Expression[] }
  | { readonly kind: "record"; readonly fields: ReadonlyMap<string, Expression> }
  | { readonly kind: "call"; readonly name: string; readonly argument: Expression };

/** A system call with what it must answer. */
export interface CallSpec {
  readonly name: string;
  readonly args: readonly Expression[];
  /** When a blocking call returns, in the event's own terms; undefined: at once. */
  readonly endUs: number | undefined;
  readonly result: Expression;
  /** `EAGAIN` of `= -1 EAGAIN (…)`. */
  readonly errno: string | undefined;
}

/** What happens at a time. */
export type Action =
  | { readonly kind: "in" | "out"; readonly packet: PacketSpec }
  | { readonly kind: "call"; readonly call: CallSpec }
  | { readonly kind: "command"; readonly text: string }
  | { readonly kind: "code"; readonly text: string };

/** One line of the script. */
export interface ScriptEvent {
  readonly line: number;
  readonly time: EventTime;
  readonly action: Action;
  /** The line as it is written, its spaces evened out. */
  readonly text: string;
}

/** A whole script. */
export interface Script {
  readonly options: ReadonlyMap<string, { readonly value: string; readonly line: number }>;
  readonly initCommand: string | undefined;
  readonly events: readonly ScriptEvent[];
  readonly cleanupCommand: string | undefined;
}

/** An IP header about which nothing is said. */
export const ANY_IP: IpSpec = { tos: undefined, ttl: undefined, flowLabel: undefined };
