// Checks a value against the part of JSON Schema (2020-12) that our documents use; a keyword it does not know fails.

export type Schema = { [keyword: string]: unknown };

const annotations = new Set(["description", "title", "default", "examples"]);
const formats: Record<string, RegExp> = {
  uuid: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  "date-time": /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/,
};

/** Where and why `value` is not as the schema says; nothing where it is. */
export function mistakes(schema: Schema, value: unknown, at = "$"): string[] {
  const found = Object.entries(schema).flatMap(([keyword, wanted]) => {
    if (annotations.has(keyword)) return [];
    const check = checks[keyword];
    return check ? check(wanted as never, value, at, schema) : [`${at}: unknown keyword ${keyword}`];
  });
  return found;
}

type Check = (wanted: never, value: unknown, at: string, schema: Schema) => string[];

const checks: Record<string, Check> = {
  type: (wanted: string, value, at) => (typesOf(value).includes(wanted) ? [] : [`${at}: is no ${wanted}`]),
  const: (wanted: unknown, value, at) => (value === wanted ? [] : [`${at}: is not ${wanted}`]),
  enum: (wanted: unknown[], value, at) => (wanted.includes(value) ? [] : [`${at}: is none of ${wanted}`]),
  format: (wanted: string, value, at) =>
    typeof value !== "string" || formats[wanted]?.test(value) ? [] : [`${at}: is no ${wanted}`],
  maxLength: (wanted: number, value, at) =>
    typeof value === "string" && value.length > wanted ? [`${at}: has more than ${wanted} characters`] : [],
  anyOf: (wanted: Schema[], value, at) =>
    wanted.some((schema) => mistakes(schema, value, at).length === 0)
      ? []
      : [`${at}: matches no alternative`],
  items: (wanted: Schema, value, at) =>
    Array.isArray(value) ? value.flatMap((item, i) => mistakes(wanted, item, `${at}[${i}]`)) : [],
  required: (wanted: string[], value, at) =>
    isObject(value) ? wanted.filter((name) => !(name in value)).map((name) => `${at}: has no ${name}`) : [],
  properties: (wanted: Record<string, Schema>, value, at) =>
    isObject(value)
      ? Object.entries(wanted).flatMap(([name, schema]) =>
          name in value ? mistakes(schema, value[name], `${at}.${name}`) : [],
        )
      : [],
  additionalProperties: (wanted: false | Schema, value, at, { properties = {} }) =>
    isObject(value)
      ? Object.entries(value)
          .filter(([name]) => !(name in (properties as object)))
          .flatMap(([name, member]) =>
            wanted === false
              ? [`${at}: has ${name}, which is not described`]
              : mistakes(wanted, member, `${at}.${name}`),
          )
      : [],
  maxProperties: (wanted: number, value, at) =>
    isObject(value) && Object.keys(value).length > wanted ? [`${at}: has more than ${wanted} members`] : [],
};

function typesOf(value: unknown): string[] {
  if (value === null) return ["null"];
  if (Array.isArray(value)) return ["array"];
  return Number.isInteger(value) ? ["integer", "number"] : [typeof value];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
