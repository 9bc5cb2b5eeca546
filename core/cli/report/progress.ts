/** The progress bar of long work: on standard error, only when that is a terminal, and only after half a second. */
import { formatBytes, formatCount, formatDurationUs, formatShare } from "./format.ts";
import { padTo } from "./width.ts";

/** Work shorter than this shows nothing. Units: ms. */
const SHOW_AFTER_MS = 500;

/** Least time between two drawings. Units: ms. */
const REDRAW_MS = 100;

const BAR_CELLS = 24;
const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** Where a bar is drawn. `isTerminal` false: nothing is ever written. */
export interface ProgressIo {
  readonly isTerminal: boolean;
  /** Units: cells. */
  readonly columns: number;
  write(text: string): void;
}

/** One bar, redrawn in place. The clock is the caller's: every `nowMs` is a monotonic time in milliseconds. */
export class Progress {
  readonly #io: ProgressIo;
  readonly #bytesTotal: number;
  readonly #startedMs: number;
  #drawnMs = -Infinity;
  #shown = false;
  #ended = false;

  /** `bytesTotal` 0: the size is not known (a pipe), so that only counts and speed are shown. */
  constructor(io: ProgressIo, bytesTotal: number, startedMs: number) {
    this.#io = io;
    this.#bytesTotal = bytesTotal;
    this.#startedMs = startedMs;
  }

  /** Draws the bar if it is time to. Cheap enough to call per batch of packets. */
  update(bytesDone: number, packets: number, nowMs: number): void {
    if (this.#ended || !this.#io.isTerminal) return;
    const elapsedMs = nowMs - this.#startedMs;
    if (elapsedMs < SHOW_AFTER_MS || nowMs - this.#drawnMs < REDRAW_MS) return;
    this.#drawnMs = nowMs;
    this.#shown = true;
    // The last cell stays free: writing into it makes some terminals begin a new line.
    const line = progressLine(bytesDone, this.#bytesTotal, packets, elapsedMs, this.#io.columns - 1);
    this.#io.write(`\r${line}\x1b[K`);
  }

  /** Wipes the bar away; later updates do nothing. */
  done(): void {
    if (this.#shown && !this.#ended) this.#io.write("\r\x1b[K");
    this.#ended = true;
  }
}

function progressLine(bytesDone: number, bytesTotal: number, packets: number, elapsedMs: number, room: number): string {
  const perSecond = bytesDone / elapsedMs * 1000;
  const parts: string[] = [];
  if (bytesTotal > 0) {
    const share = Math.min(1, bytesDone / bytesTotal);
    parts.push(bar(share), padTo(formatShare(share, 1), 6, "right"));
    parts.push(`${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)}`);
    if (bytesDone > 0 && share < 1) parts.push(`${formatDurationUs((bytesTotal - bytesDone) / perSecond * 1e6)} left`);
  } else {
    parts.push(formatBytes(bytesDone));
  }
  parts.push(`${formatCount(packets)} packets`, `${formatBytes(perSecond)}/s`);
  let line = parts[0]!;
  for (const part of parts.slice(1)) {
    if (line.length + 2 + part.length > room) break; // every part is narrow characters only
    line += `  ${part}`;
  }
  return line.slice(0, Math.max(0, room));
}

function bar(share: number): string {
  const eighths = Math.floor(share * BAR_CELLS * 8);
  const full = Math.floor(eighths / 8);
  return `▕${("█".repeat(full) + EIGHTHS[eighths % 8]).padEnd(BAR_CELLS)}▏`;
}
