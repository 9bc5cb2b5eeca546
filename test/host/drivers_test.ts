import { assert, assertEquals, assertRejects } from "@std/assert";
import { DRIVER_MANIFEST, type DriverPlaces, locateDriver, sha256Hex } from "../../core/host/drivers.ts";

const LIBRARY = new TextEncoder().encode("MZ a library");
const DRIVER = new TextEncoder().encode("MZ a driver");

interface World extends DriverPlaces {
  readonly embeddedFolder: string;
}

/** Folders like those of an executable with embedded drivers; the caller's work runs in them. */
async function inWorld(files: Readonly<Record<string, Uint8Array>>, work: (world: World) => Promise<void>) {
  const root = await Deno.makeTempDir();
  try {
    const embeddedFolder = `${root}/embedded`;
    await Deno.mkdir(`${root}/program`);
    await Deno.mkdir(embeddedFolder);
    const hashes: Record<string, string> = {};
    for (const [name, bytes] of Object.entries(files)) {
      await Deno.writeFile(`${embeddedFolder}/${name}`, bytes);
      hashes[name] = await sha256Hex(Uint8Array.from(bytes));
    }
    await Deno.writeTextFile(`${embeddedFolder}/${DRIVER_MANIFEST}`, JSON.stringify({ files: hashes }));
    const embedded = new URL(`file://${embeddedFolder}/`);
    await work({ programFolder: `${root}/program`, embedded, unpackFolder: `${root}/unpacked`, embeddedFolder });
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("sha256Hex() agrees with FIPS 180-4's example", async () => {
  assertEquals(
    await sha256Hex(new TextEncoder().encode("abc")),
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});

Deno.test("locateDriver() prefers the file beside the executable", async () => {
  await inWorld({ "wintun.dll": LIBRARY }, async (world) => {
    await Deno.writeFile(`${world.programFolder}/wintun.dll`, DRIVER);
    const found = await locateDriver("wintun.dll", world);
    assertEquals(found.path, `${world.programFolder}/wintun.dll`);
    assertEquals(found.sha256, await sha256Hex(DRIVER));
    assert(!found.isEmbedded);
  });
});

Deno.test("locateDriver() unpacks a library with its companion, once", async () => {
  await inWorld({ "WinDivert.dll": LIBRARY, "WinDivert64.sys": DRIVER }, async (world) => {
    const found = await locateDriver("WinDivert.dll", world);
    assert(found.isEmbedded && found.path !== undefined);
    assertEquals(await Deno.readFile(found.path), LIBRARY);
    const companion = found.path.replace("WinDivert.dll", "WinDivert64.sys");
    assertEquals(await Deno.readFile(companion), DRIVER);
    const before = (await Deno.stat(found.path)).mtime;
    assertEquals((await locateDriver("WinDivert.dll", world)).path, found.path);
    assertEquals((await Deno.stat(found.path)).mtime, before);
  });
});

Deno.test("locateDriver() puts a file right that somebody has changed since", async () => {
  await inWorld({ "wintun.dll": LIBRARY }, async (world) => {
    const { path } = await locateDriver("wintun.dll", world);
    await Deno.writeTextFile(path!, "something else");
    await locateDriver("wintun.dll", world);
    assertEquals(await Deno.readFile(path!), LIBRARY);
  });
});

Deno.test("locateDriver() refuses an embedded file that is not what its manifest says", async () => {
  await inWorld({ "wintun.dll": LIBRARY }, async (world) => {
    await Deno.writeTextFile(`${world.embeddedFolder}/wintun.dll`, "damaged");
    await assertRejects(() => locateDriver("wintun.dll", world), Error, "does not have the SHA-256");
  });
});

Deno.test("locateDriver() says that nothing is there", async () => {
  await inWorld({}, async (world) => {
    assertEquals((await locateDriver("wintun.dll", world)).path, undefined);
    assertEquals((await locateDriver("wintun.dll", { ...world, embedded: undefined })).path, undefined);
  });
});
