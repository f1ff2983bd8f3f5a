// The load side as the scenarios see it: a process on its own core that carries out one plan after the other.
import { untilItExits } from "../../support.ts";
import { onLoadCore } from "../machine.ts";
import type { Outcome } from "./outcome.ts";
import type { Plan } from "./run.ts";

export class LoadSide {
  readonly #child: Bun.Subprocess<"pipe", "pipe", "inherit">;
  readonly #lines: AsyncIterator<string>;

  constructor(modelPort: number) {
    const command = [process.execPath, `${import.meta.dir}/main.ts`, `${modelPort}`];
    this.#child = Bun.spawn([...onLoadCore, ...command], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "inherit",
    });
    untilItExits(this.#child, this.#child.exited);
    this.#lines = lines(this.#child.stdout)[Symbol.asyncIterator]();
  }

  /** Throws where the load side itself failed, or where an answer was not the expected one. */
  async run(plan: Plan): Promise<Outcome> {
    this.#child.stdin.write(`${JSON.stringify(plan)}\n`);
    this.#child.stdin.flush();
    const { value } = await this.#lines.next();
    if (value === undefined) throw new Error("the load side ended");
    const { outcome, failure } = JSON.parse(value) as { outcome?: Outcome; failure?: string };
    if (outcome === undefined) throw new Error(`the load side failed: ${failure}`);
    return outcome;
  }

  async stop(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}

async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(
    new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>,
  )) {
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
}
