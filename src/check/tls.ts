// Whether browsers will trust the server's certificate, and for how long.
import { isIP } from "node:net";
import { connect } from "node:tls";
import { about, type Result, wordsOf } from "./result.ts";

const timeoutMs = 10_000;
const dayMs = 86_400_000;
const daysLeftMin = 14;
const { ok, warn, fail } = about("certificate");

export async function certificate({ hostname, port }: URL): Promise<Result> {
  const host = hostname.replace(/^\[|\]$/g, "");
  const { promise, resolve, reject } = Promise.withResolvers<Result>();
  const name = isIP(host) ? {} : { servername: host };
  // One that does not hold is to be looked at, too.
  const socket = connect({ host, port: Number(port || 443), rejectUnauthorized: false, ...name }, () => {
    const { valid_to: until } = socket.getPeerCertificate();
    resolve(
      judged(Date.parse(until), socket.authorized ? undefined : wordsOf(socket.authorizationError ?? {})),
    );
  });
  socket.setTimeout(timeoutMs, () => reject(new Error(`no TLS within ${timeoutMs / 1000} s`)));
  socket.on("error", reject);
  try {
    return await promise;
  } catch (error) {
    return fail(wordsOf(error), "see that the proxy serves TLS on this port");
  } finally {
    socket.destroy();
  }
}

function judged(until: number, mistrust: string | undefined): Result {
  const days = Math.floor((until - Date.now()) / dayMs);
  const renew = "see that it is renewed by itself";
  if (days < 0) return fail(`ended ${-days} days ago`, renew);
  if (mistrust)
    return fail(`browsers will not trust it: ${mistrust}`, "serve one for this name, with its whole chain");
  return days < daysLeftMin ? warn(`ends in ${days} days`, renew) : ok(`trusted, ends in ${days} days`);
}
