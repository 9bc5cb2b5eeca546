import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ConfigFileError, type RemoteFile } from "../../core/config/files.ts";
import { downloadCopy } from "../../core/host/download_copy.ts";

const PLACE = { file: "c.yaml", line: 1, column: 1 };

/** A server whose list and tag the test sets, and what it was asked. */
async function withServer(
  work: (server: { body: string; status: number; asked: Headers[]; url: string; path: string }) => Promise<void>,
) {
  const folder = await Deno.makeTempDir();
  const world = { body: "one", status: 200, asked: [] as Headers[], url: "", path: `${folder}/providers/list` };
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, (request) => {
    world.asked.push(request.headers);
    const etag = `"${world.body}"`;
    if (request.headers.get("if-none-match") === etag) return new Response(null, { status: 304 });
    return new Response(world.body, { status: world.status, headers: { etag } });
  });
  world.url = `http://127.0.0.1:${server.addr.port}/list?token=secret`;
  try {
    await work(world);
  } finally {
    await server.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
}

function remoteOf(url: string, intervalS = 3_600): RemoteFile {
  return { url, headers: [["X-Token", "t"]], intervalS, place: PLACE };
}

async function makeOld(path: string): Promise<void> {
  const before = new Date(Date.now() - 7_200_000);
  await Deno.utime(path, before, before);
}

Deno.test("downloadCopy() fetches once, and again only when the copy is too old and has changed", async () => {
  await withServer(async (server) => {
    const remote = remoteOf(server.url);
    assertEquals(await downloadCopy(remote, server.path, 1_000), undefined);
    assertEquals(await Deno.readTextFile(server.path), "one");
    assertEquals(server.asked[0]!.get("x-token"), "t");
    await downloadCopy(remote, server.path, 1_000);
    assertEquals(server.asked.length, 1);
    await makeOld(server.path);
    await downloadCopy(remote, server.path, 1_000);
    assertEquals(server.asked[1]!.get("if-none-match"), '"one"');
    await downloadCopy(remote, server.path, 1_000);
    assertEquals(server.asked.length, 2, "the copy counts as new again");
    server.body = "two";
    await makeOld(server.path);
    await downloadCopy(remote, server.path, 1_000);
    assertEquals(await Deno.readTextFile(server.path), "two");
  });
});

Deno.test("downloadCopy() keeps an old copy when there is no new one, and says so without secrets", async () => {
  await withServer(async (server) => {
    const remote = remoteOf(server.url);
    await downloadCopy(remote, server.path, 1_000);
    await makeOld(server.path);
    server.status = 500;
    server.body = "broken";
    const trouble = await downloadCopy(remote, server.path, 1_000);
    assertStringIncludes(trouble!, "answered 500");
    assertEquals(trouble!.includes("secret"), false);
    assertEquals(await Deno.readTextFile(server.path), "one");
  });
});

Deno.test("downloadCopy() refuses what is too large, and fails where there is no copy", async () => {
  await withServer(async (server) => {
    server.body = "x".repeat(2_000);
    const error = await assertRejects(() => downloadCopy(remoteOf(server.url), server.path, 1_000), ConfigFileError);
    assertStringIncludes(error.message, "more than 1000 bytes");
    await assertRejects(() => Deno.stat(server.path), Deno.errors.NotFound);
  });
});
