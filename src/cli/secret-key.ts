// `cip secret-key`: the key that cip made for itself, as a line of .env, so that tokens outlive a move to another database.
import { loadInstance } from "../config/config.ts";
import { sharedSecret } from "../identity/keys.ts";
import { Refusal } from "./command.ts";
import { stored, using } from "./stored.ts";

export async function run(): Promise<number> {
  const instance = loadInstance(process.cwd());
  if (instance.secretKey) throw new Refusal("SECRET_KEY is set already; take it along from there.");
  const place = await stored(instance);
  try {
    process.stdout.write(`SECRET_KEY=${await using(instance, () => sharedSecret(place.db))}\n`);
    return 0;
  } finally {
    await place.close();
  }
}
