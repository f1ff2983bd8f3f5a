// How many event streams and sockets may be open at once, of one visitor and from one address. They are counted where
// they are held, in this process.

import type { Tenant } from "../config/tenants.ts";
import { CipError } from "../errors.ts";

type Holder = { tenant: Tenant; userId?: string | undefined; address?: string | undefined };

const retrySeconds = 5;

export class Places {
  #taken = new Map<string, number>();

  /** Takes a place of each of the two that is given, until `over`. Throws too_many_requests, and then takes none. */
  take({ tenant: { id, limits }, userId, address }: Holder, over: AbortSignal): void {
    if (over.aborted) return;
    const bounds: [kind: string, whose: string | undefined, max: number][] = [
      ["visitor", userId, limits.connectionsPerVisitorMax],
      ["address", address, limits.connectionsPerAddressMax],
    ];
    const names = bounds.flatMap(([kind, whose, max]) => {
      if (whose === undefined) return [];
      const name = JSON.stringify([id, kind, whose]);
      if ((this.#taken.get(name) ?? 0) < max) return [name];
      const detail = `As many connections of this ${kind} are open as there may be: ${max}.`;
      throw new CipError("too_many_requests", { detail, retryAfterSeconds: retrySeconds });
    });
    this.#count(names, 1);
    over.addEventListener("abort", () => this.#count(names, -1), { once: true });
  }

  #count(names: readonly string[], by: number): void {
    for (const name of names) {
      const taken = (this.#taken.get(name) ?? 0) + by;
      if (taken > 0) this.#taken.set(name, taken);
      else this.#taken.delete(name);
    }
  }
}
