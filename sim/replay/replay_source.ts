/** Where a replay takes its packets from. */
import type { CaptureReader } from "../capture/open.ts";

/** A capture that can be opened. */
export interface ReplaySource {
  readonly path: string;
  /** Errors: `CaptureError` when the file is no capture. */
  open(): Promise<CaptureReader>;
}
