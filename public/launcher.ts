// The window that the button opens: what is seen of the two, and what a screen reader is told of them.

import { bubble, make } from "./button.ts";
import { coversScreen } from "./session.ts";
import type { wordsFor } from "./words.ts";

const cross = "M6 6l12 12M18 6 6 18";

export class Launcher {
  readonly window = make("div", "window");
  readonly #unread = make("span", "unread");
  /** So many answers have come that nobody has seen. */
  count = 0;

  /** What it listens to outside of `frame` it leaves with `signal`. */
  constructor(
    private readonly frame: HTMLElement,
    readonly button: HTMLButtonElement,
    private readonly words: () => ReturnType<typeof wordsFor>,
    signal: AbortSignal,
  ) {
    this.window.id = "window";
    this.window.hidden = true;
    button.setAttribute("aria-controls", "window");
    button.append(this.#unread);
    frame.prepend(this.window);
    this.unread(0);
    visualViewport?.addEventListener("resize", () => this.#fit(), { signal });
  }

  show(visible: boolean) {
    this.window.hidden = !visible;
    this.frame.classList.toggle("open", visible);
    this.button.querySelector("path")?.setAttribute("d", visible ? cross : bubble);
    this.#fit();
    this.name();
  }

  unread(count: number) {
    this.count = count;
    this.#unread.textContent = count > 99 ? "99+" : `${count}`;
    this.#unread.hidden = count === 0;
    this.name();
  }

  name() {
    const { open, close, unread } = this.words();
    const { hidden } = this.window;
    this.button.ariaExpanded = `${!hidden}`;
    this.button.ariaLabel = hidden ? (this.count ? unread(this.count) : open) : close;
  }

  // Full screen, the keyboard of a phone covers the window instead of shrinking it.
  #fit() {
    const seen = visualViewport;
    const covered = seen !== null && seen.scale === 1 && innerHeight - seen.height > 80 && coversScreen();
    this.window.style.height = covered ? `${seen.height}px` : "";
    this.window.style.top = covered ? `${seen.offsetTop}px` : "";
  }
}
