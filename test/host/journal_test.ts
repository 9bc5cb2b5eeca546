/** What was changed is undone, whenever the program ended. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Journal, type JournalStep, parseJournal, undoJournal } from "../../core/host/journal.ts";

async function inFolder(body: (path: string, folder: string) => void): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    body(`${folder}/deeper/journal`, folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** A system with named things; undoing is idempotent. */
class System {
  readonly there = new Set<string>();
  readonly undone: string[] = [];
  readonly stuck = new Set<string>();

  undo = (step: JournalStep): void => {
    const name = String(step["name"]);
    if (this.stuck.has(name)) throw new Error(`Cannot take ${name} away: it is held`);
    this.undone.push(name);
    this.there.delete(name);
  };

  add(journal: Journal, name: string): void {
    journal.record({ kind: "thing", name }, () => {
      this.there.add(name);
    });
  }
}

Deno.test("Journal writes a step before its deed, undoes in reverse, and leaves no file", () =>
  inFolder((path) => {
    const system = new System();
    const journal = new Journal(path, system.undo);
    assert(!exists(path));
    journal.record({ kind: "thing", name: "a" }, () => {
      assertEquals(parseJournal(Deno.readTextFileSync(path)), [{ kind: "thing", name: "a" }]);
      system.there.add("a");
    });
    system.add(journal, "b");
    assertEquals(journal.steps.length, 2);
    assertEquals(journal.undoAll(), []);
    assertEquals([system.undone, system.there.size, exists(path)], [["b", "a"], 0, false]);
    assertEquals(journal.undoAll(), []);
    system.add(journal, "c");
    assertEquals(parseJournal(Deno.readTextFileSync(path)).length, 1);
    journal.undoAll();
  }));

Deno.test("Journal keeps the step of a deed that failed", () =>
  inFolder((path) => {
    const system = new System();
    const journal = new Journal(path, system.undo);
    assertThrows(
      () =>
        journal.record({ kind: "thing", name: "a" }, () => {
          throw new Error("no");
        }),
      Error,
      "no",
    );
    assertEquals(journal.undoAll(), []);
    assertEquals(system.undone, ["a"]);
  }));

Deno.test("undoJournal() undoes what a crash left, twice without harm, and keeps what it could not undo", () =>
  inFolder((path) => {
    const system = new System();
    const crashed = ["a", "b", "c"].map((name) => ({ kind: "thing", name }));
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")));
    Deno.writeTextFileSync(path, [{ weir: 1 }, ...crashed].map((line) => `${JSON.stringify(line)}\n`).join(""));
    for (const { name } of crashed) system.there.add(name);
    system.stuck.add("b");
    const left = [{ kind: "thing", name: "b" }];
    assertEquals(undoJournal(path, system.undo), { undone: 2, failures: ["Cannot take b away: it is held"], left });
    assertEquals([...system.there], ["b"]);
    assertEquals(parseJournal(Deno.readTextFileSync(path)), left);
    const next = new Journal(path, system.undo, left);
    system.add(next, "d");
    assertEquals(parseJournal(Deno.readTextFileSync(path)), [...left, { kind: "thing", name: "d" }]);
    assertEquals(next.undoAll(), ["Cannot take b away: it is held"]);
    assertEquals(parseJournal(Deno.readTextFileSync(path)), left);
    system.stuck.clear();
    assertEquals(undoJournal(path, system.undo), { undone: 1, failures: [], left: [] });
    assertEquals([system.there.size, exists(path)], [0, false]);
    assertEquals(undoJournal(path, system.undo), { undone: 0, failures: [], left: [] });
  }));

Deno.test("undoJournal() refuses a file that is no journal, and leaves it there", () =>
  inFolder((_path, folder) => {
    const path = `${folder}/other`;
    for (const text of ["hello\n", '{"weir":2}\n', "[1]\n{}\n"]) {
      Deno.writeTextFileSync(path, text);
      assertThrows(() => undoJournal(path, () => {}), Error, "it is not a journal of this version of weir; remove it");
      assert(exists(path));
    }
  }));

Deno.test("parseJournal() takes whole lines only, wherever a crash cut the file", () => {
  const steps = ["a", "b", "c"].map((name) => ({ kind: "thing", name }));
  const text = [{ weir: 1 }, ...steps].map((line) => `${JSON.stringify(line)}\n`).join("");
  for (let length = 0; length <= text.length; length++) {
    const whole = Math.max(0, text.slice(0, length).split("\n").length - 2);
    assertEquals(parseJournal(text.slice(0, length)), steps.slice(0, whole));
  }
});

Deno.test("parseJournal() finds steps or says it is no journal, whatever the text", () => {
  fc.assert(
    fc.property(fc.string(), fc.boolean(), (text, hasHead) => {
      let steps: JournalStep[] = [];
      try {
        steps = parseJournal(hasHead ? `{"weir":1}\n${text}\n` : text);
      } catch (error) {
        assertEquals((error as Error).message, "it is not a journal of this version of weir");
      }
      for (const step of steps) assertEquals(typeof step.kind, "string");
    }),
    { seed: 20_03 },
  );
});
