/** A command's words, kept for tests. */
import type { CommandIo } from "../../core/cli/io.ts";

/** Standard streams that remember. */
export class CapturedIo implements CommandIo {
  output = "";
  errors = "";
  readonly color: boolean;
  readonly isTerminal = false;
  readonly columns: number;

  constructor(color = false, columns = 120) {
    this.color = color;
    this.columns = columns;
  }

  out(text: string): void {
    this.output += text;
  }

  err(text: string): void {
    this.errors += text;
  }
}
