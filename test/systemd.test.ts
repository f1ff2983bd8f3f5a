// deploy/cip.service: started for real where systemd runs, else judged by systemd's own tools.
import { expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { settings } from "../src/config/settings.ts";
import { binary } from "./server.ts";
import { atTheEnd, freePort, leftOut, repository, temporaryFolder, until } from "./support.ts";

const unit = readFileSync(join(repository, "deploy/cip.service"), "utf8");
const value = (name: string) => new RegExp(`^${name}=(.*)$`, "m").exec(unit)?.[1];

function command(...args: string[]) {
  const { exitCode, stdout, stderr } = Bun.spawnSync(args);
  return { status: exitCode, said: `${stdout}${stderr}` };
}

test("the unit lets answers under way be finished, and the engine compile", () => {
  expect(Number(value("TimeoutStopSec")) * 1000).toBeGreaterThan(Number(settings.DRAIN_MS.default) + 10_000);
  expect(value("MemoryDenyWriteExecute")).toBeUndefined();
  expect(value("ExecReload")).toBe("/bin/kill -HUP $MAINPID");
});

test("systemd finds nothing wrong in the unit, and little that it exposes", async () => {
  if (!Bun.which("systemd-analyze")) return leftOut("the unit of systemd", "no systemd-analyze");
  const path = join(temporaryFolder(), "cip.service");
  writeFileSync(path, unit.replace("/usr/local/bin/cip", await binary()));
  expect(command("systemd-analyze", "verify", "--man=no", path)).toEqual({ status: 0, said: "" });
  // Of 10: what is left is that it talks to the network and compiles while it runs.
  const exposure = command(
    "systemd-analyze",
    "security",
    "--offline=true",
    "--threshold=20",
    "--no-pager",
    path,
  );
  expect(exposure.status, exposure.said).toBe(0);
});

test("systemd starts cip as its own user, restarts it when it dies, reloads it and stops it in order", async () => {
  if (!existsSync("/run/systemd/system") || process.getuid?.() !== 0)
    return leftOut("a start by systemd", "no systemd, or not as root");
  const name = `cip-test-${process.pid}`;
  const port = await freePort();
  const program = `/usr/local/lib/${name}`;
  const config = `/etc/${name}`;
  const file = `/run/systemd/system/${name}.service`;
  atTheEnd(() => {
    command("systemctl", "stop", name);
    for (const path of [program, config, file, `/var/lib/${name}`])
      rmSync(path, { recursive: true, force: true });
    command("systemctl", "daemon-reload");
    command("userdel", name);
  });
  expect(command("useradd", "--system", "--shell", "/usr/sbin/nologin", name).status).toBe(0);
  mkdirSync(program);
  copyFileSync(await binary(), join(program, "cip"));
  chmodSync(join(program, "cip"), 0o755);
  mkdirSync(config, { mode: 0o750 });
  writeFileSync(join(config, ".env"), `PORT=${port}\nHOST=127.0.0.1\n`, { mode: 0o640 });
  expect(command("chown", "-R", `root:${name}`, config).status).toBe(0);
  writeFileSync(
    file,
    unit
      .replace("/usr/local/bin/cip", join(program, "cip"))
      .replace("User=cip", `User=${name}`)
      .replace(/^(ConfigurationDirectory|StateDirectory)=cip$/gm, `$1=${name}`)
      .replaceAll(/(%[ES])\/cip$/gm, `$1/${name}`)
      .replace(/^RestartSec=.*$/m, "RestartSec=0"),
  );
  command("systemctl", "daemon-reload");

  const answers = async () => (await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined))?.ok;
  const show = (property: string) => command("systemctl", "show", "-P", property, name).said.trim();
  const journal = () => command("journalctl", "-u", name, "-n", "30", "--no-pager").said;
  expect(command("systemctl", "start", name)).toEqual({ status: 0, said: "" });
  await until(answers, "cip answers", 60_000).catch((error: Error) => {
    throw new Error(`${error.message}\n${journal()}`);
  });
  const first = show("MainPID");
  expect(command("ps", "-o", "user:64=", "-p", first).said.trim()).toBe(name);
  const data = statSync(`/var/lib/${name}`);
  expect([data.mode & 0o777, data.uid === statSync(config).uid]).toEqual([0o700, false]);

  process.kill(Number(first), "SIGKILL");
  await until(
    async () => ![first, "0"].includes(show("MainPID")) && (await answers()),
    "cip is back",
    60_000,
  );
  const second = show("MainPID");
  expect(command("systemctl", "reload", name)).toEqual({ status: 0, said: "" });
  expect([await answers(), show("MainPID")]).toEqual([true, second]);

  expect(command("systemctl", "stop", name)).toEqual({ status: 0, said: "" });
  expect([show("Result"), show("ExecMainStatus")]).toEqual(["success", "0"]);
}, 180_000);
