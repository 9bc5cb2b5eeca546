/** net-speeder as weir sees it: an engine without rules but one, whose packet program sends what it matches more than once. */
import type { Adapter } from "../adapter/adapter.ts";
import type { InitialCrypto } from "../classify/sniff_crypto.ts";
import { createSniffOptions } from "../classify/sniffer.ts";
import { compileDecider } from "../decide/compile.ts";
import { NO_GEO } from "../decide/geo.ts";
import { buildHosts } from "../decide/hosts.ts";
import { createProgram, type PacketProgram } from "../decide/packet_program.ts";
import { readSteps } from "../decide/program_steps.ts";
import { buildTargets } from "../decide/targets.ts";
import { Engine } from "../engine.ts";
import { Verify } from "../parse/parse.ts";

/** What is sent more than once when nothing is said: all that leaves this machine, but for what somebody else injected. */
export const SPEEDER_FILTER = "outbound and !loopback and !impostor and (ip or ipv6)";

/** What of the other direction an adaptive speeder has to see: acknowledgments tell of losses. */
const ACKNOWLEDGMENTS = "inbound and tcp and !loopback and !impostor";

/** How a speeder works. */
export interface SpeederChoices {
  /** WinDivert's filter language: what is sent more than once. */
  readonly filter: string;
  /** How often it is sent. Units: copies, itself included. */
  readonly multiplicity: number;
  /** The most that the additional copies may take, as the configuration writes rates; undefined for no bound. */
  readonly ceiling: string | number | undefined;
  /** True: only while packets to the same host get lost. */
  readonly isAdaptive: boolean;
}

/** The program of a speeder. Errors: an Error in one sentence. */
export function speederProgram({ filter, multiplicity, ceiling, isAdaptive }: SpeederChoices): PacketProgram {
  const step = { when: filter, duplicate: multiplicity, ceiling, adaptive: isAdaptive ? true : undefined };
  const steps = readSteps(step);
  const made = Array.isArray(steps) ? createProgram("net-speeder", steps) : steps;
  if (!("message" in made)) return made;
  const key = String(made.path.at(-1) ?? "step");
  const option = key === "when" ? "filter" : key === "duplicate" ? "multiplicity" : key;
  throw new Error(`Cannot use --${option}: ${made.message}`);
}

/** What a device has to divert for a speeder. */
export function speederDeviceFilter({ filter, isAdaptive }: SpeederChoices): string {
  return isAdaptive ? `(${filter}) or (${ACKNOWLEDGMENTS})` : filter;
}

/** No name is read here, and so nothing is ever deciphered. */
const NO_CRYPTO: InitialCrypto = {
  hkdfLabel: () => new Uint8Array(0),
  hkdfExpandLabel: () => new Uint8Array(0),
  aes128Block: () => new Uint8Array(0),
  aes128GcmOpen: () => undefined,
};

/** An engine over a diverting device that does nothing but what the program says. Units: `secret` 32 bits. */
export function createSpeederEngine(
  adapter: Adapter,
  program: PacketProgram,
  secret: number,
): Engine {
  const decider = compileDecider({
    mode: "rule",
    findProcessMode: "off",
    rules: [{ type: "MATCH", payload: "", target: "DIRECT", program: program.name }],
    subRules: new Map(),
    providers: new Map(),
    hosts: buildHosts([], []).hosts,
    targets: buildTargets([], []).targets,
    geo: NO_GEO,
    programs: new Map([[program.name, program]]),
  });
  return new Engine({
    adapter,
    decider,
    classify: {
      type: "Redir",
      sniff: { ...createSniffOptions(), enabled: false },
      names: { wantsSniff: () => false, prefersSniffed: () => false, accepts: () => false },
      crypto: NO_CRYPTO,
      secret,
    },
    // Whatever passes here passes on: what is broken is for the receiver to throw away.
    verify: Verify.None,
    hasPolicy: false,
    observer: { flowStarted: () => {}, flowDecided: () => {}, flowEnded: () => {} },
    programOfOthers: program,
  });
}
