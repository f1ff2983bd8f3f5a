// What may follow the ? of an address: which page of a list, and of whom.
import { Type } from "@sinclair/typebox";
import { t } from "elysia";
import { siteUserId } from "./schemas.ts";

export const pageLimit = 50;

export const Page = Type.Object({
  // `t` reads it from text, and its problems then know the title, but not the path.
  limit: t.Optional(t.Integer({ title: "limit", minimum: 1, maximum: 100, default: pageLimit })),
  before: Type.Optional(Type.String({ maxLength: 200 })),
});

const isoTime = (description: string) =>
  Type.String({
    pattern: "^\\d{4}-\\d{2}-\\d{2}(T\\d{2}:\\d{2}(:\\d{2}(\\.\\d{1,3})?)?(Z|[+-]\\d{2}:\\d{2}))?$",
    examples: ["2026-01-31", "2026-01-31T12:00:00Z"],
    description,
  });

/** Which user the site's backend means. */
export const OfUser = Type.Object({
  user_id: Type.Optional(siteUserId("For the site's backend: of this user.")),
  anonymous: Type.Optional(
    Type.Union([Type.Literal("true"), Type.Literal("false")], {
      description: "What `user_id` is; false by default.",
    }),
  ),
});

/** Beyond the page, which of all the site's conversations its backend wants. */
export const Filter = Type.Object({
  ...Page.properties,
  ...OfUser.properties,
  since: Type.Optional(isoTime("For the site's backend: active at this time (ISO 8601) or later.")),
  until: Type.Optional(isoTime("For the site's backend: last active before this time (ISO 8601).")),
});
