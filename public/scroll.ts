// Keeps the newest line in view for as long as the reader is there, and only then; a button leads back.

const nearPx = 24;
const buttonFromPx = 120;

export class Scroll {
  #stuck = true;
  #top = 0;
  #height = 0;

  /** `content` is what grows inside `scroller`; `button` shows while the reader is away from the end. */
  constructor(
    private readonly scroller: HTMLElement,
    content: HTMLElement,
    private readonly button: HTMLElement,
  ) {
    // What scrolls must be within reach of the keyboard, which Safari does not see to.
    scroller.tabIndex = 0;
    scroller.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    button.addEventListener("click", () => {
      this.toEnd();
      scroller.focus({ preventScroll: true });
    });
    // Also the scroller itself: an on-screen keyboard makes it smaller.
    const observer = new ResizeObserver(() => this.#onResize());
    observer.observe(content);
    observer.observe(scroller);
  }

  toEnd() {
    this.#stuck = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#showButton();
  }

  /** Lets `change` add something above what is being read without moving that. */
  hold(change: () => void) {
    const fromEndPx = this.scroller.scrollHeight - this.scroller.scrollTop;
    change();
    this.scroller.scrollTop = this.scroller.scrollHeight - fromEndPx;
  }

  #onScroll() {
    const { scrollTop, scrollHeight } = this.scroller;
    // Upwards in a content that has not shrunk is the reader's own doing, be it by a pixel.
    if (scrollTop < this.#top - 1 && scrollHeight >= this.#height) this.#stuck = false;
    if (this.#fromEndPx() < nearPx && scrollTop >= this.#top) this.#stuck = true;
    this.#top = scrollTop;
    this.#height = scrollHeight;
    this.#showButton();
  }

  #onResize() {
    if (this.#stuck) this.scroller.scrollTop = this.scroller.scrollHeight;
    this.#showButton();
  }

  #fromEndPx() {
    return this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight;
  }

  #showButton() {
    this.button.hidden = this.#stuck || this.#fromEndPx() < buttonFromPx;
  }
}
