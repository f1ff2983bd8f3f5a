// `cip delete-user`: what DELETE /visitors/me does, for an operator: all that is stored of one user is gone.
import { loadInstance } from "../config/config.ts";
import { DataDirHeld } from "../db/datadir.ts";
import { conversations } from "../keep/export.ts";
import { type Removed, remove } from "../keep/mydata.ts";
import { keyOf } from "../rows/users.ts";
import { type Given, Refusal } from "./command.ts";
import { amount, stored, tenantId, using } from "./stored.ts";

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export async function run({ words: [tenant = "", userId = ""], flags }: Given): Promise<number> {
  const id = tenantId(tenant);
  if (userId.trim() === "") throw new Refusal("The user's id is empty; nothing was deleted.", 2);
  if (flags.anonymous && !uuid.test(userId)) throw new Refusal("The id of an anonymous user is a UUID.", 2);
  const instance = loadInstance(process.cwd());
  const place = await stored(instance).catch((error: unknown) => {
    throw error instanceof DataDirHeld ? new Refusal(elsewhere(error, id, userId, flags.anonymous)) : error;
  });
  try {
    const key = flags.anonymous ? userId : keyOf(userId);
    const removed = await using(instance, () => remove(place.db, id, key));
    process.stdout.write(`${words(removed)} the user ${userId} of ${id}.\n`);
    if (isNothing(removed)) {
      // A name mistyped must not pass for a promise kept.
      const any = await using(instance, () => place.db.tenant(id, (tx) => conversations(tx, 1, undefined)));
      if (any.length === 0) process.stderr.write(`cip: nor is anything of anybody else of a tenant ${id}\n`);
      else if (!flags.anonymous && uuid.test(userId))
        process.stderr.write("cip: an id that cip gave to an anonymous user needs --anonymous\n");
    }
    return 0;
  } finally {
    await place.close();
  }
}

function isNothing({ conversations, profile }: Removed): boolean {
  return conversations === 0 && !profile;
}

function words(removed: Removed): string {
  if (isNothing(removed)) return "Nothing is stored of";
  const { conversations, turns, profile } = removed;
  const said = `${amount(conversations, "conversation")} with ${amount(turns, "turn")}`;
  return `Deleted ${said}${profile ? ", and name and e-mail address," : ""} of`;
}

function elsewhere(error: DataDirHeld, id: string, userId: string, anonymous: unknown): string {
  const query = `user_id=${encodeURIComponent(userId)}${anonymous ? "&anonymous=true" : ""}`;
  return `${error.message}\nOr ask that one, with an API key of the site: DELETE /v1/${id}/visitors/me?${query}`;
}
