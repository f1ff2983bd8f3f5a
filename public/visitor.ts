// Who the visitor is to the server. The token is the only credential: got when first needed, kept in this
// browser, renewed by use, and replaced once the server no longer accepts it.

import type { Storage } from "./storage.ts";
import { attempt, json, Problem, readJson, succeed } from "./wire.ts";

/** What a site vouches with for a user of its own: a signed token, or an id and its HMAC. */
export type Identity = { identity: string } | { user_id: string; user_hash: string };

type Met = { token: string; user_id: string; anonymous?: boolean };

const siteAnswersMs = 10_000;

export class Visitor {
  /** Asks the site for an identity; false where there is no site around that could give one. */
  ask: () => boolean = () => false;
  /** Told when the site vouches for somebody else than before, who is here once `become` has been called. */
  change = (become: () => void) => become();
  #meeting: Promise<string> | undefined;
  #renewing = false;
  #refused: string | undefined;
  #identity: Identity | undefined;
  #expected: PromiseWithResolvers<void> | undefined;
  #late: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly url: string,
    private readonly storage: Storage,
  ) {}

  /** False for a visitor who has never been here, and so has nothing to be loaded. */
  get known(): boolean {
    return this.storage.recall("token") !== undefined;
  }

  token(): Promise<string> {
    const kept = this.storage.recall("token");
    if (kept !== undefined && kept !== this.#refused) {
      // For its own users only the site can vouch again, which the bridge sees to.
      if (this.storage.user === "" && isHalfSpent(kept)) this.#renew(kept);
      return Promise.resolve(kept);
    }
    this.#meeting ??= this.#meet().finally(() => {
      this.#meeting = undefined;
    });
    return this.#meeting;
  }

  /** The server does not accept this token; it is kept until there is another. */
  refuse(token: string) {
    this.#refused = token;
  }

  /** Resolves once it is settled who is here: while the site is saying that, nothing may be asked in another's name. */
  get settled(): Promise<void> | undefined {
    return this.#expected?.promise;
  }

  /** The site is about to say who is here; if it takes too long, it stays as it is. */
  expect() {
    clearTimeout(this.#late);
    this.#late = setTimeout(() => this.settle(), siteAnswersMs);
    this.#expected ??= Promise.withResolvers();
  }

  /** The site has said it, or that it does not know. */
  settle() {
    clearTimeout(this.#late);
    this.#expected?.resolve();
    this.#expected = undefined;
  }

  /** Becomes the user that the site vouches for. */
  async identify(identity: Identity) {
    this.#identity = identity;
    this.expect();
    try {
      const met = await this.#exchange(identity);
      if (this.#identity === identity) this.#become(met);
    } finally {
      if (this.#identity === identity) this.settle();
    }
  }

  /** Leaves nothing of this visitor in this browser. */
  forget() {
    this.#identity = undefined;
    this.#meeting = undefined;
    this.settle();
    this.storage.forgetAll();
  }

  async #meet(): Promise<string> {
    const identity = this.#identity;
    let refusal = new Problem(0, "unreachable");
    try {
      const met = await this.#exchange(identity ?? {});
      if (this.#identity === identity) return this.#become(met);
    } catch (error) {
      if (!(error instanceof Problem && error.wantsIdentity && this.ask())) throw error;
      refusal = error;
      this.expect();
    }
    // The site has more to say on who this is.
    await this.settled;
    const given = this.storage.recall("token");
    if (given === undefined || given === this.#refused) throw refusal;
    return given;
  }

  async #exchange(body: Identity | Record<string, never>, token?: string): Promise<Met> {
    return readJson(await succeed(await attempt(this.url, json("POST", body), token)));
  }

  #become({ token, user_id, anonymous }: Met): string {
    const user = anonymous === false ? user_id : "";
    const become = () => {
      this.storage.remember("user", user);
      this.storage.remember("token", token);
    };
    if (user === "" || user === this.storage.user) become();
    else this.change(become);
    return token;
  }

  #renew(token: string) {
    if (this.#renewing) return;
    this.#renewing = true;
    // Until it has come the old one does; if it does not come, the next page load tries again.
    this.#exchange({}, token)
      .then((met) => {
        if (this.storage.recall("token") !== token) return;
        this.storage.remember("token", met.token);
        this.#renewing = false;
      })
      .catch(() => {});
  }
}

/** Whether over half of a token's life has passed; of one that cannot be read nothing is known. */
function isHalfSpent(token: string): boolean {
  try {
    const payload = token.split(".")[1] ?? "";
    const { iat, exp } = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/")));
    return Date.now() / 1000 > (iat + exp) / 2;
  } catch {
    return false;
  }
}
