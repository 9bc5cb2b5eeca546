import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { FakeIpKeeper, fakeIpPath, readFakeIps, writeFakeIps } from "../../core/host/fake_ip_file.ts";
import { parsePrefix } from "../../core/base/ip_address.ts";
import { FakeIpPool } from "../../core/dns/fake_ip_pool.ts";

Deno.test("writeFakeIps() keeps what readFakeIps() gives a later pool", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = fakeIpPath(join(folder, "config.yaml"));
    assertEquals(path, join(folder, "weir-fake-ip.json"));
    const range = parsePrefix("198.18.0.0/16")!;
    const pool = new FakeIpPool(range);
    const addresses = ["a.test", "b.test", "c.test"].map((name) => pool.addressOf(name));
    await writeFakeIps(path, pool.state());
    await writeFakeIps(path, pool.state());
    const later = new FakeIpPool(range);
    later.restore((await readFakeIps(path))!);
    assertEquals(["a.test", "b.test", "c.test"].map((name) => later.addressOf(name)), addresses);
    assertEquals(Array.from(Deno.readDirSync(folder), ({ name }) => name), ["weir-fake-ip.json"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

const BROKEN = [
  "",
  "{",
  "null",
  "[]",
  '{"range":1}',
  '{"range":"x","next":4,"entries":[[1]]}',
  '{"range":"x","next":4,"entries":[["a",1]]}',
];

Deno.test("readFakeIps() answers nothing for what is no such file", async () => {
  const path = await Deno.makeTempFile();
  try {
    assertEquals(await readFakeIps(`${path}-absent`), undefined);
    for (const text of BROKEN) {
      await Deno.writeTextFile(path, text);
      assertEquals(await readFakeIps(path), undefined, text);
    }
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("FakeIpKeeper writes when there is something new, and says so when it cannot", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const pool = new FakeIpPool(parsePrefix("198.18.0.0/16")!);
    const path = join(folder, "kept.json");
    const failures: string[] = [];
    const keeper = new FakeIpKeeper(path, () => pool.state(), (message) => failures.push(message));
    pool.addressOf("a.test");
    keeper.start();
    await keeper.keep();
    assertEquals((await readFakeIps(path))?.entries.length, 1);
    await Deno.remove(path);
    pool.addressOf("a.test");
    await keeper.keep();
    assertEquals(await readFakeIps(path), undefined);
    pool.addressOf("b.test");
    await keeper.stop();
    assertEquals((await readFakeIps(path))?.entries.length, 2);
    await Deno.mkdir(`${path}.new`);
    pool.addressOf("c.test");
    await keeper.keep();
    assertEquals(failures.length, 1);
    await Deno.remove(`${path}.new`);
    await keeper.keep();
    assertEquals((await readFakeIps(path))?.entries.length, 3);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
