/** TLS over any stream, as outbounds want it. Read first: RFC 8446; RFC 6125 (names); the settings are Clash's. */
import type { Socket } from "node:net";
import { connect, type ConnectionOptions, rootCertificates, type TLSSocket } from "node:tls";
import { TLS_HANDSHAKE_MS_MAX } from "../base/limits.ts";
import { parseIp } from "../base/ip_address.ts";
import type { TlsSettings } from "../outbound/settings.ts";
import type { Duplex } from "./duplex.ts";
import { DuplexStream } from "./duplex_stream.ts";
import { NodeDuplex } from "./node_duplex.ts";
import { TunnelError } from "./tunnel_duplex.ts";

/** A name that may stand in a hello; an address may not. Source: RFC 6066 section 3. */
function serverNameOf(name: string): { servername?: string } {
  return parseIp(name) === undefined && name !== "" ? { servername: name } : {};
}

function optionsOf(settings: TlsSettings): ConnectionOptions {
  const { serverName, alpn, skipsVerification, fingerprint, authorities } = settings;
  return {
    ...serverNameOf(serverName),
    ...(alpn.length > 0 ? { ALPNProtocols: [...alpn] } : {}),
    ...(authorities === undefined ? {} : { ca: [...rootCertificates, authorities] }),
    rejectUnauthorized: !skipsVerification && fingerprint === undefined,
  };
}

/** True when the server's certificate is the one that the configuration names. */
function isPinned(socket: TLSSocket, fingerprint: string): boolean {
  const found = socket.getPeerCertificate()?.fingerprint256;
  return typeof found === "string" && found.replaceAll(":", "").toLowerCase() === fingerprint;
}

/**
 * Puts TLS around a connection. Errors: `TunnelError` when the handshake fails or the certificate does not convince; the connection is closed then.
 */
export function wrapTls(transport: Duplex, settings: TlsSettings): Promise<Duplex> {
  const under = new DuplexStream(transport);
  const socket = connect({ ...optionsOf(settings), socket: under as unknown as Socket });
  return new Promise((resolve, reject) => {
    const fail = (message: string) => {
      clearTimeout(timer);
      socket.destroy();
      transport.abort();
      reject(new TunnelError("failed", `Cannot speak TLS with ${settings.serverName}: ${message}`));
    };
    const timer = setTimeout(() => fail("the handshake takes too long"), TLS_HANDSHAKE_MS_MAX);
    const onError = (error: Error) => fail(error.message);
    socket.once("error", onError);
    socket.once("secureConnect", () => {
      if (settings.fingerprint !== undefined && !isPinned(socket, settings.fingerprint)) {
        return fail("its certificate is not the one whose fingerprint the configuration names");
      }
      clearTimeout(timer);
      socket.off("error", onError);
      resolve(new NodeDuplex(socket));
    });
  });
}
