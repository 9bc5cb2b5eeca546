/**
 * A real Chromium, driven over its DevTools protocol.
 *
 * Source: Chrome DevTools Protocol, domains Target, Page, Runtime, Network, Log, Emulation and Input.
 */

const CANDIDATES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

const FLAGS = [
  "--headless=new",
  "--no-sandbox", // tests in containers run as root, where Chromium's sandbox does not start
  "--disable-gpu",
  "--disable-quic",
  "--disable-dev-shm-usage",
  "--no-first-run",
  "--no-default-browser-check",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-default-apps",
  "--disable-extensions",
  "--disable-sync",
  "--hide-scrollbars",
  "--remote-debugging-port=0",
];

const START_MS_MAX = 30_000;
const COMMAND_MS_MAX = 30_000;

/** Where Chromium is: $WEIR_CHROMIUM, else the first of its usual names on the path; undefined when there is none. */
export async function findChromium(): Promise<string | undefined> {
  const named = Deno.env.get("WEIR_CHROMIUM");
  for (const name of named === undefined ? CANDIDATES : [named]) {
    try {
      const { success } = await new Deno.Command(name, { args: ["--version"], stdout: "null", stderr: "null" })
        .output();
      if (success) return name;
    } catch {
      // not on the path: the next name
    }
  }
  return undefined;
}

/** An event of the protocol. */
interface ProtocolEvent {
  readonly method: string;
  // deno-lint-ignore no-explicit-any
  readonly params: any;
  readonly sessionId?: string;
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
  timer: ReturnType<typeof setTimeout>;
}

/** One tab. */
export interface Page {
  /** What went wrong or out: console errors and warnings, exceptions, requests other than the page's own file and `data:`. */
  readonly problems: string[];
  open(url: string): Promise<void>;
  /** Evaluates an expression in the page and gives back its JSON value; a promise is awaited. */
  run<T>(expression: string): Promise<T>;
  screenshot(): Promise<Uint8Array>;
  /** Units: CSS pixels. */
  resize(width: number, height: number, phone?: boolean): Promise<void>;
  colorScheme(scheme: "light" | "dark"): Promise<void>;
  media(type: "" | "print"): Promise<void>;
  /** Presses one key as a person would. */
  press(key: "Enter" | "Tab" | "Space"): Promise<void>;
  /** The page on paper, as PDF. */
  print(): Promise<Uint8Array>;
}

/** A running browser. Disposing it ends the process that was started, by its own handle, and removes its profile. */
export class Chromium implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #profile: string;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, Waiting>();
  readonly #listeners = new Map<string, (event: ProtocolEvent) => void>();
  #lastId = 0;

  private constructor(process: Deno.ChildProcess, profile: string, socket: WebSocket) {
    this.#process = process;
    this.#profile = profile;
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = () => {
      for (const { reject } of this.#waiting.values()) {
        reject(new Error("Cannot go on: Chromium closed the connection"));
      }
    };
  }

  /** Starts a browser with an empty profile. */
  static async start(program: string): Promise<Chromium> {
    const profile = await Deno.makeTempDir({ prefix: "weir-chromium-" });
    const process = new Deno.Command(program, {
      args: [...FLAGS, `--user-data-dir=${profile}`, "about:blank"],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    try {
      const socket = new WebSocket(await debuggerAddress(profile));
      await new Promise<void>((resolve, reject) => {
        socket.onopen = () => resolve();
        socket.onerror = () => reject(new Error("Cannot reach Chromium's debugger"));
      });
      return new Chromium(process, profile, socket);
    } catch (error) {
      process.kill("SIGKILL");
      await process.status;
      await removeProfile(profile);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.send("Browser.close").catch(() => undefined);
    const killer = setTimeout(() => this.#process.kill("SIGKILL"), 5000);
    await this.#process.status;
    clearTimeout(killer);
    for (const { timer } of this.#waiting.values()) clearTimeout(timer);
    this.#socket.close();
    await removeProfile(this.#profile);
  }

  // deno-lint-ignore no-explicit-any
  send(method: string, params: Record<string, unknown> = {}, sessionId?: string): Promise<any> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Error(`Cannot run ${method}: no answer`));
      }, COMMAND_MS_MAX);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }));
    });
  }

  // deno-lint-ignore no-explicit-any
  #receive(message: any): void {
    if (message.id === undefined) {
      this.#listeners.get(message.sessionId ?? "")?.(message);
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (waiting === undefined) return;
    clearTimeout(waiting.timer);
    if (message.error === undefined) waiting.resolve(message.result);
    else waiting.reject(new Error(message.error.message));
  }

  /** A new empty tab. */
  async page(): Promise<Page> {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const send = (method: string, params: Record<string, unknown> = {}) => this.send(method, params, sessionId);
    const problems: string[] = [];
    let own = "";
    let loaded = () => {};
    this.#listeners.set(sessionId, ({ method, params }) => {
      if (method === "Page.loadEventFired") loaded();
      else if (method === "Network.requestWillBeSent") {
        const { url } = params.request;
        if (url !== own && !url.startsWith("data:")) problems.push(`request ${url}`);
      } else if (method === "Runtime.exceptionThrown") {
        const { text, exception } = params.exceptionDetails;
        problems.push(`exception ${text} ${exception?.description ?? ""}`);
      } else if (method === "Runtime.consoleAPICalled") problems.push(`console.${params.type}`);
      else if (method === "Log.entryAdded") problems.push(`log ${params.entry.level} ${params.entry.text}`);
      else if (method === "Page.javascriptDialogOpening") problems.push(`dialog ${params.message}`);
    });
    for (const domain of ["Page", "Runtime", "Network", "Log"]) await send(`${domain}.enable`);
    const features = { media: "", scheme: "light" };
    const emulate = () =>
      send("Emulation.setEmulatedMedia", {
        media: features.media,
        features: [{ name: "prefers-color-scheme", value: features.scheme }],
      });
    return {
      problems,
      async open(url) {
        own = url;
        const done = new Promise<void>((resolve) => loaded = resolve);
        const { errorText } = await send("Page.navigate", { url });
        if (errorText !== undefined) throw new Error(`Cannot open the page: ${errorText}`);
        await done;
      },
      async run(expression) {
        const answer = await send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
        if (answer.exceptionDetails === undefined) return answer.result.value;
        throw new Error(answer.exceptionDetails.exception?.description ?? answer.exceptionDetails.text);
      },
      screenshot: async () => fromBase64((await send("Page.captureScreenshot", { format: "png" })).data),
      async resize(width, height, phone = false) {
        await send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: phone });
      },
      async colorScheme(scheme) {
        features.scheme = scheme;
        await emulate();
      },
      async media(type) {
        features.media = type;
        await emulate();
      },
      async press(key) {
        const text = { Enter: "\r", Tab: "\t", Space: " " }[key];
        const code = { Enter: 13, Tab: 9, Space: 32 }[key];
        const event = { key: key === "Space" ? " " : key, code: key, windowsVirtualKeyCode: code };
        await send("Input.dispatchKeyEvent", { type: "keyDown", ...event, text });
        await send("Input.dispatchKeyEvent", { type: "keyUp", ...event });
      },
      print: async () => fromBase64((await send("Page.printToPDF", { printBackground: true })).data),
    };
  }
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

async function removeProfile(profile: string): Promise<void> {
  // Chromium's helpers may still write for a moment after their parent is gone.
  for (let attempt = 0; attempt < 20; attempt++) {
    try {
      await Deno.remove(profile, { recursive: true });
      return;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** Chromium writes the port that it chose into its profile. */
async function debuggerAddress(profile: string): Promise<string> {
  for (let waitedMs = 0; waitedMs < START_MS_MAX; waitedMs += 50) {
    try {
      const [port, path] = (await Deno.readTextFile(`${profile}/DevToolsActivePort`)).split("\n");
      if (path) return `ws://127.0.0.1:${port}${path}`;
    } catch {
      // not written yet
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("Cannot start Chromium: it named no debugging port");
}
