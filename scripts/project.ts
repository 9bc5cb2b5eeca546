/** Where the project is, and which files it has. */

/** The project's folder, with a slash at its end. */
export const ROOT: URL = new URL("../", import.meta.url);

/** The folders that hold the project; the top level is fixed. */
export const FOLDERS: readonly string[] = ["core", "ffi", "scripts", "sim", "test"];

/** Paths of all files below `FOLDERS`, and of main.ts when there is one, from the project's root, sorted. */
export function projectFiles(): string[] {
  const found: string[] = [];
  const walk = (folder: string): void => {
    for (const { name, isFile, isDirectory } of Deno.readDirSync(new URL(folder, ROOT))) {
      if (isFile) found.push(`${folder}/${name}`);
      else if (isDirectory) walk(`${folder}/${name}`);
    }
  };
  for (const { name, isDirectory } of Deno.readDirSync(ROOT)) {
    if (isDirectory && FOLDERS.includes(name)) walk(name);
    else if (name === "main.ts") found.push(name);
  }
  return found.sort();
}

/** The text of a project file. */
export function readProjectFile(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}
