/** Checks what comes out of a policy's worker: a script might find a way to send messages itself. */
import { POLICY_RULE_LENGTH_MAX, POLICY_RULES_MAX, POLICY_TEXT_LENGTH_MAX } from "../base/limits.ts";
import type { FromWorker } from "../policy/bundle.ts";

type Fields = Readonly<Record<string, unknown>>;

/** What `isFromWorker` knows to be so. `level` is one of four. */
export type CheckedMessage = FromWorker extends infer M
  ? M extends { kind: "log" } ? M & { readonly level: "debug" | "info" | "warning" | "error" } : M
  : never;

const LEVELS: readonly unknown[] = ["debug", "info", "warning", "error"];

function isText(value: unknown, max = POLICY_TEXT_LENGTH_MAX + 200): boolean {
  return typeof value === "string" && value.length <= max;
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isError(value: unknown): boolean {
  return typeof value === "object" && value !== null && isText((value as Fields).message) &&
    isText((value as Fields).stack);
}

function isRules(value: unknown): boolean {
  return Array.isArray(value) && value.length <= POLICY_RULES_MAX &&
    value.every((rule: unknown) =>
      Array.isArray(rule) && isText(rule[0], POLICY_RULE_LENGTH_MAX) && typeof rule[1] === "string"
    );
}

function isId(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function hasFields(message: Fields): boolean {
  switch (message.kind) {
    case "loaded":
      return isRules(message.rules) && typeof message.onConnection === "boolean" && typeof message.onDns === "boolean";
    case "failed":
    case "uncaught":
      return isError(message.error);
    case "pending":
    case "answer":
      return isId(message.id);
    case "dnsAnswer":
      return isId(message.id) && (message.answer === undefined || isObject(message.answer));
    case "nonsense":
      return isId(message.id) && isText(message.message);
    case "threw":
    case "late":
      return isId(message.id) && isError(message.error);
    case "log":
      return LEVELS.includes(message.level) && isText(message.text) && isText(message.stack);
    case "memory":
      return typeof message.heap === "number";
  }
  return false;
}

/** True when a message is one of the worker's own: it bears the secret, and every field is of its kind. */
export function isFromWorker(data: unknown, secret: string): data is CheckedMessage {
  return typeof data === "object" && data !== null && (data as Fields).secret === secret && hasFields(data as Fields);
}
