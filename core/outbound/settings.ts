/** What an outbound is made from: a proxy of the configuration, read and checked. Holds secrets: never shown, never logged. */

/** TLS around a protocol. */
export interface TlsSettings {
  /** The name that the certificate must have, and that the server is told. */
  readonly serverName: string;
  readonly alpn: readonly string[];
  /** True: any certificate will do. */
  readonly skipsVerification: boolean;
  /** SHA-256 of the only certificate that will do, lower-case hex; undefined asks the usual authorities. */
  readonly fingerprint: string | undefined;
  /** More authorities, as PEM. */
  readonly authorities: string | undefined;
}

/** A WebSocket around a protocol. */
export interface WebSocketSettings {
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Bytes that may go with the request; 0 sends none. */
  readonly earlyDataBytesMax: number;
  readonly earlyDataHeader: string;
}

/** A name and a password. */
export interface Login {
  readonly user: string;
  readonly password: string;
}

/** What is spoken to the server. */
export type ProtocolSettings =
  | { readonly kind: "direct" }
  | { readonly kind: "reject" }
  | { readonly kind: "socks5"; readonly login: Login | undefined }
  | {
    readonly kind: "http";
    readonly login: Login | undefined;
    readonly headers: readonly (readonly [name: string, value: string])[];
  }
  | { readonly kind: "ss"; readonly cipher: string; readonly password: string }
  | { readonly kind: "trojan"; readonly password: string }
  | { readonly kind: "vmess"; readonly uuid: string; readonly cipher: string }
  | { readonly kind: "vless"; readonly uuid: string };

/** One outbound. */
export interface OutboundSettings {
  readonly name: string;
  readonly protocol: ProtocolSettings;
  /** A name or an address; empty for those without a server. */
  readonly server: string;
  readonly port: number;
  readonly udp: boolean;
  readonly tls: TlsSettings | undefined;
  readonly webSocket: WebSocketSettings | undefined;
  /** The proxy through which the server is reached. */
  readonly dialer: string | undefined;
  /** The interface that connections leave by. */
  readonly interfaceName: string | undefined;
  readonly ipVersion: "dual" | "ipv4" | "ipv6" | "ipv4-prefer" | "ipv6-prefer";
}
