// What a command of the command line is. Each one is a file of this folder and a row of the table in main.ts, which
// loads the file of the command that is given and no other: the server would start later for what it never uses.
import type { ParseArgsOptionsConfig } from "node:util";

/** What came after the command's name. `words` has as many as `usage` names, the optional ones maybe not. */
export type Given = { words: string[]; flags: Record<string, string | boolean | undefined> };

export type Command = {
  /** Its words as help shows them: `<must>` and `[may]`. */
  usage: string;
  /** What it does, in a line. */
  help: string;
  options?: ParseArgsOptionsConfig;
  load(): Promise<{ run: Run }>;
};

/** Returns the exit status. Throws Refusal, and what explain() can explain. */
export type Run = (given: Given) => Promise<number>;

/** The command cannot be done; the message says why, in words for the person who gave it. */
export class Refusal extends Error {
  override readonly name = "Refusal";

  constructor(
    message: string,
    readonly status = 1,
  ) {
    super(message);
  }
}
