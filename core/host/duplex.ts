/** A stream of bytes both ways, as relays and outbounds know it. `Deno.Conn` has this shape but for `abort`. */

/** Half of it may be closed while the other half goes on. */
export interface Duplex {
  /** Resolves when `read` has something to say, be it an end or an error; absent: nobody knows before. It needs no buffer meanwhile. */
  whenReadable?(): Promise<void>;
  /** Reads at least one byte; null when the other side has closed its half. Errors: rejects when the stream is broken. */
  read(into: Uint8Array): Promise<number | null>;
  /** Writes at least one byte and says how many. Errors: rejects when the stream is broken. */
  write(bytes: Uint8Array): Promise<number>;
  /** Says that no more is written; reading goes on. */
  closeWrite(): Promise<void>;
  /** Ends both halves in peace. */
  close(): void;
  /** Ends both halves at once, so that the other side sees a reset where the system can do that. */
  abort(): void;
}

/** One end of a connection as text. */
export interface SocketEnd {
  readonly hostname: string;
  readonly port: number;
}

/** Resets a connection of this process between two ends; what the system can do beyond Deno. False: there is no such connection. */
export type ResetSocket = (local: SocketEnd, remote: SocketEnd) => boolean;
