import { Prng } from "../../core/base/prng.ts";
import { type Micros, micros } from "../../core/base/micros.ts";
import { FaultAdapter } from "../../core/adapter/fault.ts";
import { NO_FAULTS } from "../../core/adapter/fault_plan.ts";
import { PcapTap } from "../../core/adapter/tap.ts";
import { Trace } from "../../core/adapter/trace.ts";
import type { Adapter } from "../../core/adapter/adapter.ts";
import { LINKTYPE } from "../../sim/capture/link_types.ts";
import { MutableCaptureRecord } from "../../sim/capture/record.ts";
import { ReplayAdapter } from "../../sim/replay/replay_adapter.ts";
import { Link, PERFECT_CHANNEL, type Scheduler } from "../../sim/world/link.ts";
import { type AdapterBench, adapterSuite } from "../suites/adapter_suite.ts";
import { ListAdapter } from "../support/engine_world.ts";

function listBench(wrap: (inner: Adapter) => Adapter = (inner) => inner): AdapterBench {
  const inner = new ListAdapter("tun");
  return {
    adapter: wrap(inner),
    offer: (packet) => inner.incoming.push(packet),
    sent: () => inner.sent,
    fill: () => {
      inner.isFull = true;
    },
  };
}

function replayBench(): AdapterBench {
  const sent: Uint8Array[] = [];
  const adapter = new ReplayAdapter("tun", (arena, slot) => {
    sent.push(arena.bytes.slice(arena.at(slot), arena.at(slot) + arena.length[slot]!));
    return true;
  });
  const offer = (packet: Uint8Array) => {
    const record = new MutableCaptureRecord();
    record.bytes = new Uint8Array(packet);
    record.view = new DataView(record.bytes.buffer);
    record.dataLength = packet.length;
    record.originalLength = packet.length;
    record.linkType = LINKTYPE.RAW;
    adapter.offer(record);
  };
  return { adapter, offer, sent: () => sent };
}

function linkBench(): AdapterBench {
  const scheduler: Scheduler = { now: micros(0), schedule: (_at: Micros, run) => run(micros(0)) };
  const link = new Link(PERFECT_CHANNEL, PERFECT_CHANNEL, 1_500, scheduler, new Prng(1));
  const far: Uint8Array[] = [];
  link.b.arrive = (packet) => {
    far.push(packet);
    return true;
  };
  return { adapter: link.a, offer: (packet) => link.a.arrive(packet, micros(0)), sent: () => far };
}

const noFaults = { inbound: NO_FAULTS, outbound: NO_FAULTS };

adapterSuite("ListAdapter", () => listBench());
adapterSuite("ReplayAdapter", replayBench);
adapterSuite("LinkEnd", linkBench);
adapterSuite("FaultAdapter", () => listBench((inner) => new FaultAdapter(inner, noFaults, new Prng(1))));
adapterSuite("PcapTap", () => listBench((inner) => new PcapTap(inner, () => {})));
adapterSuite("Trace", () => listBench((inner) => new Trace(inner)));
adapterSuite(
  "FaultAdapter over PcapTap over Trace",
  () => listBench((inner) => new FaultAdapter(new PcapTap(new Trace(inner), () => {}), noFaults, new Prng(1))),
);
