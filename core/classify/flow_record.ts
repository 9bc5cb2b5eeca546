/** What a flow owns beside its columns in the table: its facts, and the reading of its name. */
import type { IpAddress } from "../base/ip_address.ts";
import { ipFromWords } from "../base/ip_address.ts";
import type { Micros } from "../base/micros.ts";
import * as tcp from "../wire/tcp.ts";
import { emptyFacts, type FlowFacts } from "./facts.ts";
import type { FlowIndex, FlowTable } from "./flow_table.ts";
import type { FlowSniffer } from "./sniffer.ts";

/** One flow's own state; made when the flow starts, kept by whoever reports it. */
export interface FlowRecord {
  /** Counts flows from 0 in order of their first packet; never used twice. */
  readonly id: number;
  readonly start: Micros;
  readonly facts: FlowFacts;
  /** Reads the flow's name; undefined once there is nothing more to read. */
  sniffer: FlowSniffer | undefined;
  /** The tag of the flow's first packet, for adapters that know more about it. */
  readonly firstTag: number;
}

function addressOf(table: FlowTable, flow: FlowIndex, isSource: boolean): IpAddress {
  return isSource
    ? ipFromWords(
      table.sourceWord(flow, 0),
      table.sourceWord(flow, 1),
      table.sourceWord(flow, 2),
      table.sourceWord(flow, 3),
    )
    : ipFromWords(
      table.destinationWord(flow, 0),
      table.destinationWord(flow, 1),
      table.destinationWord(flow, 2),
      table.destinationWord(flow, 3),
    );
}

/** Copies who talks to whom from the table into the facts. */
export function fillEndpoints(facts: FlowFacts, table: FlowTable, flow: FlowIndex): void {
  facts.sourceIp = addressOf(table, flow, true);
  facts.destinationIp = addressOf(table, flow, false);
  facts.sourcePort = table.sourcePort(flow);
  facts.destinationPort = table.destinationPort(flow);
}

/** A record for a flow that has just been entered into the table. */
export function createRecord(
  table: FlowTable,
  flow: FlowIndex,
  id: number,
  start: Micros,
  type: string,
  tag: number,
): FlowRecord {
  const facts = emptyFacts(table.protocol(flow) === tcp.PROTOCOL ? "tcp" : "udp");
  facts.type = type;
  fillEndpoints(facts, table, flow);
  return { id, start, facts, sniffer: undefined, firstTag: tag };
}
