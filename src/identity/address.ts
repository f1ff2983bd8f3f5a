// Where a request comes from, as its sender is counted: what only a sender says about itself is never believed.
import { isIP, isIPv4 } from "node:net";
import { log } from "../log.ts";

type Listener = { requestIP(request: Request): { address: string } | null } | null;

let told = false;

/** What `cip check --live` says of itself: addresses of TEST-NET-1 (RFC 5737), which are nobody's. */
export const marker = "192.0.2.1";

/**
 * An IPv4 address, or the /64 of an IPv6 one: of a subscriber's /64 every address is free to use. Each trusted proxy
 * vouches for one more entry of X-Forwarded-For, from the right; the first entry that is no address ends the walk.
 */
export function addressOf(request: Request, listener: Listener, trustedProxies: number): string {
  let address = countedAs(listener?.requestIP(request)?.address ?? "") ?? "unknown";
  const forwarded = request.headers.get("x-forwarded-for"); // several lines come as one list
  if (forwarded === null) return address;
  if (trustedProxies === 0) {
    if (!forwarded.startsWith(marker)) warnOnce();
    return address;
  }
  for (const entry of forwardedFor(request).reverse().slice(0, trustedProxies)) {
    const next = countedAs(withoutPort(entry.trim()));
    if (next === undefined) break;
    address = next;
  }
  return address;
}

/** What is said about where the request comes from, by anybody: the nearest proxy's word is the last. */
export function forwardedFor(request: Request): string[] {
  const forwarded = request.headers.get("x-forwarded-for") ?? "";
  return forwarded.split(",").filter((entry) => entry.trim() !== "");
}

function warnOnce(): void {
  if (told) return;
  told = true;
  log.warn(
    "a request came with X-Forwarded-For, which does not count: behind a proxy all visitors are one address; " +
      "set TRUSTED_PROXIES to the number of proxies in front",
  );
}

/** Proxies write `1.2.3.4`, `1.2.3.4:567`, `2001:db8::1`, `[2001:db8::1]` and `[2001:db8::1]:567`. */
function withoutPort(entry: string): string {
  const [, bracketed, plain] = /^\[([^\]]*)\](?::\d+)?$|^([\d.]+):\d+$/.exec(entry) ?? [];
  return bracketed ?? plain ?? entry;
}

function countedAs(text: string): string | undefined {
  if (isIPv4(text)) return text;
  const [withoutZone = ""] = text.split("%");
  if (isIP(withoutZone) !== 6) return undefined;
  const groups = groupsOf(withoutZone);
  const [g5, high = 0, low = 0] = groups.slice(5);
  if (g5 === 0xffff && groups.slice(0, 5).every((group) => group === 0))
    return [high >> 8, high & 255, low >> 8, low & 255].join("."); // IPv4-mapped (RFC 4291, 2.5.5.2)
  const network = groups.slice(0, 4).map((group) => group.toString(16));
  return `${network.join(":")}::/64`;
}

/** The eight groups of an IPv6 address. The URL parser has written an IPv4 part as two of them. */
function groupsOf(address: string): number[] {
  const [left = [], right = []] = new URL(`http://[${address}]`).hostname
    .slice(1, -1)
    .split("::")
    .map((half) => half.split(":").filter((group) => group !== ""));
  const zeros = new Array<string>(8 - left.length - right.length).fill("0");
  return [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16));
}
