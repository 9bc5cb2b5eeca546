/** What a program on a virtual host does with its connection, drawn from a seed. */
import type { Prng } from "../../core/base/prng.ts";

/** A program's plan. Units: bytes and µs as the names say; −1 means never. */
export interface AppPlan {
  /** Sends a stream; sends back as much as it gets; asks in rounds; answers in rounds. */
  readonly kind: "stream" | "echo" | "request" | "respond";
  readonly sendBytes: number;
  readonly rounds: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly startDelayUs: number;
  readonly writeBytesMin: number;
  readonly writeBytesMax: number;
  /** 0 writes as fast as the connection takes it. */
  readonly writeGapUs: number;
  readonly readDelayUs: number;
  readonly readBytesMin: number;
  readonly readBytesMax: number;
  /** 0 reads whatever is there. */
  readonly readGapUs: number;
  /** Half closes when all is sent; waits for the peer's end first; closes for good without waiting. */
  readonly closes: "half" | "afterPeer" | "early";
  readonly abortAfterBytes: number;
  readonly abortAfterUs: number;
}

/** A program that sends nothing, reads all there is and closes after its peer. */
export const QUIET_APP: AppPlan = {
  kind: "stream",
  sendBytes: 0,
  rounds: 0,
  requestBytes: 0,
  responseBytes: 0,
  startDelayUs: 0,
  writeBytesMin: 1,
  writeBytesMax: 65_536,
  writeGapUs: 0,
  readDelayUs: 0,
  readBytesMin: 65_536,
  readBytesMax: 65_536,
  readGapUs: 0,
  closes: "half",
  abortAfterBytes: -1,
  abortAfterUs: -1,
};

/** Which behaviours a world has; each run enables a random subset, so that rare ones meet undisturbed as well. */
export interface AppFeatures {
  readonly tinyWrites: boolean;
  readonly hugeWrites: boolean;
  readonly slowReaders: boolean;
  readonly pauses: boolean;
  readonly aborts: boolean;
  readonly earlyCloses: boolean;
  readonly echoes: boolean;
  readonly requests: boolean;
}

/** Draws which behaviours a world has. */
export function drawAppFeatures(prng: Prng): AppFeatures {
  return {
    tinyWrites: prng.chance(1, 2),
    hugeWrites: prng.chance(1, 2),
    slowReaders: prng.chance(1, 2),
    pauses: prng.chance(1, 2),
    aborts: prng.chance(1, 4),
    earlyCloses: prng.chance(1, 4),
    echoes: prng.chance(1, 2),
    requests: prng.chance(1, 2),
  };
}

/** Writes that one program makes at most, so that tiny ones do not make a run endless. */
const WRITES_MAX = 400;

type Draft = { -readonly [key in keyof AppPlan]: AppPlan[key] };

function drawWriting(plan: Draft, features: AppFeatures, prng: Prng): void {
  if (features.tinyWrites && prng.chance(1, 3)) {
    plan.writeBytesMin = 1;
    plan.writeBytesMax = prng.between(1, 64);
  } else if (features.hugeWrites && prng.chance(1, 3)) {
    plan.writeBytesMin = 16_384;
    plan.writeBytesMax = 65_536;
  } else {
    plan.writeBytesMin = 1;
    plan.writeBytesMax = prng.between(100, 8_192);
  }
  plan.writeGapUs = features.pauses && prng.chance(1, 3) ? prng.between(1, 50_000) : 0;
  const average = (plan.writeBytesMin + plan.writeBytesMax) >> 1;
  plan.sendBytes = Math.min(plan.sendBytes, WRITES_MAX * average);
}

function drawReading(plan: Draft, features: AppFeatures, prng: Prng): void {
  if (features.pauses && prng.chance(1, 4)) plan.readDelayUs = prng.between(0, 5_000_000);
  if (!features.slowReaders || !prng.chance(1, 3)) return;
  plan.readBytesMin = 1;
  plan.readBytesMax = prng.between(1, 4_096);
  plan.readGapUs = prng.between(1, 200_000);
}

function drawEnding(plan: Draft, features: AppFeatures, prng: Prng): void {
  plan.closes = prng.chance(1, 3) ? "afterPeer" : "half";
  if (features.earlyCloses && prng.chance(1, 4)) plan.closes = "early";
  if (!features.aborts || !prng.chance(1, 4)) return;
  if (prng.chance(1, 2)) plan.abortAfterBytes = prng.below(100_000);
  else plan.abortAfterUs = prng.below(5_000_000);
}

function drawOne(features: AppFeatures, bytesMax: number, prng: Prng): Draft {
  const plan: Draft = { ...QUIET_APP };
  // Most streams are short, some are long, some carry nothing.
  plan.sendBytes = prng.chance(1, 8) ? 0 : prng.below(prng.between(1, bytesMax));
  plan.startDelayUs = features.pauses ? prng.below(2_000_000) : 0;
  drawWriting(plan, features, prng);
  drawReading(plan, features, prng);
  drawEnding(plan, features, prng);
  return plan;
}

/** Makes writes large enough that `bytes` take no more than `WRITES_MAX` of them, about. */
function withWritesFor(bytes: number, plan: AppPlan): AppPlan {
  return { ...plan, writeBytesMax: Math.max(plan.writeBytesMax, Math.ceil(2 * bytes / WRITES_MAX)) };
}

/** Draws the programs at both ends of a connection, so that their plans come to an end together. Units: bytes of one stream. */
export function drawAppPair(features: AppFeatures, bytesMax: number, prng: Prng): [client: AppPlan, server: AppPlan] {
  const client = drawOne(features, bytesMax, prng);
  const server = drawOne(features, bytesMax, prng);
  if (features.requests && prng.chance(1, 3)) {
    const shape = {
      rounds: prng.between(1, 20),
      requestBytes: prng.between(1, 3_000),
      responseBytes: prng.between(1, prng.chance(1, 4) ? 20_000 : 2_000),
    };
    const asking = withWritesFor(shape.rounds * shape.requestBytes, client);
    const answering = withWritesFor(shape.rounds * shape.responseBytes, server);
    return [
      { ...asking, ...shape, kind: "request", closes: client.closes === "afterPeer" ? "half" : client.closes },
      { ...answering, ...shape, kind: "respond" },
    ];
  }
  if (features.echoes && prng.chance(1, 3)) {
    // An echo ends after its peer, which must therefore end by itself.
    const echoing = withWritesFor(client.sendBytes, server);
    return [{ ...client, closes: "half" }, { ...echoing, kind: "echo", closes: "afterPeer" }];
  }
  // Two that both wait for the other's end wait for ever.
  if (client.closes === "afterPeer" && server.closes === "afterPeer") return [{ ...client, closes: "half" }, server];
  return [client, server];
}
