/** Reading /proc: here a folder that looks like it. */
import { assertEquals } from "@std/assert";
import { Libc } from "../../../ffi/linux/libc.ts";
import { ProcessFiles } from "../../../ffi/linux/process_files.ts";

interface FakeProcess {
  readonly links: Readonly<Record<string, string>>;
  readonly exe?: string;
  readonly stat?: string;
}

async function withFolder(
  processes: Readonly<Record<string, FakeProcess>>,
  body: (files: ProcessFiles, root: string) => void,
): Promise<void> {
  const root = await Deno.makeTempDir();
  using libc = Libc.open();
  try {
    for (const [name, { links, exe, stat }] of Object.entries(processes)) {
      await Deno.mkdir(`${root}/${name}/fd`, { recursive: true });
      for (const [fd, target] of Object.entries(links)) await Deno.symlink(target, `${root}/${name}/fd/${fd}`);
      if (exe !== undefined) await Deno.symlink(exe, `${root}/${name}/exe`);
      if (stat !== undefined) await Deno.writeTextFile(`${root}/${name}/stat`, stat);
    }
    body(new ProcessFiles(libc, root), root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

const ignore = Deno.build.os !== "linux";
const UID = ignore ? 0 : Deno.uid()!;

Deno.test({
  name: "findHolder() finds the process and the number of a socket, the recent process and the youngest first",
  ignore,
  fn: () =>
    withFolder({
      "10": { links: { "0": "/dev/null", "3": "socket:[77]", "4": "socket:[88]" } },
      "20": { links: { "5": "socket:[88]", "6": "socket:[880]", "x": "socket:[99]" } },
      "self": { links: { "3": "socket:[55]" } },
    }, (files) => {
      assertEquals(files.findHolder(77, UID, []), { processId: 10, descriptor: 3 });
      assertEquals(files.findHolder(88, UID, []), { processId: 20, descriptor: 5 });
      assertEquals(files.findHolder(88, UID, [{ processId: 10, descriptor: 3 }]), { processId: 10, descriptor: 4 });
      const recent = [{ processId: 999, descriptor: 1 }, { processId: 10, descriptor: 900 }];
      assertEquals(files.findHolder(88, UID, recent), { processId: 10, descriptor: 4 });
      // Another user's process is searched as well, only later.
      assertEquals(files.findHolder(77, UID + 1, []), { processId: 10, descriptor: 3 });
      for (const inode of [8, 99, 55, 0]) assertEquals(files.findHolder(inode, UID, []), undefined);
    }),
});

Deno.test({
  name: "isHolder() is false when the number is another file now",
  ignore,
  fn: () =>
    withFolder({ "10": { links: { "3": "socket:[77]", "4": "pipe:[77]", "5": "socket:[77" } } }, (files) => {
      const is = (descriptor: number, inode = 77) => files.isHolder({ processId: 10, descriptor }, inode);
      assertEquals([is(3), is(3, 7), is(4), is(5), is(6)], [true, false, false, false, false]);
      assertEquals(files.isHolder({ processId: 11, descriptor: 3 }, 77), false);
    }),
});

Deno.test({
  name: "programOf() and startOf() read what proc(5) says when names are odd",
  ignore,
  fn: () => {
    const after = `S 1 1 1 0 -1 4194560 ${"0 ".repeat(12)}`;
    return withFolder({
      "10": { links: {}, exe: "/usr/bin/a b (deleted)", stat: `10 (a) b (c)) ${after}4711 0 0\n` },
      "20": { links: {}, stat: "20 (cut" },
    }, (files) => {
      assertEquals([files.programOf(10), files.startOf(10)], ["/usr/bin/a b", 4711]);
      assertEquals([files.programOf(20), files.startOf(20)], ["", undefined]);
      assertEquals([files.programOf(30), files.startOf(30), files.userOf(30)], ["", undefined, undefined]);
      assertEquals(files.userOf(10), UID);
    });
  },
});
