/** What a C compiler for Windows says of sizes, offsets and numbers, without running anything: they stand in the assembly that it writes. */

const COMPILER = "x86_64-w64-mingw32-gcc";
const HEADERS = [
  "winsock2.h",
  "ws2tcpip.h",
  "ws2ipdef.h",
  "windows.h",
  "iphlpapi.h",
  "netioapi.h",
  "winsvc.h",
  "fwpmu.h",
  "stddef.h",
];

/** The values of C expressions; undefined, with the reason printed, when there is no such compiler. Errors: an Error with the compiler's words. */
export async function evaluateForWindows(expressions: readonly string[]): Promise<number[] | undefined> {
  const folder = await Deno.makeTempDir();
  try {
    const includes = HEADERS.map((header) => `#include <${header}>`).join("\n");
    const text = `#define _WIN32_WINNT 0x0A00\n${includes}\nconst unsigned values[] = {\n${
      expressions.join(",\n")
    }\n};\n`;
    await Deno.writeTextFile(`${folder}/values.c`, text);
    const args = ["-S", "-o", `${folder}/values.s`, `${folder}/values.c`];
    const { success, stderr } = await new Deno.Command(COMPILER, { args, stdout: "null", stderr: "piped" }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    const assembly = await Deno.readTextFile(`${folder}/values.s`);
    const lines = assembly.slice(assembly.indexOf("values:")).matchAll(/\.(long|space)\s+(\d+)/g);
    // A run of zeros is written as so many bytes.
    return [...lines].flatMap(([, kind, number]) =>
      kind === "long" ? [Number(number)] : new Array<number>(Number(number) / 4).fill(0)
    );
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    console.log(`skipped: ${COMPILER} is absent (apt-get install gcc-mingw-w64-x86-64)`);
    return undefined;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
