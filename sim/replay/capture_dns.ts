/**
 * What a capture's own DNS answers say, in the place of name servers: which addresses a name has, and which names fake addresses were given for.
 *
 * A live system that hands out fake addresses asks for the real one only when a rule or a connection wants it, so that the answer comes behind the
 * flow that needed it. Therefore the whole capture is searched where what came before does not tell.
 */
import { type IpAddress, type IpPrefix, prefixContains } from "../../core/base/ip_address.ts";
import { type Micros, micros } from "../../core/base/micros.ts";
import type { GivenNames } from "../../core/classify/classifier.ts";
import { DnsMemory } from "../../core/classify/dns_memory.ts";
import { DropReason } from "../../core/parse/drop_reason.ts";
import { Fragment, PacketMeta } from "../../core/parse/packet_meta.ts";
import { parsePacket, Verify } from "../../core/parse/parse.ts";
import * as udp from "../../core/wire/udp.ts";
import { createLinkFrame, stripLink } from "../capture/link_layer.ts";
import { CaptureError, type CaptureReader } from "../capture/open.ts";
import type { ReplaySource } from "./replay_source.ts";

const DNS_PORT = 53;
/** The index knows no time: what is in the capture is known for its whole length. */
const ALWAYS: Micros = micros(0);

/** Addresses of these ranges stand for names. */
export class CaptureDns implements GivenNames {
  readonly #fakeRanges: readonly IpPrefix[];
  readonly #sources: readonly ReplaySource[];
  readonly #memory: () => DnsMemory;
  #whole: DnsMemory | undefined = undefined;

  /** `memory`: what the replay has learned so far. */
  constructor(fakeRanges: readonly IpPrefix[], sources: readonly ReplaySource[], memory: () => DnsMemory) {
    this.#fakeRanges = fakeRanges;
    this.#sources = sources;
    this.#memory = memory;
  }

  /** True for an address of the configuration's fake ranges. */
  isFake(address: IpAddress): boolean {
    return this.#fakeRanges.some((range) => prefixContains(range, address));
  }

  /** The name that a fake address was given for; real ones are named by the classifier itself. */
  nameOf(address: IpAddress, now: Micros): string | undefined {
    return this.isFake(address) ? this.#memory().nameOf(address, now)?.name : undefined;
  }

  /** The real addresses of a name; none when the capture does not tell. */
  async resolve(name: string, now: Micros): Promise<IpAddress[]> {
    const known = this.#real(this.#memory(), name, now);
    if (known.length > 0) return known;
    if (this.#whole === undefined) {
      this.#whole = new DnsMemory();
      for (const source of this.#sources) await readSource(source, this.#whole);
    }
    return this.#real(this.#whole, name, ALWAYS);
  }

  #real(memory: DnsMemory, name: string, now: Micros): IpAddress[] {
    return memory.addressesOf(name, now).filter((address) => !this.isFake(address));
  }
}

async function readSource(source: ReplaySource, into: DnsMemory): Promise<void> {
  try {
    using reader = await source.open();
    await readAnswers(reader, into);
  } catch (error) {
    // That the file is no capture is said where it is replayed.
    if (!(error instanceof CaptureError)) throw error;
  }
}

async function readAnswers(reader: CaptureReader, into: DnsMemory): Promise<void> {
  const frame = createLinkFrame();
  const meta = new PacketMeta();
  do {
    for (let record = reader.tryNext(); record !== undefined; record = reader.tryNext()) {
      stripLink(record.linkType, record.view, record.dataAt, record.dataLength, frame);
      if (frame.family === 0) continue;
      const wire = frame.ipLength + Math.max(0, record.originalLength - record.dataLength);
      const reason = parsePacket(record.view, frame.ipAt, frame.ipLength, wire, Verify.None, meta);
      if (reason !== DropReason.None || meta.fragment !== Fragment.Whole) continue;
      if (meta.protocol !== udp.PROTOCOL || meta.sourcePort !== DNS_PORT) continue;
      into.observeMessage(record.view, meta.payloadAt, meta.payloadLength, ALWAYS);
    }
  } while (await reader.fill());
}
