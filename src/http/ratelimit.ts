// How a bucket stands, as clients read it: the RateLimit headers (draft-ietf-httpapi-ratelimit-headers).
import { type Standing, secondsOf } from "../rows/limits.ts";

/** Of the one bucket that is nearest to its end. None where nothing is limited, or nothing was taken. */
export function rateLimitHeaders(standing: Standing | undefined): Record<string, string> {
  if (!standing) return {};
  const { policy, rate } = standing.bucket;
  return {
    "ratelimit-policy": `"${policy}";q=${rate.count};w=${rate.periodMs / 1000}`,
    ratelimit: `"${policy}";r=${standing.remaining};t=${secondsOf(standing)}`,
  };
}
