// FastAPI and httpx under uvicorn, all of them Debian's.
import { freePort } from "../../support.ts";
import { fromDebian } from "./install.ts";
import { launch, type Peer } from "./peer.ts";

/** Debian's own Python, whatever other ones the machine has. */
const python = "/usr/bin/python3";

export const fastapi: Peer = {
  name: "FastAPI, httpx",
  missing: () =>
    fromDebian(
      ["python3-fastapi", "python3-httpx", "uvicorn"],
      [python, "-c", "import fastapi, httpx, uvicorn"],
    ),
  async start(setting) {
    const port = await freePort();
    const options = ["--port", `${port}`, "--no-access-log", "--log-level", "error", "--backlog", "4096"];
    const command = [python, "-m", "uvicorn", "relay:app", "--app-dir", import.meta.dir, ...options];
    const env = { MODEL_PORT: `${setting.modelPort}`, PYTHONDONTWRITEBYTECODE: "1" };
    return launch({ command, port, env }, setting);
  },
};
