/** What goes into a policy's worker, and what comes out: the messages of both sides. */
import type { Metadata } from "../classify/facts.ts";
import type { ReadAnswer } from "./answer.ts";
import type { ReadDnsAnswer } from "./dns_answer.ts";
import type { LinkedExport } from "./module_graph.ts";
import type { DnsQuestion } from "./policy.ts";

/** One linked module. */
export interface BundleModule {
  /** A generator function's source; it names itself in stacks by a `sourceURL`. */
  readonly code: string;
  /** What the module sees as `import.meta.url`. */
  readonly url: string;
  readonly awaits: boolean;
  /** For each of its requests the module that answers it. */
  readonly dependencies: readonly number[];
  readonly exports: readonly LinkedExport[];
}

/** A whole policy, ready to run. */
export interface Bundle {
  readonly modules: readonly BundleModule[];
  readonly order: readonly number[];
  /** Index of `core/policy/runtime.ts`. */
  readonly runtime: number;
  /** Index of the user's script. */
  readonly entry: number;
}

/** An error as it crosses the border. */
export interface SentError {
  readonly message: string;
  readonly stack: string;
}

/** Bounds that hold inside the worker. Units: UTF-16 code units, lines per call, ms. */
export interface WorkerLimits {
  readonly loadMs: number;
  readonly callMs: number;
  readonly textLength: number;
  readonly logLines: number;
}

/** To the worker. `secret` marks the answers as the worker's own: the script does not know it. */
export type ToWorker =
  | { readonly kind: "load"; readonly secret: string; readonly limits: WorkerLimits; readonly bundle: Bundle }
  | { readonly kind: "call"; readonly id: number; readonly meta: Metadata }
  | { readonly kind: "callDns"; readonly id: number; readonly question: DnsQuestion };

/** From the worker. The host checks each field: a script might find a way to send something else. */
export type FromWorker =
  & { readonly secret: string }
  & (
    | {
      readonly kind: "loaded";
      readonly rules: readonly (readonly [text: string, origin: string])[];
      readonly onConnection: boolean;
      readonly onDns: boolean;
    }
    | { readonly kind: "failed"; readonly error: SentError }
    /** The call with this id waits for a promise. */
    | { readonly kind: "pending"; readonly id: number }
    | {
      readonly kind: "answer";
      readonly id: number;
      readonly via: string | undefined;
      readonly program: ReadAnswer["program"];
    }
    | { readonly kind: "dnsAnswer"; readonly id: number; readonly answer: ReadDnsAnswer | undefined }
    | { readonly kind: "nonsense"; readonly id: number; readonly message: string }
    | { readonly kind: "threw"; readonly id: number; readonly error: SentError }
    /** The call was ended because it ran too long. */
    | { readonly kind: "late"; readonly id: number; readonly error: SentError }
    /** An error or a rejection that nobody waited for. */
    | { readonly kind: "uncaught"; readonly error: SentError }
    | { readonly kind: "log"; readonly level: string; readonly text: string; readonly stack: string }
    /** Units: bytes. */
    | { readonly kind: "memory"; readonly heap: number }
  );
