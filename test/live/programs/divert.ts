/**
 * The live engine over the packet queue of a network namespace: `divert.ts NAMESPACE FILTER CONFIG netstack|redirect`. What rules send to a proxy ends
 * here, as there a proxy's connection begins, and is dialed directly from where this program runs; everything else goes on as it was. It writes each
 * decision, and its counts when it is stopped.
 */
import type { Command } from "../../../core/act/command.ts";
import { formatIp } from "../../../core/base/ip_address.ts";
import { loadConfigured } from "../../../core/cli/configured.ts";
import { namePolicyOf, sniffOptionsOf } from "../../../core/config/sniffing.ts";
import { HostConfigFiles } from "../../../core/host/config_files.ts";
import { Dialer } from "../../../core/host/dial.ts";
import { LiveEngine } from "../../../core/host/live_engine.ts";
import { PolicyHost } from "../../../core/host/policy_host.ts";
import { ProcessLookup } from "../../../core/host/process_lookup.ts";
import { createQuicCrypto } from "../../../core/host/quic_crypto.ts";
import { monotonicClock, RunLoop } from "../../../core/host/run_loop.ts";
import { untilStopped } from "../../../core/host/stop_signal.ts";
import { openReflectListeners } from "../../../core/host/system_listener.ts";
import { openNfqueue } from "../../../ffi/linux/nfqueue.ts";

const [namespace, filter, configPath, mode] = Deno.args;
const uint32 = () => crypto.getRandomValues(new Uint32Array(1))[0]!;
const { config, issues } = await loadConfigured(
  { config: configPath, policy: undefined },
  new HostConfigFiles(),
  (path) => PolicyHost.load(path),
);
if (config === undefined) throw new Error(JSON.stringify(issues));
const device = openNfqueue({
  name: "queue",
  addresses: [],
  mtu: 65_535,
  routes: [],
  sources: [],
  offload: false,
  namespace,
  divert: { filter: filter!, priority: 0 },
});
const lookup = new ProcessLookup(device.processes!, monotonicClock);
const loop = new RunLoop(device.adapter);
const listen = (hostname: string) => device.inside!(() => Deno.listen({ hostname, port: 0 }));
const live = new LiveEngine({
  adapter: device.adapter,
  loop,
  dialer: new Dialer(),
  system: mode === "redirect" ? openReflectListeners(listen) : undefined,
  lookups: {
    resolve: () => Promise.resolve([]),
    findProcess: (facts) => lookup.findProcess(facts),
    findProcessNow: (facts) => lookup.findProcessNow(facts),
    askPolicy: undefined,
  },
  decider: config.decider,
  classify: {
    type: "Redir",
    sniff: sniffOptionsOf(config.sniffer),
    names: namePolicyOf(config.sniffer),
    crypto: createQuicCrypto(),
    secret: uint32(),
  },
  uint32,
  observer: {
    flowStarted: () => {},
    flowDecided: (_flow, { facts }, { verdict }) =>
      console.log(
        `${facts.network} ${facts.process} → ${
          facts.destinationIp === undefined ? facts.host : formatIp(facts.destinationIp)
        }:${facts.destinationPort} ${verdict.target} ${verdict.rule}`,
      ),
    flowEnded: () => {},
  },
  onCarried: (_facts, { end, upload, download }) => console.log(`carried: ${end} ${upload} ${download}`),
});
const { commands } = live.engine;
const push = commands.push.bind(commands);
commands.push = (...added: Command[]) =>
  push(
    ...added.map((each): Command =>
      each.kind === "dial" ? { ...each, verdict: { ...each.verdict, action: "direct" } } : each
    ),
  );

const stop = new AbortController();
untilStopped(stop.signal).then(() => stop.abort());
console.log("divert is up");
try {
  await loop.run(live, stop.signal);
} finally {
  live.close();
  device.close();
  console.log(`counts ${JSON.stringify(device.adapter.counts)}`);
}
Deno.exit(0);
