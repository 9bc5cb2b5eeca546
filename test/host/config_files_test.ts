import { assertEquals, assertRejects } from "@std/assert";
import { ConfigFileError } from "../../core/config/files.ts";
import { HostConfigFiles } from "../../core/host/config_files.ts";

const files = new HostConfigFiles();

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("HostConfigFiles.read() returns all bytes of a file when it is not larger than the bound", () =>
  withFolder(async (folder) => {
    const bytes = new Uint8Array(100_000).map((_, i) => i);
    await Deno.writeFile(`${folder}/a`, bytes);
    assertEquals(await files.read(`${folder}/a`, 100_000), bytes);
    await Deno.writeFile(`${folder}/empty`, new Uint8Array());
    assertEquals((await files.read(`${folder}/empty`, 0)).length, 0);
  }));

Deno.test("HostConfigFiles.read() says why when a file cannot be read", () =>
  withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/a`, "1234");
    const failure = (path: string, max = 10) => assertRejects(() => files.read(path, max), ConfigFileError);
    const absent = await failure(`${folder}/b`);
    assertEquals([absent.message, absent.absent], ["there is no such file", true]);
    const below = await failure(`${folder}/a/b`);
    assertEquals([below.message, below.absent], ["there is no such file", true]);
    const directory = await failure(folder);
    assertEquals([directory.message, directory.absent], ["it is a folder, expected a file", false]);
    assertEquals((await failure(`${folder}/a`, 3)).message, "it is larger than 3 bytes");
  }));

Deno.test("HostConfigFiles.read() ends when a device never does", { ignore: Deno.build.os === "windows" }, async () => {
  const error = await assertRejects(() => files.read("/dev/zero", 1_000_000), ConfigFileError);
  assertEquals(error.message, "it is larger than 1000000 bytes");
});

Deno.test("HostConfigFiles.resolve() starts from the folder of the base file", () => {
  const full = files.resolve("/etc/weir/config.yaml", "lists/a.txt").replaceAll("\\", "/").replace(/^[A-Z]:/, "");
  assertEquals(full, "/etc/weir/lists/a.txt");
  if (Deno.build.os !== "windows") assertEquals(files.resolve("/etc/weir/config.yaml", "/srv/a.txt"), "/srv/a.txt");
});
