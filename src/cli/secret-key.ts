// `cip secret-key`: the key that cip made for itself, as a line of .env, so that tokens outlive a move to another database.
import { loadInstance } from "../config/config.ts";
import { sharedSecret } from "../identity/keys.ts";
import { type Command, Refusal } from "./command.ts";
import { stored, using } from "./stored.ts";

export const secretKey: Command = {
  usage: "",
  help: "print the key that is kept in the database, as a line of .env",
  async run() {
    const instance = loadInstance(process.cwd());
    if (instance.secretKey) throw new Refusal("SECRET_KEY is set already; take it along from there.");
    const place = await stored(instance);
    try {
      process.stdout.write(`SECRET_KEY=${await using(instance, () => sharedSecret(place.db))}\n`);
      return 0;
    } finally {
      await place.close();
    }
  },
};
