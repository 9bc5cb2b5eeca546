/** The proxies of a configuration as ways that flows of a replay take, each with its simulated server. */
import type { Prng } from "../../core/base/prng.ts";
import { hopsOf } from "../../core/outbound/create_stream_tunnel.ts";
import { destinationOf } from "../../core/outbound/flow_destination.ts";
import type { OutboundSettings } from "../../core/outbound/settings.ts";
import type { OutboundCrypto, OutboundEnv } from "../../core/outbound/tunnel.ts";
import type { ProxyWay } from "../live_play/flow_play.ts";
import type { FlowWay } from "../replay/flow_plays.ts";
import { protocolNames, ProxiedStream } from "./proxied_stream.ts";

/** What a simulation's proxies need: randomness from its seed, and the time that its clock shows. Units: seconds since 1970. */
export function simulatedEnv(crypto: OutboundCrypto, prng: Prng, unixSeconds: () => number): OutboundEnv {
  const randomBytes = (count: number) => {
    const bytes = new Uint8Array(count);
    for (let i = 0; i < count; i++) bytes[i] = prng.below(256);
    return bytes;
  };
  return { crypto, randomBytes, unixSeconds };
}

/** Finds the way of each flow. */
export class ProxyWays {
  readonly #settings: ReadonlyMap<string, OutboundSettings>;
  readonly #crypto: OutboundCrypto;

  constructor(settings: readonly OutboundSettings[], crypto: OutboundCrypto) {
    this.#settings = new Map(settings.map((outbound) => [outbound.name, outbound]));
    this.#crypto = crypto;
  }

  /** The way of a flow; undefined when its proxy has no settings, or is none. */
  wayOf({ chains, facts }: FlowWay, prng: Prng): ProxyWay | undefined {
    const [name] = chains;
    if (name === undefined || !this.#settings.has(name)) return undefined;
    const hops = hopsOf([name], (each) => this.#settings.get(each));
    if (typeof hops === "string") return { protocols: [], open: () => hops };
    const protocols = protocolNames(hops);
    if (protocols.length === 0) return undefined;
    const open = (unixSeconds: number) => {
      const env = simulatedEnv(this.#crypto, prng, () => unixSeconds);
      return ProxiedStream.open(hops, destinationOf(facts), env);
    };
    return { protocols, open };
  }
}
