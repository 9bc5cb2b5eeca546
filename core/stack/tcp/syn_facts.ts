/** What a SYN says, kept while its flow waits for a decision. */
import type { PacketMeta } from "../../parse/packet_meta.ts";
import { SEQUENCE } from "../../parse/packet_meta.ts";
import * as tcp from "../../wire/tcp.ts";
import { IncomingSegment } from "./incoming_segment.ts";

/** The facts of one SYN. A SYN cookie's facts can be set by hand. */
export class SynFacts {
  /** The peer's first sequence number. Units: as a signed 32-bit number. */
  irs = 0;
  /** Units: bytes; a SYN's window is never scaled. */
  window = 0;
  /** 0: the option is absent. Units: bytes. */
  mss = 0;
  /** −1: the option is absent. */
  windowScale = -1;
  sack = false;
  timestamps = false;
  timestamp = 0;
  /** The SYN carries ECE and CWR: an ECN-setup SYN. Source: RFC 3168 section 6.1.1. */
  ecn = false;

  /** Reads them from a SYN that was parsed into `meta`. */
  read(view: DataView, meta: PacketMeta): void {
    const segment = SCRATCH;
    segment.read(view, meta, 0);
    this.irs = meta.words[SEQUENCE]! | 0;
    this.copy(segment);
  }

  /** Takes the options of a SYN that was read already. */
  copy(segment: IncomingSegment): void {
    this.irs = segment.seq;
    this.window = segment.window;
    this.mss = segment.mss;
    this.windowScale = segment.windowScale;
    this.sack = segment.sackPermitted;
    this.timestamps = segment.hasTimestamps;
    this.timestamp = segment.tsVal;
    const bits = segment.flags & (tcp.ECE | tcp.CWR);
    this.ecn = bits === (tcp.ECE | tcp.CWR);
  }
}

const SCRATCH = new IncomingSegment();
