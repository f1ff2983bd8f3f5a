// What this browser remembers for one tenant. Storage that is blocked, full or partitioned away throws on
// touch, and then memory stands in: the chat works, it just starts anew after a reload.

const memory = new Map<string, string>();

/** `token` and `user` say who is here; the rest is each user's own. */
type Name = "token" | "user" | "conversation" | "unsent" | "turn";

export class Storage {
  readonly #prefix: string;

  constructor(tenant: string) {
    this.#prefix = `cip:${tenant}:`;
  }

  /** The site's id of its user; empty for an anonymous visitor. */
  get user(): string {
    return this.recall("user") ?? "";
  }

  recall(name: Name): string | undefined {
    const key = this.#key(name);
    try {
      return localStorage.getItem(key) ?? memory.get(key);
    } catch {
      return memory.get(key);
    }
  }

  remember(name: Name, value: string) {
    const key = this.#key(name);
    memory.set(key, value);
    try {
      localStorage.setItem(key, value);
    } catch {}
  }

  forget(name: Name) {
    const key = this.#key(name);
    memory.delete(key);
    try {
      localStorage.removeItem(key);
    } catch {}
  }

  forgetAll() {
    memory.clear();
    try {
      for (const key of Object.keys(localStorage)) {
        if (key.startsWith(this.#prefix)) localStorage.removeItem(key);
      }
    } catch {}
  }

  /** Calls back when another tab has changed `name`, with what it is now. */
  watch(name: Name, changed: (value: string | null) => void) {
    window.addEventListener("storage", ({ key, newValue }) => {
      if (key !== this.#key(name)) return;
      if (newValue === null) memory.delete(key);
      changed(newValue);
    });
  }

  #key(name: Name): string {
    const user = name === "token" || name === "user" ? "" : this.user;
    return `${this.#prefix}${name}${user && `:${user}`}`;
  }
}
