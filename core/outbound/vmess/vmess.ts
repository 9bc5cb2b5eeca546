/**
 * The client of a VMess server: streams, and datagrams to one destination. Header and body are in their own files.
 *
 * Read first: "VMess protocol", https://www.v2fly.org/developer/protocols/vmess.html
 */
import { ByteQueue } from "../byte_queue.ts";
import { StreamState } from "../stream_state.ts";
import type { DatagramTunnel, Destination, OutboundEnv, StreamTunnel, TunnelledDatagram } from "../tunnel.ts";
import { PIECE_BYTES_MAX, VmessPieces } from "./body.ts";
import {
  ANSWER_LENGTH_BYTES,
  createVmessRequest,
  isAnswerGood,
  openAnswerLength,
  VmessCommand,
  type VmessRequest,
  VmessSecurity,
} from "./header.ts";

/**
 * The cipher of that name in a configuration; undefined when weir does not have it. `auto` is what the runtime is quick with: Deno's node:crypto does
 * AES-GCM without the processor's help, and ChaCha20-Poly1305 four to six times as fast. Servers take both.
 */
export function vmessSecurity(name: string): VmessSecurity | undefined {
  if (name === "aes-128-gcm") return VmessSecurity.Aes128Gcm;
  if (name === "auto" || name === "chacha20-poly1305") return VmessSecurity.ChaCha20Poly1305;
  return name === "none" ? VmessSecurity.None : undefined;
}

/** Who we are to the server, and how the body is sealed. */
export interface VmessOptions {
  readonly userKey: Uint8Array;
  readonly security: VmessSecurity;
}

/** One connection; each piece that comes is handed on by itself, for datagrams are pieces. */
class VmessConnection extends StreamState {
  readonly #options: VmessOptions;
  readonly #command: VmessCommand;
  readonly #destination: Destination;
  readonly #env: OutboundEnv;
  readonly #received = new ByteQueue();
  #request: VmessRequest | undefined = undefined;
  #sealer: VmessPieces | undefined = undefined;
  #opener: VmessPieces | undefined = undefined;
  /** Sealed bytes that come next; −1 while their number is not known. */
  #expected = -1;
  #isAnswered = false;

  constructor(options: VmessOptions, command: VmessCommand, destination: Destination, env: OutboundEnv) {
    super("open");
    this.#options = options;
    this.#command = command;
    this.#destination = destination;
    this.#env = env;
  }

  start(): void {
    const { userKey, security } = this.#options;
    const request = createVmessRequest(userKey, security, this.#command, this.#destination, this.#env);
    if (request === undefined) {
      return this.fail("failed", "Cannot use VMess: the destination is neither a name nor an address");
    }
    this.#request = request;
    this.#sealer = new VmessPieces(security, request.request, this.#env.crypto);
    this.toServer.push(request.bytes);
  }

  /** Puts one piece on its way; an empty one says that no more come. */
  protected sendPiece(plain: Uint8Array): void {
    if (this.#sealer !== undefined) this.toServer.push(this.#sealer.seal(plain));
  }

  receive(bytes: Uint8Array): void {
    if (this.state === "failed" || this.#request === undefined || this.isServerDone) return;
    this.#received.push(bytes);
    while (this.#advance(this.#request)) { /* a piece further */ }
  }

  receiveEnd(): void {
    if (this.isServerDone) return;
    if (!this.#isAnswered) {
      const hint = "does it know the UUID, and are both clocks right to two minutes?";
      this.fail("prohibited", `Cannot use the VMess server: it closed the connection without an answer; ${hint}`);
    } else if (this.#received.length > 0) {
      this.fail("failed", "Cannot go on with VMess: the connection ended inside a piece");
    } else this.serverDone();
  }

  /** True when something was read. */
  #advance(request: VmessRequest): boolean {
    if (this.state === "failed" || this.isServerDone) return false;
    if (!this.#isAnswered) return this.#readAnswer(request);
    const opener = this.#opener!;
    if (this.#expected < 0) {
      const length = this.#received.take(2);
      if (length === undefined) return false;
      this.#expected = opener.maskedLength(length[0]!, length[1]!);
      return true;
    }
    const sealed = this.#received.take(this.#expected);
    if (sealed === undefined) return false;
    this.#expected = -1;
    const plain = opener.open(sealed);
    if (plain === undefined) this.fail("failed", "Cannot go on with VMess: a piece is damaged");
    else if (plain.length === 0) this.serverDone();
    else this.toApplication.push(plain);
    return true;
  }

  #readAnswer(request: VmessRequest): boolean {
    const { crypto } = this.#env;
    if (this.#expected < 0) {
      const sealed = this.#received.take(ANSWER_LENGTH_BYTES);
      if (sealed === undefined) return false;
      this.#expected = openAnswerLength(sealed, request.response, crypto) ?? -1;
      if (this.#expected < 0) this.fail("failed", "Cannot speak VMess: the server's answer is damaged");
      return true;
    }
    const sealed = this.#received.take(this.#expected);
    if (sealed === undefined) return false;
    if (!isAnswerGood(sealed, request, crypto)) {
      this.fail("failed", "Cannot speak VMess: the server answered another request");
    }
    this.#expected = -1;
    this.#isAnswered = true;
    this.#opener = new VmessPieces(this.#options.security, request.response, crypto);
    return true;
  }
}

/** One stream. */
export class VmessTunnel extends VmessConnection implements StreamTunnel {
  constructor(options: VmessOptions, destination: Destination, env: OutboundEnv) {
    super(options, VmessCommand.Tcp, destination, env);
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES_MAX) this.sendPiece(bytes.subarray(at, at + PIECE_BYTES_MAX));
  }

  /** The empty piece is the half-close; the connection below stays, as servers take its end for the end of both halves. */
  end(): void {
    this.sendPiece(new Uint8Array(0));
  }
}

/** Datagrams to one destination; servers answer from there only. */
export class VmessDatagrams extends VmessConnection implements DatagramTunnel {
  readonly #peer: Destination;

  constructor(options: VmessOptions, destination: Destination, env: OutboundEnv) {
    super(options, VmessCommand.Udp, destination, env);
    this.#peer = destination;
  }

  send(_destination: Destination, payload: Uint8Array): boolean {
    if (payload.length === 0 || payload.length > PIECE_BYTES_MAX) return false;
    this.sendPiece(payload);
    return true;
  }

  take(): TunnelledDatagram | undefined {
    const payload = this.toApplication.shift();
    return payload && { source: this.#peer, payload };
  }
}
