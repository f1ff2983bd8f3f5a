// What an answer's reader holds while it is written: a place among the open connections, and whatever ends with `gone`.
import { type Caller, type Services, takePlace } from "./services.ts";

/**
 * Delivers to one reader. `gone` is aborted when he leaves, and when all is delivered; a stream is to do the latter
 * itself. Throws too_many_requests, and what `deliver` throws.
 */
export async function reading<T>(
  services: Services,
  caller: Caller,
  request: Request,
  deliver: (gone: AbortController) => Promise<T>,
): Promise<T> {
  const gone = new AbortController();
  request.signal.addEventListener("abort", () => gone.abort());
  let isStream = false;
  try {
    takePlace(services, caller, gone.signal);
    const answer = await deliver(gone);
    isStream = answer instanceof Response && answer.body !== null;
    return answer;
  } finally {
    if (!isStream) gone.abort();
  }
}
