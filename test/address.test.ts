// Where a request comes from: what a sender may say of itself, and what a trusted proxy says of it.
import { expect, test } from "bun:test";
import { addressOf } from "../src/identity/address.ts";

const proxy = "10.0.0.1";

function counted(forwarded: string | string[], trustedProxies: number, socket = proxy): string {
  const headers = new Headers();
  for (const line of [forwarded].flat()) headers.append("x-forwarded-for", line);
  const request = new Request("http://localhost/", { headers });
  return addressOf(request, { requestIP: () => ({ address: socket }) }, trustedProxies);
}

const alone = (socket: string) =>
  addressOf(new Request("http://localhost/"), { requestIP: () => ({ address: socket }) }, 0);

test.each([
  ["198.51.100.7", "198.51.100.7"],
  ["::ffff:198.51.100.7", "198.51.100.7"],
  ["::FFFF:c633:6407", "198.51.100.7"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:DB8:1:2::", "2001:db8:1:2::/64"],
  ["2001:db8::1", "2001:db8:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["1:2:3:4:5:6:198.51.100.7", "1:2:3:4::/64"],
  ["", "unknown"],
])("%p counts as %p", (address, as) => {
  expect(alone(address)).toBe(as);
});

test("the addresses of one /64 are one, those of its neighbours others", () => {
  expect(alone("2001:db8:0:1::1")).toBe(alone("2001:db8:0:1:ffff:ffff:ffff:ffff"));
  expect(alone("2001:db8:0:1::1")).not.toBe(alone("2001:db8:0:2::1"));
});

test.each([
  ["no proxy is trusted: what the sender says is not heard", 0, "203.0.113.1", proxy],
  ["one proxy vouches for the last entry", 1, "203.0.113.1, 203.0.113.2", "203.0.113.2"],
  ["two vouch for the last but one", 2, "203.0.113.1, 203.0.113.2, 10.0.0.2", "203.0.113.2"],
  ["fewer entries than proxies: the leftmost", 3, "203.0.113.1, 10.0.0.2", "203.0.113.1"],
  ["an empty entry is none", 1, "203.0.113.1, ,", "203.0.113.1"],
  ["with a port", 1, "203.0.113.1:4711", "203.0.113.1"],
  ["in brackets", 1, "[2001:db8:1:2::5]", "2001:db8:1:2::/64"],
  ["in brackets, with a port", 1, "[2001:db8:1:2::5]:443", "2001:db8:1:2::/64"],
  ["IPv6 bare", 1, "2001:db8:1:2::5", "2001:db8:1:2::/64"],
  ["IPv4 written as IPv6", 1, "::ffff:203.0.113.1", "203.0.113.1"],
  ["no address at all: whoever said so", 1, "unknown", proxy],
  ["no address behind a good one: the good one", 2, "<script>, 10.0.0.2", "10.0.0.2"],
  ["an address that garbage hides counts no more", 3, "203.0.113.1, _hidden, 10.0.0.2", "10.0.0.2"],
  ["leading zeros are no address", 1, "203.000.113.001", proxy],
])("%s", (_what, trustedProxies, forwarded, as) => {
  expect(counted(forwarded, trustedProxies)).toBe(as);
});

test("several lines of the header are one list", () => {
  expect(counted(["203.0.113.1", "203.0.113.2, 203.0.113.3"], 2)).toBe("203.0.113.2");
});
