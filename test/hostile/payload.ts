// What a payload is, and what it tries to do: to call `ran`, or to ask something of the host `evil`.

/** A name to find it by when it does harm, and the Markdown or HTML of an answer or a message. */
export type Payload = readonly [name: string, text: string];

export const evil = "https://evil.example";

/** Free of quotes, brackets of HTML and spaces, so that it fits wherever a script can stand. */
export const run = "ran()";
