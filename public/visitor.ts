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
  #meeting: Promise<string> | undefined;
  #renewing = false;
  #refused: string | undefined;
  #identity: Identity | undefined;
  #given = Promise.withResolvers<void>();

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

  /** Becomes the user that the site vouches for; true if that is somebody else than before. */
  async identify(identity: Identity): Promise<boolean> {
    const before = this.storage.user;
    this.#identity = identity;
    await this.#exchange(identity);
    this.#given.resolve();
    this.#given = Promise.withResolvers();
    return this.storage.user !== before;
  }

  /** Leaves nothing of this visitor in this browser. */
  forget() {
    this.#identity = undefined;
    this.#meeting = undefined;
    this.storage.forgetAll();
  }

  async #meet(): Promise<string> {
    try {
      return await this.#exchange(this.#identity ?? {});
    } catch (error) {
      if (!(error instanceof Problem && error.wantsIdentity && this.ask())) throw error;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(error), siteAnswersMs);
      });
      await Promise.race([this.#given.promise, late]).finally(() => clearTimeout(timer));
      return this.token();
    }
  }

  async #exchange(body: Identity | Record<string, never>, token?: string): Promise<string> {
    const response = await succeed(await attempt(this.url, json("POST", body), token));
    const met = await readJson<Met>(response);
    this.storage.remember("user", met.anonymous === false ? met.user_id : "");
    this.storage.remember("token", met.token);
    return met.token;
  }

  #renew(token: string) {
    if (this.#renewing) return;
    this.#renewing = true;
    // Until it has come the old one does; if it does not come, the next page load tries again.
    attempt(this.url, json("POST", {}), token)
      .then(succeed)
      .then(readJson<Met>)
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
