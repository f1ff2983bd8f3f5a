// Looks at one tenant's chat as its site would: may the site frame it, and did nothing in between change the policy?
import type { Tenant } from "../config/config.ts";
import { chatHeaders } from "../http/headers.ts";
import { about, type Result, wordsOf } from "./result.ts";
import { visit } from "./visit.ts";

const policyHeader = "content-security-policy";

export async function site(url: URL, tenant: Tenant): Promise<Result> {
  const { ok, warn, fail } = about(`site ${tenant.id}`);
  const page = new URL(`/${tenant.id}`, url);
  try {
    const { status, headers } = await visit(page);
    if (status !== 200)
      return fail(`GET ${page.pathname} is answered ${status}`, "see that all paths reach cip, unchanged");
    const wanted = chatHeaders(tenant.allowedOrigins, "")[policyHeader] ?? "";
    const seen = headers[policyHeader]?.toString();
    const framedBy = ancestorsOf(wanted);
    if (seen === undefined)
      return fail("the Content-Security-Policy is gone", "have the proxy leave this header of cip's alone");
    if (seen.includes(","))
      return fail(
        "a second Content-Security-Policy was added, and browsers hold the page to both",
        "have the proxy add none to what cip answers",
      );
    if (ancestorsOf(seen) !== framedBy)
      return fail(
        `may be framed by ${ancestorsOf(seen) ?? "anybody"}, where ALLOWED_ORIGINS says ${framedBy}`,
        "if ALLOWED_ORIGINS was changed a moment ago, check again; else have the proxy leave the policy alone",
      );
    if (unhashed(seen) !== unhashed(wanted))
      return fail(
        "the Content-Security-Policy was changed on its way",
        "have the proxy leave this header alone",
      );
    if (headers["x-frame-options"] !== undefined)
      return warn(
        `X-Frame-Options: ${headers["x-frame-options"]} was added`,
        "have the proxy send none: older browsers would not show the chat on other sites",
      );
    return ok(`may be framed by ${framedBy}`);
  } catch (error) {
    return fail(wordsOf(error), "see the log of the proxy");
  }
}

function ancestorsOf(policy: string): string | undefined {
  return /(?:^|;)\s*frame-ancestors\s+([^;]*)/.exec(policy)?.[1]?.trim();
}

/** The page's own style is another one for each accent. */
function unhashed(policy: string): string {
  return policy.replace(/ 'sha256-[^']*'/g, "");
}
