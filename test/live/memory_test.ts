/** What `weir run` holds after thousands of connections that have come and gone. */
import { assert, assertEquals } from "@std/assert";
import { FLOW_CLOSED_COUNT_MAX, STACK_TIME_WAIT_COUNT_MAX } from "../../core/base/limits.ts";
import { CLIENT_V4, type Lab, type Running, SERVER_V4 } from "./lab.ts";
import { liveTest, type StackName, startWebServer, WEB_PORT } from "./live_test_case.ts";

const WEIGHED = new URL("./programs/weighed_weir.ts", import.meta.url);
const CLIENT = new URL("./programs/many_connections.ts", import.meta.url);
/** What is remembered of closed connections is full after these. */
const FIRST = Math.max(FLOW_CLOSED_COUNT_MAX, STACK_TIME_WAIT_COUNT_MAX) + 1_000;
const MORE = 10_000;
/** A connection that is held costs 1,000 bytes at least; the runtime's own growth is a tenth of the bound. Units: bytes. */
const GROWTH_MAX = 200;

async function startWeighed(lab: Lab, stack: StackName): Promise<Running> {
  const weir = lab.start("middle", [
    ...[Deno.execPath(), "run", "-A", "--no-check", "--v8-flags=--expose-gc", WEIGHED.pathname],
    ...[`--netns=${lab.namespace("client")}`, `--address=${CLIENT_V4}/30`, "--route=0.0.0.0/0"],
    ...[`--stack=${stack}`, "--mtu=1500", "--log=warning"],
  ]);
  // Its words are of a level that would bring a line for each connection as well.
  for (let tries = 0; tries < 300; tries++) {
    if ((await lab.exec("client", ["ip", "-4", "route", "get", SERVER_V4])).code === 0) return weir;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`weir does not come up: ${weir.text}`);
}

async function connect(lab: Lab, count: number): Promise<void> {
  const options = ["run", "-A", "--no-check", CLIENT.pathname, SERVER_V4, String(WEB_PORT), String(count), "16"];
  // Else it would ask a name server for news of itself, and weir would keep a socket for the answer.
  const command = ["env", "DENO_NO_UPDATE_CHECK=1", Deno.execPath(), ...options];
  const { stdout, stderr } = await lab.exec("client", command, 300_000);
  assertEquals([stdout, stderr], [`carried ${count}\n`, ""]);
}

/** What the program has open, by kind. */
function filesOf(weir: Running): string[] {
  const folder = `/proc/${weir.child.pid}/fd`;
  const files = [...Deno.readDirSync(folder)].map(({ name }) => {
    try {
      return Deno.readLinkSync(`${folder}/${name}`).replace(/:.*/, "");
    } catch {
      return "gone";
    }
  });
  return files.sort();
}

/** Units: bytes of the heap; the smallest of three, as what was last dropped goes with the next collection. */
async function weigh(weir: Running, round: number): Promise<number> {
  const weights: number[] = [];
  for (let i = 1; i <= 3; i++) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    weir.child.kill("SIGUSR1");
    const said = `heap ${round * 3 + i} `;
    await weir.wrote(said);
    await new Promise((resolve) => setTimeout(resolve, 50));
    weights.push(parseInt(weir.text.split(said)[1]!));
  }
  return Math.min(...weights);
}

for (const stack of ["netstack", "system"] as const) {
  liveTest(`weir run holds nothing of ${MORE} closed connections when the stack is ${stack}`, async (lab) => {
    await startWebServer(lab);
    const weir = await startWeighed(lab, stack);
    await connect(lab, FIRST);
    const before = await weigh(weir, 0);
    const filesBefore = filesOf(weir);
    await connect(lab, MORE);
    const growth = (await weigh(weir, 1) - before) / MORE;
    console.log(`${Math.round(growth)} bytes of the heap a connection`);
    assert(growth < GROWTH_MAX, `each connection left ${growth} bytes behind`);
    assertEquals(filesOf(weir), filesBefore);
    assertEquals(await weir.stop(), 0);
  });
}
