/** Where a command's words go; handed in, so that commands run in tests without a terminal. */
export interface CommandIo {
  /** Writes to standard output as it is. */
  out(text: string): void;
  /** Writes to standard error as it is. */
  err(text: string): void;
  readonly color: boolean;
  readonly isTerminal: boolean;
  /** Width of the terminal. Units: character cells. */
  readonly columns: number;
}
