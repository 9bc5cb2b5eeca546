/** What `weir packetdrill` found, as its JSON has it. */

/** What became of one script. */
export interface PacketdrillVerdict {
  readonly passed: boolean;
  /** Units: lines of the script, from 1. */
  readonly line?: number;
  readonly message?: string;
}

/** What became of one script, with more than the JSON tells. */
export interface PacketdrillRun extends PacketdrillVerdict {
  /** What the script needs and we do not have: a short phrase to group by. */
  readonly unsupported?: string;
  /** Shell lines that have no meaning here. */
  readonly ignored: readonly string[];
}

/** Runs one script, given its text. Never throws for what a script says. */
export type PacketdrillRunner = (source: string) => PacketdrillRun;

/** The command's JSON: schema `weir.packetdrill/1`. */
export interface PacketdrillResult {
  readonly schema: "weir.packetdrill/1";
  readonly scripts: readonly (PacketdrillVerdict & { readonly file: string })[];
  readonly passed: number;
  readonly failed: number;
}
