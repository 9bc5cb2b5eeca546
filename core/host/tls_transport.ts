/**
 * TLS over any stream, as outbounds want it.
 *
 * Read first: RFC 8446; RFC 6125 (names); the settings are Clash's.
 *
 * There are two ways. `Deno.startTls` verifies, tells failures as such and keeps halves apart, in all versions; but it wants a socket of Deno's own
 * and cannot look at a certificate itself. `node:tls` can, and takes any stream; but before Deno 2.9 it loses what comes after a half-close, tells a
 * bad certificate too late, and takes no stream that is connected already. There a pair of sockets of this machine's own stands in between.
 */
import type { Socket } from "node:net";
import { connect, type ConnectionOptions, rootCertificates, type TLSSocket } from "node:tls";
import { TLS_HANDSHAKE_MS_MAX } from "../base/limits.ts";
import { parseIp } from "../base/ip_address.ts";
import type { TlsSettings } from "../outbound/settings.ts";
import { Detour, DetouredDuplex } from "./detour.ts";
import { DenoDuplex, HANDSHAKE_LATE } from "./dial.ts";
import type { Duplex } from "./duplex.ts";
import { DuplexStream } from "./duplex_stream.ts";
import { NodeDuplex } from "./node_duplex.ts";
import { TunnelError } from "./tunnel_duplex.ts";

/** True where `node:tls` can be relied on. Tried: 2.7.11 cannot, 2.9.6 can. */
export function isNodeTlsSound(version: string = Deno.version.deno): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 2 || (major === 2 && minor >= 9);
}

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

/** What is wrong with the certificate where nobody else has looked; "" when nothing is. Old versions tell of a handshake that never was. */
function objectionTo(socket: TLSSocket, { skipsVerification, fingerprint }: TlsSettings): string {
  if (!skipsVerification && fingerprint === undefined) return "";
  const found: unknown = socket.getPeerCertificate()?.fingerprint256;
  if (typeof found !== "string") return "the server showed no certificate";
  if (fingerprint === undefined || found.replaceAll(":", "").toLowerCase() === fingerprint) return "";
  return "its certificate is not the one whose fingerprint the configuration names";
}

/**
 * Puts TLS around a connection. Errors: `TunnelError` when the handshake fails or the certificate does not convince; the connection is closed then.
 * Nothing is sent before the certificate has convinced.
 */
export async function wrapTls(
  transport: Duplex,
  settings: TlsSettings,
  trustsNodeTls: boolean = isNodeTlsSound(),
): Promise<Duplex> {
  const looksAtCertificate = settings.skipsVerification || settings.fingerprint !== undefined;
  try {
    if (!looksAtCertificate && transport instanceof DenoDuplex) return await secureSocket(transport, settings);
    if (trustsNodeTls) return await secureStream(transport, settings);
    return looksAtCertificate ? await secureUnverified(transport, settings) : await secureDetoured(transport, settings);
  } catch (error) {
    transport.abort();
    const why = error instanceof Error ? error.message : String(error);
    const isLate = why === HANDSHAKE_LATE;
    throw new TunnelError(
      isLate ? "timedOut" : "failed",
      `Cannot speak TLS with ${settings.serverName}: ${why}`,
      isLate,
    );
  }
}

/** By Deno itself. */
function secureSocket(socket: DenoDuplex, { serverName, alpn, authorities }: TlsSettings): Promise<Duplex> {
  return socket.secure({
    hostname: serverName,
    ...(alpn.length > 0 ? { alpnProtocols: [...alpn] } : {}),
    ...(authorities === undefined ? {} : { caCerts: [authorities] }),
  }, TLS_HANDSHAKE_MS_MAX);
}

/** By node's library, over the stream itself. */
async function secureStream(transport: Duplex, settings: TlsSettings): Promise<Duplex> {
  const under = new DuplexStream(transport);
  const socket = connect({ ...optionsOf(settings), socket: under as unknown as Socket });
  socket.once("close", () => under.destroy());
  await handshake(socket, settings);
  return new NodeDuplex(socket);
}

/** By Deno, over a socket that leads to the stream. */
async function secureDetoured(transport: Duplex, settings: TlsSettings): Promise<Duplex> {
  const detour = new Detour(transport);
  try {
    const conn = await Deno.connect(detour.address);
    await detour.accept(conn.localAddr.port);
    return new DetouredDuplex(await secureSocket(new DenoDuplex(conn, undefined), settings), detour, true);
  } catch (error) {
    detour.abort();
    throw error;
  }
}

/** By node's library where it is not to be relied on: over a socket that it opens itself, and without closing one half. */
async function secureUnverified(transport: Duplex, settings: TlsSettings): Promise<Duplex> {
  const detour = new Detour(transport);
  try {
    const { hostname, port } = detour.address;
    const socket = connect({ ...optionsOf(settings), host: hostname, port });
    const done = handshake(socket, settings);
    await Promise.race([new Promise<void>((resolve) => socket.once("connect", resolve)), done]);
    await detour.accept(socket.localPort);
    await done;
    return new DetouredDuplex(new NodeDuplex(socket), detour, false);
  } catch (error) {
    detour.abort();
    throw error;
  }
}

/** Waits for the end of the handshake. Errors: an Error when it fails; the socket is closed then. */
function handshake(socket: TLSSocket, settings: TlsSettings): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (message: string) => {
      clearTimeout(timer);
      socket.destroy();
      reject(new Error(message));
    };
    const timer = setTimeout(() => fail(HANDSHAKE_LATE), TLS_HANDSHAKE_MS_MAX);
    const onError = (error: Error) => fail(error.message);
    const onClose = () => fail("the server closed the connection");
    socket.once("error", onError);
    socket.once("close", onClose);
    socket.once("secureConnect", () => {
      const objection = objectionTo(socket, settings);
      if (objection !== "") return fail(objection);
      clearTimeout(timer);
      socket.off("error", onError);
      socket.off("close", onClose);
      resolve();
    });
  });
}
