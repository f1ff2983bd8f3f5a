// An answer that grows: segments in the order they were said, then one ending. Readers hold a place in it, never a copy.
import type { Ending, Part } from "../rows/turns.ts";

/** A piece of the answer. `offset` is where it ends, counted over all segments in UTF-16 code units. The last one grows. */
export type Segment = Part & { offset: number };

/**
 * A segment for each token would be most of what an answer holds, and looked for all over memory when the answer is
 * joined. What a reader takes of a segment has it written out as one string, so that it may not grow for ever either.
 */
const segmentCharsMax = 64;

export class Answer {
  readonly segments: Segment[] = [];
  ending: Ending | undefined;
  #readers = new Set<() => void>();
  #pending: Part | undefined;

  get length(): number {
    return this.segments.at(-1)?.offset ?? 0;
  }

  /** Adds text; it is part of the answer with the next `flush`, so that what arrives together is passed on together. */
  append(type: Part["type"], text: string): void {
    if (text === "") return;
    if (this.#pending?.type === type) {
      this.#pending.text += text;
    } else {
      this.#store();
      this.#pending = { type, text };
    }
  }

  /** Makes what was added part of the answer, and wakes its readers. */
  flush(): void {
    this.#store();
    this.#wake();
  }

  #store(): void {
    if (!this.#pending) return;
    const { type, text } = this.#pending;
    this.#pending = undefined;
    const offset = this.length + text.length;
    const last = this.segments.at(-1);
    if (last?.type === type && last.text.length + text.length <= segmentCharsMax) {
      last.text += text;
      last.offset = offset;
    } else {
      this.segments.push({ type, text, offset });
    }
  }

  #wake(): void {
    for (const wake of this.#readers) wake();
  }

  /** Nothing is appended after this. */
  end(ending: Ending): void {
    this.#store();
    this.ending = ending;
    this.#wake();
  }

  /** Calls `wake` at every change until the function it returns is called. */
  subscribe(wake: () => void): () => void {
    this.#readers.add(wake);
    return () => this.#readers.delete(wake);
  }

  /** Waits for the ending, at most `timeoutMs`. */
  async ended(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const unsubscribe = this.subscribe(() => this.ending && resolve());
    const timer = setTimeout(resolve, this.ending ? 0 : timeoutMs);
    await promise;
    clearTimeout(timer);
    unsubscribe();
  }

  /** What follows an offset, as it is stored at this moment: neighbours of one type joined. */
  parts(after = 0): Part[] {
    const parts: Part[] = [];
    let first = this.segments.length;
    while ((this.segments[first - 1]?.offset ?? 0) > after) first--;
    for (let i = first; i < this.segments.length; i++) {
      const { type, text, offset } = this.segments[i] as Segment;
      const rest = text.slice(Math.max(0, after - (offset - text.length)));
      const last = parts.at(-1);
      if (last?.type === type) last.text += rest;
      else parts.push({ type, text: rest });
    }
    return parts;
  }
}
