// Links that pose as others, each with what must follow its text; nothing must where the text is the address.
import type { Payload } from "./payload.ts";

type Deceit = readonly [name: string, markdown: string, follows: string];

const long = (label: string) => Array.from({ length: 9 }, () => label).join(".");

export const deceits: readonly Deceit[] = [
  ["another site's name", "[paypal.com](https://evil.example)", "evil.example"],
  ["another site's address", "[https://paypal.com/login](https://evil.example/login)", "evil.example"],
  ["a site under another", "[paypal.com](https://paypal.com.evil.example)", "paypal.com.evil.example"],
  ["a user's name", "[paypal.com](https://paypal.com@evil.example)", "evil.example"],
  ["a user's name in view", "<https://paypal.com@evil.example/>", "evil.example"],
  ["a user's name and password", "<https://paypal.com:443@evil.example/>", "evil.example"],
  ["a user's name with a slash that is none", "<https://paypal.com\u2044login@evil.example>", "evil.example"],
  ["a backslash", "[x](https://paypal.com\\\\@evil.example)", "evil.example"],
  ["letters of another alphabet", "[paypal.com](https://p\u0430ypal.com)", "xn--pypal-4ve.com"],
  ["letters of another alphabet in view", "<https://p\u0430ypal.com>", "xn--pypal-4ve.com"],
  ["letters of fullwidth", "[x](https://\uff45vil.example)", "evil.example"],
  ["a dot of another alphabet", "<https://paypal.com\u3002evil.example>", "paypal.com.evil.example"],
  ["a host in escapes", "<https://%65vil.example/>", "evil.example"],
  ["a sharp s", "[x](https://stra\u00dfe.example)", "xn--strae-oqa.example"],
  ["an address of numbers", "[my bank](http://2130706433/)", "127.0.0.1"],
  ["a port", "[x](https://evil.example:8443/)", "evil.example:8443"],
  ["a direction in the text", "[\u202emoc.lapyap\u2069\u202c](https://evil.example)", "evil.example"],
  ["a direction before the text", "\u202e\u2067[paypal.com](https://evil.example)", "evil.example"],
  ["a direction in the address", "[x](https://evil.example/\u202emoc.lapyap)", "evil.example"],
  ["a host of its own in the text", "[PayPal (paypal.com)](https://evil.example)", "evil.example"],
  ["a text that is empty", "[](https://evil.example)", "evil.example"],
  ["a text that cannot be seen", "[\u200b\u2060](https://evil.example)", "evil.example"],
  [
    "a zero width in its own address",
    "[https://evil.example/\u200b](https://evil.example/%E2%80%8B)",
    "evil.example",
  ],
  ["a title", '[x](https://evil.example "https://paypal.com")', "evil.example"],
  ["a picture", "![paypal.com](https://evil.example/p.png)", "evil.example"],
  ["a picture in a link", "[![paypal.com](https://paypal.com/p.png)](https://evil.example)", "evil.example"],
  ["a reference", "[paypal.com][r]\n\n[r]: https://evil.example", "evil.example"],
  ["formatted text", "[**paypal**`.com`](https://evil.example)", "evil.example"],
  ["a mail", "[support@paypal.com](mailto:me@evil.example)", "me@evil.example"],
  ["a mail to more than one", "[x](mailto:a@b.example?cc=c@evil.example&bcc=d@evil.example)", "a@b.example"],
  [
    "a mail with an address for a name",
    "[x](mailto:%22a@paypal.com%22@evil.example)",
    "%22a@paypal.com%22@evil.example",
  ],
  [
    "a host as long as can be",
    `[x](https://${long("paypal.com")}.evil.example)`,
    "paypal.com.p…om.paypal.com.paypal.com.evil.example",
  ],
  ["its own address", "[https://evil.example/x?y](https://evil.example/x?y)", ""],
  ["its own address without a scheme", "[evil.example/x](https://evil.example/x)", ""],
  ["its own host", "[evil.example](https://evil.example/x)", ""],
  ["a bare address", "https://evil.example/x?y=z#w", ""],
  ["a bare host", "www.evil.example", ""],
  ["its own mail", "<me@evil.example>", ""],
  ["a path of another alphabet", "<https://evil.example/\u043c\u043e\u0441\u043a\u0432\u0430>", ""],
];

/** The same as payloads. */
export const posing: readonly Payload[] = deceits.map(([name, markdown]) => [name, markdown]);
