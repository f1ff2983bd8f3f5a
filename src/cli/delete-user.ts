// `cip delete-user`: what DELETE /visitors/me does, for an operator: all that is stored of one user is gone.
import { loadInstance } from "../config/config.ts";
import { DataDirHeld } from "../db/datadir.ts";
import { type Removed, remove } from "../keep/mydata.ts";
import { keyOf } from "../rows/users.ts";
import { type Command, Refusal } from "./command.ts";
import { amount, stored, tenantId, using } from "./stored.ts";

export const deleteUser: Command = {
  usage: "<tenant> <user_id>",
  help: "delete all that is stored of a user; --anonymous: the id is one that cip gave",
  options: { anonymous: { type: "boolean" } },
  async run({ words: [tenant = "", userId = ""], flags }) {
    const id = tenantId(tenant);
    if (flags.anonymous && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(userId))
      throw new Refusal("The id of an anonymous user is a UUID.", 2);
    const instance = loadInstance(process.cwd());
    const place = await stored(instance).catch((error: unknown) => {
      throw error instanceof DataDirHeld ? new Refusal(elsewhere(error, id, userId, flags.anonymous)) : error;
    });
    try {
      const key = flags.anonymous ? userId : keyOf(userId);
      const removed = await using(instance, () => remove(place.db, id, key));
      process.stdout.write(`${words(removed)} the user ${userId} of ${id}.\n`);
      return 0;
    } finally {
      await place.close();
    }
  },
};

function words({ conversations, turns, profile }: Removed): string {
  if (conversations === 0 && !profile) return "Nothing is stored of";
  const said = `${amount(conversations, "conversation")} with ${amount(turns, "turn")}`;
  return `Deleted ${said}${profile ? ", and name and e-mail address," : ""} of`;
}

function elsewhere(error: DataDirHeld, id: string, userId: string, anonymous: unknown): string {
  const query = `user_id=${encodeURIComponent(userId)}${anonymous ? "&anonymous=true" : ""}`;
  return `${error.message}\nOr ask that one, with an API key of the site: DELETE /v1/${id}/visitors/me?${query}`;
}
