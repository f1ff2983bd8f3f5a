// The bill of materials of one binary, as CycloneDX 1.6 in JSON: the same contents give the same bytes.
import { Enums, Models, Serialize, Spec, Validation } from "@cyclonedx/cyclonedx-library";
import type { Part } from "./parts.ts";

/** The whole that the parts make up; `sha256` is that of the binary, `direct` has the purls of what it imports. */
export type Whole = {
  name: string;
  version: string;
  license: string;
  sha256: string;
  direct: string[];
  date: Date;
};

/** Throws an Error where the bill would not be valid. */
export async function billOfMaterials(whole: Whole, parts: readonly Part[]): Promise<string> {
  const { name, version, license, sha256, direct, date } = whole;
  const cip = new Models.Component(Enums.ComponentType.Application, name, {
    version,
    bomRef: name,
    purl: `pkg:generic/${name}@${version}`,
    licenses: new Models.LicenseRepository([new Models.SpdxLicense(license)]),
    hashes: new Models.HashDictionary([[Enums.HashAlgorithm["SHA-256"], sha256]]),
  });
  const components = new Map(parts.map((part) => [part.purl, component(part)]));
  const connect = (from: Models.Component, purls: readonly string[]) => {
    for (const found of purls.map((purl) => components.get(purl)))
      if (found) from.dependencies.add(found.bomRef);
  };
  connect(cip, direct);
  for (const { purl, needs } of parts) connect(components.get(purl) ?? cip, needs);
  const bom = new Models.Bom({
    metadata: new Models.Metadata({ timestamp: date, component: cip }),
    components: new Models.ComponentRepository(components.values()),
  });
  // A number of its own for each state, and not a random one.
  bom.serialNumber = `urn:uuid:${Bun.randomUUIDv5(`${name}@${version}#${sha256}`, "url")}`;
  const normalize = new Serialize.JSON.Normalize.Factory(Spec.Spec1dot6);
  const json = new Serialize.JsonSerializer(normalize).serialize(bom, { sortLists: true, space: 2 });
  const wrong = await new Validation.JsonStrictValidator(Spec.Version.v1dot6).validate(json);
  if (wrong !== null) throw new Error(`the bill of materials is not valid: ${JSON.stringify(wrong)}`);
  return `${json}\n`;
}

function component({ name, version, purl, license, hash }: Part): Models.Component {
  const kind = name.startsWith("@oven/") ? Enums.ComponentType.Platform : Enums.ComponentType.Library;
  const [, group, rest = name] = /^(@[^/]+)\/(.+)$/.exec(name) ?? [];
  return new Models.Component(kind, rest, {
    ...(group ? { group } : {}),
    version,
    purl,
    bomRef: purl,
    licenses: new Models.LicenseRepository([new Models.SpdxLicense(license)]),
    hashes: new Models.HashDictionary(hash ? [[Enums.HashAlgorithm[hash[0]], hash[1]]] : []),
  });
}
