// nginx as a relay that buffers nothing: what an operator would put in front of a model who needs no more than that.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, temporaryFolder } from "../../support.ts";
import { fromDebian } from "./install.ts";
import { launch, type Peer } from "./peer.ts";

export const nginx: Peer = {
  name: "nginx",
  missing: () => fromDebian(["nginx"], ["nginx", "-v"]),
  async start(setting) {
    const port = await freePort();
    const cwd = temporaryFolder();
    writeFileSync(join(cwd, "nginx.conf"), configuration(port, setting.modelPort, cwd));
    return launch({ command: ["nginx", "-e", "stderr", "-c", join(cwd, "nginx.conf")], port, cwd }, setting);
  },
};

const configuration = (port: number, modelPort: number, folder: string) => `
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 16384;
pid ${folder}/pid;
error_log stderr error;
events { worker_connections 8192; }
http {
  access_log off;
  tcp_nodelay on;
  ${["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${folder}/${kind};`).join(" ")}
  upstream model { server 127.0.0.1:${modelPort}; keepalive 256; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = / { return 204; }
    location / {
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 60s;
    }
  }
}
`;
