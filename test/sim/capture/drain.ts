import { type CaptureDecoder, type CaptureRecord, DECODE } from "../../../sim/capture/record.ts";

/** A packet as plain data, kept beyond the record's life. */
export interface Packet {
  data: number[];
  originalLength: number;
  linkType: number;
  timestampUs: number;
  timestampNsRest: number;
  direction: number;
  process: unknown;
  interfaceIndex: number;
  fileOffset: number;
}

/** Copies what a record says now. */
export function keep(record: CaptureRecord): Packet {
  return {
    data: [...record.data],
    originalLength: record.originalLength,
    linkType: record.linkType,
    timestampUs: record.timestampUs,
    timestampNsRest: record.timestampNsRest,
    direction: record.direction,
    process: record.process,
    interfaceIndex: record.interfaceIndex,
    fileOffset: record.fileOffset,
  };
}

/** Feeds a file in the given pieces (the last one takes the rest) and returns all packets. */
export function drain(decoder: CaptureDecoder, file: Uint8Array, pieces: readonly number[] = []): Packet[] {
  const packets: Packet[] = [];
  const take = () => {
    while (decoder.next() === DECODE.PACKET) packets.push(keep(decoder.record));
  };
  let at = 0;
  for (const piece of pieces) {
    decoder.push(file.subarray(at, at + piece));
    at = Math.min(file.length, at + piece);
    take();
  }
  decoder.push(file.subarray(at));
  take();
  decoder.finish();
  take();
  return packets;
}
