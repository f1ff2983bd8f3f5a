// Receive coalescing: while the loop is busy, the frames of an answer are read several at a time, as network drivers do
// with packets. The kernel is told for each connection how much is worth a wake-up (lowwater.ts), so that two tokens share
// a read, their way through the server and a write: at 1,000 readers 11.6 µs a token in place of 16.6 (test/bench/).
import { WorkShare } from "../workshare.ts";
import { canSetLowWater } from "./lowwater.ts";

/** What is read together comes within about so long: of 50 tokens/s two, of 20 one. */
const togetherMs = 36;
/** Then what is there is read anyhow. As the first frame of a group comes some time after the last read, it waits less. */
const heldMsMax = 45;
/** How often those are looked for that have been held so long. */
const sweepMs = 5;
/** More of them than pass while one is held. */
const slots = 16;
/** One wake-up shall bring no more than this, whatever the pace. */
const bytesMax = 16 * 1024;
/** How much a new gap counts in the mean of the gaps, and of what they differ by (RFC 6298, 2.3, has the latter as well). */
const gain = 1 / 4;

const lookMs = 100;
/** The share of its time that the thread works. Coalescing lowers it, by up to a third, so the two are far apart. */
const busy = 0.25;
const atEase = 0.1;

/** Whether the loop is busy, and who waits meanwhile for several frames. */
export class Coalescer {
  #isBusy = false;
  readonly #workShare = new WorkShare();
  /**
   * A timer wheel: those that wait, in the slot of the time when they have been held for long enough. One that was read
   * meanwhile, as most are, is put off only then: with each read that would be a good part of what it costs.
   */
  readonly #waiting = Array.from({ length: slots }, (): Rhythm[] => []);
  #count = 0;
  #swept = 0;
  #timer: Timer | undefined;

  isBusy(nowMs: number): boolean {
    if (nowMs - this.#workShare.lookedMs >= lookMs) this.#look(nowMs);
    return this.#isBusy;
  }

  /** Has `rhythm` released when it was held for long enough. */
  wait(rhythm: Rhythm): void {
    this.#put(rhythm);
    this.#count++;
    if (this.#timer) return;
    this.#swept = slotOf(rhythm.lastMs);
    this.#timer = setTimeout(this.#sweep, sweepMs);
  }

  #put(rhythm: Rhythm): void {
    this.#waiting[slotOf(rhythm.lastMs + heldMsMax) % slots]?.push(rhythm);
  }

  #sweep = (): void => {
    const nowMs = performance.now();
    const now = slotOf(nowMs);
    for (let slot = Math.max(this.#swept, now - slots + 1); slot <= now; slot++) {
      const all = this.#waiting[slot % slots]?.splice(0) ?? [];
      for (const rhythm of all)
        if (rhythm.releaseIfDue(nowMs)) this.#count--;
        else this.#put(rhythm); // in this slot once more, it may be
    }
    this.#swept = now;
    this.#timer = this.#count > 0 ? setTimeout(this.#sweep, sweepMs) : undefined;
  };

  #look(nowMs: number): void {
    const share = this.#workShare.look(nowMs);
    if (share > busy) this.#isBusy = canSetLowWater();
    if (share < atEase) this.#isBusy = false;
  }
}

function slotOf(timeMs: number): number {
  return Math.floor(timeMs / sweepMs);
}

/** That of this thread. */
export const coalescer = new Coalescer();

/** How the frames of one answer come, and how much of them is awaited. One that has no steady pace is never held. */
export class Rhythm {
  /** The last read. */
  lastMs = 0;
  readonly #coalescer: Coalescer;
  readonly #setLowWater: (bytes: number) => void;
  #gapMs = 0;
  #deviationMs = 0;
  #mark = 1;
  /** The coalescer looks after it. */
  #waits = false;

  /** `setLowWater`: with fewer bytes there is nothing to read; 1 at first. */
  constructor(coalescer: Coalescer, setLowWater: (bytes: number) => void) {
    this.#coalescer = coalescer;
    this.#setLowWater = setLowWater;
  }

  /** A read brought so many frames. */
  heard(bytes: number, frames: number, nowMs: number): void {
    if (frames === 0) return;
    if (this.lastMs > 0) this.#count((nowMs - this.lastMs) / frames);
    this.lastMs = nowMs;
    const together = this.#coalescer.isBusy(nowMs) ? this.#together() : 1;
    if (together < 2) {
      this.release();
    } else {
      // Half a frame less than that: they differ in length.
      this.#await(Math.min(bytesMax, Math.round(((together - 0.5) * bytes) / frames)));
      if (!this.#waits) this.#coalescer.wait(this);
      this.#waits = true;
    }
  }

  /** Whatever is there or comes is read at once, until several frames are awaited again. */
  release(): void {
    if (this.#mark > 1) this.#await(1);
  }

  /** Releases it if it was held for long enough; true where it waits no more, for that or another reason. */
  releaseIfDue(nowMs: number): boolean {
    if (nowMs - this.lastMs >= heldMsMax) this.release();
    this.#waits = this.#mark > 1;
    return !this.#waits;
  }

  #together(): number {
    const isSteady = this.#deviationMs < this.#gapMs / 2;
    return isSteady ? Math.round(togetherMs / this.#gapMs) : 1;
  }

  #count(gapMs: number): void {
    if (this.#gapMs === 0) {
      this.#gapMs = gapMs;
      this.#deviationMs = gapMs / 2;
    } else {
      this.#deviationMs += (Math.abs(gapMs - this.#gapMs) - this.#deviationMs) * gain;
      this.#gapMs += (gapMs - this.#gapMs) * gain;
    }
  }

  #await(bytes: number): void {
    if (Math.abs(bytes - this.#mark) <= this.#mark / 5) return;
    this.#mark = bytes;
    this.#setLowWater(bytes);
  }
}
