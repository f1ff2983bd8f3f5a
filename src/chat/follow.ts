// The one core of every delivery: from an offset the rest of the answer, what is there and what is yet to come, then one ending.

import type { Answer, Listener, Segment } from "./answer.ts";
import { type Chunk, type Frame, terminal } from "./chunks.ts";

/** Whose answer it is, as readers are told. */
export type Followed = { id: string; conversation_id: string };

/** One reader's way through an answer: take what is there, wait for more. It takes nothing that it has not asked for. */
export class Follower implements Listener {
  /** The terminal chunk was taken; no more will come. */
  over = false;
  /** The reader has gone. */
  left: boolean;
  readonly #place: Place;
  #begun = false;
  #listener: Listener | undefined;

  /**
   * `after`: an offset in UTF-16 code units; inside a surrogate pair it counts as before it. When `signal` is aborted
   * the reader has left, which is no concern of the answer.
   */
  constructor(
    readonly followed: Followed,
    readonly answer: Answer,
    after: number,
    readonly signal: AbortSignal,
  ) {
    this.#place = new Place(answer, after);
    this.left = signal.aborted;
    if (this.left) return;
    answer.subscribe(this);
    signal.addEventListener("abort", this.leave);
  }

  /** Ends the waiting, and whatever the answer knows of this reader. */
  leave = (): void => {
    this.left = true;
    this.answer.unsubscribe(this);
    this.signal.removeEventListener("abort", this.leave);
    this.wake();
  };

  /**
   * What is there, as much as is written at once: `start` before anything else, then the answer, then exactly one
   * terminal chunk. Text that has gathered comes as one chunk. A part that is resumed in its middle is announced again,
   * so that what is taken is always a whole stream.
   */
  take(): Frame[] {
    const place = this.#place;
    const frames: Frame[] = [];
    if (!this.#begun) {
      this.#begun = true;
      const { id, conversation_id } = this.followed;
      const messageMetadata = { turn_id: id, conversation_id };
      frames.push({ offset: place.offset, chunk: { type: "start", messageId: id, messageMetadata } });
    }
    place.advance(frames);
    const { ending } = this.answer;
    if (!ending || !place.atEnd) return frames;
    place.close(frames);
    frames.push({ offset: place.offset, chunk: terminal(ending) });
    this.over = true;
    return frames;
  }

  /** All that is there was taken, and there will be more. */
  get waits(): boolean {
    const said = this.over || this.left || this.answer.ending;
    return this.#begun && !said && this.#place.atEnd;
  }

  /** Has `listener` told whenever there may be more than was taken, and when the reader has left. */
  onMore(listener: Listener): void {
    this.#listener = listener;
  }

  wake(): void {
    this.#listener?.wake();
  }

  /** `onMore` as a promise; undefined where there is more, or the reader has left, already. */
  more(): Promise<void> | undefined {
    if (!this.waits) return undefined;
    return new Promise<void>((resolve) => {
      this.#listener = { wake: resolve };
    });
  }
}

/** All of a follower's chunks, as they come. */
export async function* follow(
  followed: Followed,
  answer: Answer,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<Frame, void, void> {
  const follower = new Follower(followed, answer, after, signal);
  try {
    while (!follower.over) {
      for (const frame of follower.take()) {
        if (follower.left) return;
        yield frame;
      }
      await follower.more();
      if (follower.left) return;
    }
  } finally {
    follower.leave();
  }
}

/** What one chunk holds at most, so that a reader that does not read has little waiting for it. */
const deltaCharsMax = 16 * 1024;

/** A reader's place in an answer: what it has (`offset`), and which part its stream has open. */
class Place {
  #part: Segment | undefined; // one of the part that was looked at last
  #open = false;

  constructor(
    readonly answer: Answer,
    public offset: number,
  ) {}

  get atEnd(): boolean {
    return this.offset >= this.answer.length;
  }

  /** Adds what is there from this place on: neighbours of one type as one chunk, until one holds as much as it may. */
  advance(frames: Frame[]): void {
    const { segments } = this.answer;
    let delta = "";
    for (let i = this.answer.segmentAfter(this.offset); i < segments.length; i++) {
      const segment = segments[i] as Segment;
      if (segment.part !== this.#part?.part) {
        if (delta) frames.push(this.#say(delta));
        delta = "";
        this.close(frames);
        this.#part = segment;
      }
      if (!this.#open) {
        this.#open = true;
        frames.push(this.#frame({ type: `${segment.type}-start`, id: String(segment.part) }));
      }
      const start = segment.offset - segment.text.length;
      while (segment.offset > this.offset) {
        const from = wholeCharacter(segment.text, Math.max(0, this.offset - start));
        const to = wholeCharacter(segment.text, from + deltaCharsMax - delta.length);
        delta += segment.text.slice(from, to);
        this.offset = Math.min(start + to, segment.offset);
        if (delta.length < deltaCharsMax - 1) continue; // the next character may be a pair
        frames.push(this.#say(delta));
        return;
      }
    }
    if (delta) frames.push(this.#say(delta));
  }

  close(frames: Frame[]): void {
    if (!this.#open || !this.#part) return;
    this.#open = false;
    const { type, part } = this.#part;
    frames.push(this.#frame({ type: `${type}-end`, id: String(part) }));
  }

  #say(delta: string): Frame {
    const { type, part } = this.#part as Segment;
    return this.#frame({ type: type === "text" ? "text-delta" : "reasoning-delta", id: String(part), delta });
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
