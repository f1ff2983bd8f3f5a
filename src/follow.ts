// The one core of every delivery: from an offset the rest of the answer, what is there and what is yet to come, then one ending.
import type { Answer } from "./answer.ts";
import { type Chunk, type Frame, terminal } from "./chunks.ts";
import type { Part } from "./turns.ts";

/**
 * Yields `start`, then the answer from the offset `after` (UTF-16 code units; inside a surrogate pair counts as
 * before it), then exactly one terminal chunk. Text that gathers while the reader is busy comes as one chunk.
 * A part that is resumed in its middle is announced again, so that what is yielded is always a whole stream.
 * When `signal` is aborted it returns: the reader has gone, which is no concern of the answer.
 */
export async function* follow(
  turn: { id: string; conversation_id: string },
  answer: Answer,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<Frame, void, void> {
  let wake = () => {};
  const unsubscribe = answer.subscribe(() => wake());
  const leave = () => wake();
  signal.addEventListener("abort", leave);
  try {
    yield {
      offset: after,
      chunk: {
        type: "start",
        messageId: turn.id,
        messageMetadata: { turn_id: turn.id, conversation_id: turn.conversation_id },
      },
    };
    const place = new Place(answer, after);
    while (!signal.aborted) {
      yield* place.advance();
      if (signal.aborted) return;
      if (place.atEnd) {
        if (answer.ending) {
          yield* place.close();
          yield { offset: place.offset, chunk: terminal(answer.ending) };
          return;
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    unsubscribe();
    signal.removeEventListener("abort", leave);
  }
}

/** What one chunk holds at most, so that a reader that does not read has little waiting for it. */
const deltaCharsMax = 16 * 1024;

/** A reader's place in an answer: what it has (`offset`), and which part its stream has open. */
class Place {
  #next = 0; // the first segment that is not read whole
  #part = -1; // which part the last segment looked at belongs to
  #type: Part["type"] | undefined;
  #open = false;

  constructor(
    readonly answer: Answer,
    public offset: number,
  ) {}

  get atEnd(): boolean {
    return this.#next === this.answer.segments.length;
  }

  /** All that is there from this place on: neighbours of one type as one chunk, as far as that may hold them. */
  *advance(): Generator<Frame> {
    let delta = "";
    for (let segment = this.#segment; segment; segment = this.#segment) {
      if (segment.type !== this.#type) {
        if (delta) yield this.#say(delta);
        delta = "";
        yield* this.close();
        this.#type = segment.type;
        this.#part++;
      }
      while (segment.offset > this.offset) {
        if (!this.#open) {
          this.#open = true;
          yield this.#frame({ type: `${segment.type}-start`, id: String(this.#part) });
        }
        const start = segment.offset - segment.text.length;
        const from = wholeCharacter(segment.text, Math.max(0, this.offset - start));
        const to = wholeCharacter(segment.text, from + deltaCharsMax - delta.length);
        delta += segment.text.slice(from, to);
        this.offset = Math.min(start + to, segment.offset);
        if (delta.length < deltaCharsMax - 1) continue; // the next character may be a pair
        yield this.#say(delta);
        delta = "";
      }
      this.#next++;
    }
    if (delta) yield this.#say(delta);
  }

  *close(): Generator<Frame> {
    if (!this.#open) return;
    this.#open = false;
    yield this.#frame({ type: `${this.#type as Part["type"]}-end`, id: String(this.#part) });
  }

  get #segment() {
    return this.answer.segments[this.#next];
  }

  #say(delta: string): Frame {
    return this.#frame({ type: `${this.#type as Part["type"]}-delta`, id: String(this.#part), delta });
  }

  #frame(chunk: Chunk): Frame {
    return { offset: this.offset, chunk };
  }
}

/** `index`, or one less where it would cut a surrogate pair in two. */
function wholeCharacter(text: string, index: number): number {
  const cutsPair =
    (text.charCodeAt(index) & 0xfc00) === 0xdc00 && (text.charCodeAt(index - 1) & 0xfc00) === 0xd800;
  return cutsPair ? index - 1 : index;
}
