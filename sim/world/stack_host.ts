/** A host whose packets end in weir's own stack: the usual inhabitant of a world. */
import type { TcpConnection } from "../../core/stack/tcp/connection.ts";
import type { IpAddress } from "../../core/base/ip_address.ts";
import type { Micros } from "../../core/base/micros.ts";
import { Stack } from "../../core/stack/stack.ts";
import type { StackChoices } from "../../core/stack/stack_options.ts";
import type { TcpOptions } from "../../core/stack/tcp/tcp_options.ts";
import { addressKey, type Host } from "./host.ts";
import type { Link } from "./link.ts";
import type { HostChoices, LinkChoices, World } from "./world.ts";

/** Connections and flows that a host has room for, unless its stack is told otherwise. */
const CONNECTION_COUNT_MAX = 64;

/** A host, its stack and its address. */
export interface StackHost {
  readonly host: Host;
  readonly stack: Stack;
  readonly version: 4 | 6;
  /** Shape: four words, IPv4 as ::ffff:a.b.c.d. */
  readonly address: Uint32Array;
}

/**
 * Adds a host with a stack of its own and one address. Its secrets are drawn from the world's seed. What comes in and no listener takes goes to
 * `stack.onFlow`; without an owner there it is refused.
 */
export function addStackHost(
  world: World,
  name: string,
  address: IpAddress,
  choices: HostChoices & { readonly stack?: StackChoices } = {},
): StackHost {
  let made: Stack | undefined;
  const host = world.addHost(name, (arena, sink, prng) => {
    const usual = {
      connectionCountMax: CONNECTION_COUNT_MAX,
      halfOpenCountMax: CONNECTION_COUNT_MAX / 2,
      udpEndpointCountMax: CONNECTION_COUNT_MAX,
    };
    made = new Stack({ ...usual, ...choices.stack }, { uint32: () => prng.uint32() }, arena, sink);
    return made;
  }, choices);
  const { w0, w1, w2, w3, version } = address;
  return { host, stack: made!, version, address: new Uint32Array([w0, w1, w2, w3]) };
}

/**
 * Joins two hosts with a link; each reaches the other's address through it. `forth` leads from the first to the second; what is not chosen is
 * as in `PERFECT_CHANNEL`. The link's two directions can be changed, cut and healed while the world runs.
 */
export function linkHosts(world: World, a: StackHost, b: StackHost, choices: LinkChoices = {}): Link {
  const key = (party: StackHost) => [addressKey(party.version, party.address, 0)];
  return world.addLink(a.host, key(a), b.host, key(b), choices);
}

/** Opens a connection from one host to another: its SYN leaves now, `Host.attach` gives it to a program. Undefined: the ports are in use. */
export function connectHosts(
  from: StackHost,
  fromPort: number,
  to: StackHost,
  toPort: number,
  now: Micros,
  options?: Partial<TcpOptions>,
): TcpConnection | undefined {
  return from.stack.connect(from.version, from.address, fromPort, to.address, toPort, now, options);
}
