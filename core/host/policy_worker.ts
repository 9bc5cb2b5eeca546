/**
 * What runs inside a policy's worker, before and around the user's script. The host reads this file as text, takes its types off and starts it
 * as a `data:` module, because that is what works in every executable; so it imports nothing but types.
 *
 * The worker has no permission. What needs none all the same (Deno.exit, writing to standard output, prompt, workers, code from text and
 * with it `import()`) is taken away before the script runs.
 */
import type { Bundle, BundleModule, FromWorker, ToWorker } from "../policy/bundle.ts";
import type { Policy } from "../policy/policy.ts";
import type * as Runtime from "../policy/runtime.ts";

/** A message before the secret is added. */
type Unsigned<T> = T extends unknown ? Omit<T, "secret"> : never;
type Namespace = Record<string, unknown>;
type Getters = Record<string, () => unknown>;
type Steps = Iterator<unknown> | AsyncIterator<unknown>;
type Scope = typeof globalThis & {
  postMessage(message: unknown): void;
  Deno: { memoryUsage(): { heapUsed: number; external: number }; inspect(value: unknown, options: object): string };
};

/** Globals that stay. The language's own objects, and what neither reaches out nor waits on anything outside. */
const KEPT = new Set(
  ("Object Function Array Number parseFloat parseInt Infinity NaN undefined Boolean String Symbol Date Promise RegExp Error AggregateError " +
    "EvalError RangeError ReferenceError SyntaxError TypeError URIError SuppressedError globalThis self JSON Math Intl ArrayBuffer Uint8Array " +
    "Int8Array Uint16Array Int16Array Uint32Array Int32Array BigUint64Array BigInt64Array Uint8ClampedArray Float16Array Float32Array Float64Array " +
    "DataView Map BigInt Set Iterator WeakMap WeakSet WeakRef FinalizationRegistry Proxy Reflect Temporal DisposableStack AsyncDisposableStack " +
    "decodeURI decodeURIComponent encodeURI encodeURIComponent escape unescape isFinite isNaN console URL URLPattern URLSearchParams TextEncoder " +
    "TextDecoder structuredClone queueMicrotask setTimeout clearTimeout setInterval clearInterval atob btoa AbortController AbortSignal Event " +
    "EventTarget CustomEvent DOMException performance Performance crypto Crypto SubtleCrypto CryptoKey onunhandledrejection")
    .split(" "),
);

/** Globals of which a script learns why they are missing; the others are just not there. */
const REFUSED =
  "Deno process fetch WebSocket Worker eval require Buffer EventSource BroadcastChannel MessageChannel caches localStorage sessionStorage WebAssembly postMessage close prompt alert confirm importScripts XMLHttpRequest"
    .split(" ");

const scope = globalThis as Scope;
const post = scope.postMessage.bind(scope);
const inspect = scope.Deno.inspect;
const memoryUsage = scope.Deno.memoryUsage;
const evaluate = scope.eval;
const { setTimeout: startTimer, setInterval: startInterval, Error: PlainError, String: toText } = scope;
const clock = performance.now.bind(performance);
const { defineProperty, getOwnPropertyNames, getPrototypeOf, freeze } = Object;

/** Checks of the time between two looks at the clock. */
const CHECKS_PER_LOOK = 64;
/** Calls between two looks at the memory. */
const CALLS_PER_LOOK = 32;

let secret = "";
/** Bounds of `core/base/limits.ts`, which the host sends: this file can import nothing. */
let limits = { textLength: 0, logLines: 0, loadMs: 0, callMs: 0 };
/** Time that the script may use in one turn of the event loop. Units: ms. */
let turnMs = 0;
/** When the script began this turn; 0 before it was first looked at. Units: ms. */
let turnAt = 0;
let untilLook = 0;
let logged = 0;
let calls = 0;
let policy: Policy = {};
let runtime: typeof Runtime;

function send(message: Unsigned<FromWorker>): void {
  post({ __proto__: null, ...message, secret });
}

/** What is left of anything that was thrown. Never throws, whatever it was given. */
function sent(thrown: unknown): { message: string; stack: string } {
  try {
    if (thrown instanceof PlainError) {
      const name = TimeOver.is(thrown) ? "" : `${toText(thrown.name)}: `;
      const message = `${name}${toText(thrown.message)}`.slice(0, limits.textLength);
      return { message, stack: toText(thrown.stack ?? "").slice(0, limits.textLength) };
    }
    return { message: `${runtime.describe(thrown)} was thrown`, stack: "" };
  } catch {
    return { message: "something that cannot be read was thrown", stack: "" };
  }
}

function log(level: string, values: readonly unknown[]): void {
  if (++logged > limits.logLines) return;
  untilLook = 0; // a line with its stack takes milliseconds: 64 of them would outlast the deadline unseen
  let text: string;
  try {
    text = values.map((value) => typeof value === "string" ? value : inspect(value, { depth: 4, iterableLimit: 50 }))
      .join(" ");
  } catch (error) {
    text = `(cannot be shown: ${sent(error).message})`;
  }
  if (logged === limits.logLines) text = "… more lines are left out";
  send({
    kind: "log",
    level,
    text: text.slice(0, limits.textLength),
    stack: toText(new PlainError().stack).slice(0, limits.textLength),
  });
}

/** The script ran too long without a pause. Nothing that a script can reach makes one. */
class TimeOver extends PlainError {
  readonly #brand = true;
  /** Asks nothing of what it is given: `instanceof` would run a proxy's trap. */
  static is(thrown: unknown): thrown is TimeOver {
    return typeof thrown === "object" && thrown !== null && #brand in thrown;
  }
}

/** Every loop and function of the script comes by here. A turn that takes too long ends wherever it is, as often as it is caught. */
function tick(): void {
  if (--untilLook > 0) return;
  untilLook = CHECKS_PER_LOOK;
  const now = clock();
  if (turnAt === 0) {
    turnAt = now;
    startTimer(endTurn, 0);
  } else if (now - turnAt > turnMs) {
    untilLook = 0;
    throw new TimeOver(`it did not return within ${turnMs} ms`);
  }
}

function endTurn(): void {
  turnAt = 0;
  untilLook = CHECKS_PER_LOOK;
}

function replaceConsole(): void {
  const levels = {
    log: "info",
    info: "info",
    debug: "debug",
    trace: "debug",
    dir: "info",
    table: "info",
    warn: "warning",
    error: "error",
  };
  const made: Record<string, unknown> = {};
  for (const [name, level] of Object.entries(levels)) made[name] = (...values: unknown[]) => log(level, values);
  made.assert = (condition: unknown, ...values: unknown[]) =>
    condition ? undefined : log("error", ["Assertion failed:", ...values]);
  for (
    const name of ["group", "groupEnd", "groupCollapsed", "time", "timeEnd", "timeLog", "count", "countReset", "clear"]
  ) made[name] = () => {};
  defineProperty(scope, "console", { value: freeze(made), configurable: false, writable: false });
}

function refuse(name: string): never {
  throw new TypeError(`Cannot use ${name}: a policy runs without files, network, processes and code from text`);
}

/** `Function` and its kin make code from text, and code can `import()`; they stay as names for `instanceof` only. */
function closeConstructors(): void {
  const kinds = [function () {}, async function () {}, function* () {}, async function* () {}];
  for (const kind of kinds) {
    const prototype = getPrototypeOf(kind);
    const closed = function () {
      refuse("Function");
    };
    defineProperty(closed, "name", { value: prototype.constructor.name });
    defineProperty(closed, "prototype", { value: prototype, writable: false });
    defineProperty(prototype, "constructor", { value: closed, writable: false, configurable: false });
    if (kind === kinds[0]) defineProperty(scope, "Function", { value: closed, writable: false, configurable: false });
  }
}

/** Takes away every global that is not kept. */
function lock(): void {
  for (
    let at: object = scope;
    at !== null && at !== EventTarget.prototype && at !== Object.prototype;
    at = getPrototypeOf(at)
  ) {
    for (const name of getOwnPropertyNames(at)) {
      if (!KEPT.has(name) && name !== "constructor") Reflect.deleteProperty(at, name);
    }
  }
  for (const name of REFUSED) {
    defineProperty(scope, name, {
      get: () => refuse(name),
      set: () => refuse(name),
      configurable: false,
      enumerable: false,
    });
  }
  const timer =
    (start: (run: () => void, ms?: number) => unknown) => (run: unknown, ms?: number, ...values: unknown[]) => {
      if (typeof run !== "function") throw new TypeError("Cannot start the timer: a function is expected");
      return start(() => run(...values), ms);
    };
  defineProperty(scope, "setTimeout", { value: timer(startTimer), configurable: true, writable: true });
  defineProperty(scope, "setInterval", { value: timer(startInterval), configurable: true, writable: true });
  closeConstructors();
  replaceConsole();
}

function namespaceOf(
  module: BundleModule,
  getters: readonly Getters[],
  namespaces: readonly Namespace[],
  into: Namespace,
): void {
  for (const [name, index, getter] of module.exports) {
    const get = getter === null ? () => namespaces[index] : () => getters[index]![getter]!();
    defineProperty(into, name, { get, enumerable: true, configurable: false });
  }
  defineProperty(into, Symbol.toStringTag, { value: "Module" });
  Object.preventExtensions(into);
}

/** Runs the modules of a bundle as ECMAScript says: declared all, then evaluated one after the other. */
async function load({ modules, order, entry, runtime: own }: Bundle): Promise<Policy> {
  const factories = modules.map(({ code }) => evaluate(code) as (...given: unknown[]) => Steps);
  lock();
  const namespaces = modules.map((): Namespace => ({ __proto__: null }) as unknown as Namespace);
  const getters: Getters[] = modules.map(() => ({}));
  const running = modules.map(({ dependencies, url }, index) => {
    const take = (given: Getters) => {
      getters[index] = given;
    };
    const meta = { __proto__: null, url };
    const steps = factories[index]!.call(undefined, ...dependencies.map((each) => namespaces[each]), meta, tick, take);
    steps.next();
    return steps;
  });
  modules.forEach((module, index) => namespaceOf(module, getters, namespaces, namespaces[index]!));
  for (const index of order) {
    const step = running[index]!.next();
    if (modules[index]!.awaits) await step;
    if (index === own) runtime = namespaces[own] as unknown as typeof Runtime;
  }
  const found = namespaces[entry]!.default;
  if (typeof found === "object" && found !== null) return found as Policy;
  throw new TypeError(`the script exports no policy; it ends with \`export default definePolicy({ … })\``);
}

async function begin(bundle: Bundle): Promise<void> {
  try {
    turnMs = limits.loadMs;
    policy = await load(bundle);
    const { rules: source, onConnection, onDns } = policy;
    const given: unknown = typeof source === "function"
      ? source.call(policy, runtime.createRuleBuilder())
      : source ?? [];
    const rules = runtime.readRules(given);
    turnMs = limits.callMs;
    if (!Array.isArray(rules)) return send({ kind: "failed", error: { message: rules.message, stack: rules.origin } });
    send({
      kind: "loaded",
      rules,
      onConnection: typeof onConnection === "function",
      onDns: typeof onDns === "function",
    });
  } catch (error) {
    send({ kind: "failed", error: sent(error) });
  }
}

function answerDns(id: number, value: unknown): void {
  const read = runtime.readDnsAnswer(value);
  if (typeof read === "string") send({ kind: "nonsense", id, message: read });
  else send({ kind: "dnsAnswer", id, answer: read });
}

function answer(id: number, value: unknown): void {
  const read = runtime.readAnswer(value);
  if (typeof read === "string") send({ kind: "nonsense", id, message: read });
  else send({ kind: "answer", id, via: read.via, program: read.program });
}

function look(): void {
  if (++calls % CALLS_PER_LOOK !== 0) return;
  const { heapUsed, external } = memoryUsage();
  send({ kind: "memory", heap: heapUsed + external });
}

/** Runs one of the script's functions and hands on what becomes of it. */
async function run(id: number, ask: () => unknown, take: (id: number, value: unknown) => void): Promise<void> {
  logged = 0;
  endTurn();
  try {
    const value = ask();
    if (!(typeof value === "object" && value !== null && typeof (value as PromiseLike<unknown>).then === "function")) {
      take(id, value);
    } else {
      send({ kind: "pending", id });
      take(id, await value);
    }
  } catch (error) {
    send({ kind: TimeOver.is(error) ? "late" : "threw", id, error: sent(error) });
  }
  look();
}

scope.addEventListener("message", (event) => {
  const message = (event as MessageEvent<ToWorker>).data;
  event.stopImmediatePropagation();
  if (message.kind === "call") run(message.id, () => policy.onConnection!(message.meta), answer);
  else if (message.kind === "callDns") run(message.id, () => policy.onDns!(message.question), answerDns);
  else if (secret === "") {
    secret = message.secret;
    limits = message.limits;
    begin(message.bundle);
  }
});
scope.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  send({ kind: "uncaught", error: sent((event as PromiseRejectionEvent).reason) });
});
scope.addEventListener("error", (event) => {
  event.preventDefault();
  send({ kind: "uncaught", error: sent((event as ErrorEvent).error) });
});
