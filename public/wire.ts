// One request to the server and what can come of it: an answer, a refusal in the server's words, or nothing.

/** A refusal of the server (RFC 9457), or, with status 0, no answer from it at all. */
export class Problem extends Error {
  override readonly name = "Problem";

  constructor(
    readonly status: number,
    readonly code: string,
    readonly turnId?: string,
    /** When the same request may succeed, as the server sees it. */
    readonly retryAfterS?: number,
    /** What the server says of it, to who made the site. */
    detail = code,
  ) {
    super(detail);
  }

  /** Whether the same request may succeed a little later. */
  get passing(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }

  /** Whether only the site can help, by saying who this is. */
  get wantsIdentity(): boolean {
    return this.code === "identity_required" || this.code === "identity_invalid";
  }
}

export async function attempt(url: string, init: RequestInit, token?: string): Promise<Response> {
  const headers = new Headers(init.headers);
  if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
  try {
    return await fetch(url, { ...init, headers });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Problem(0, "unreachable");
  }
}

export async function succeed(response: Response): Promise<Response> {
  if (response.ok) return response;
  // A proxy in between may answer with a page of its own, so the body is not trusted to be a problem document.
  const body = await response.json().catch(() => ({}));
  const retryAfterS = Number(response.headers.get("retry-after")) || undefined;
  const code = String(body.code ?? response.status);
  throw new Problem(response.status, code, body.turn_id, retryAfterS, body.detail);
}

export async function readJson<Body>(response: Response): Promise<Body> {
  try {
    return await response.json();
  } catch {
    throw new Problem(0, "unreachable");
  }
}

/** The body of a request, as JSON. */
export function json(method: string, body: unknown): RequestInit {
  return { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}
