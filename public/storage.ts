// What this browser remembers for one tenant. Storage that is blocked, full or partitioned away throws on
// touch, and then memory stands in: the chat works, it just starts anew after a reload.

const memory = new Map<string, string>();

export class Storage {
  constructor(private readonly tenant: string) {}

  recall(name: string): string | undefined {
    const key = this.#key(name);
    try {
      return localStorage.getItem(key) ?? memory.get(key);
    } catch {
      return memory.get(key);
    }
  }

  remember(name: string, value: string) {
    const key = this.#key(name);
    memory.set(key, value);
    try {
      localStorage.setItem(key, value);
    } catch {}
  }

  forget(name: string) {
    const key = this.#key(name);
    memory.delete(key);
    try {
      localStorage.removeItem(key);
    } catch {}
  }

  #key(name: string) {
    return `cip:${this.tenant}:${name}`;
  }
}
