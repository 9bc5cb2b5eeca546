/** A command's words, kept for tests. */
import type { CommandIo } from "../../core/cli/io.ts";

/** Keeps what a command writes. */
export class KeptIo implements CommandIo {
  output = "";
  errors = "";
  readonly color = false;
  readonly isTerminal = false;
  readonly columns = 120;

  readonly out = (text: string): void => {
    this.output += text;
  };

  readonly err = (text: string): void => {
    this.errors += text;
  };
}
