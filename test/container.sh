#!/bin/sh
# Builds the Dockerfile for real with buildah and runs the image: its health check, one turn, SIGTERM.
# No image is pulled: each name after FROM is given to a stand-in made of this machine's own Debian and Bun from npm.
set -eu
cd "$(dirname "$0")/.."

log= # what the step under way writes; shown when it fails
refuse() {
  [ ! -f "$log" ] || cat "$log" >&2
  echo "container: $1" >&2
  exit 1
}
passed() { echo "container: ok, $1"; }

[ "$(id -u)" = 0 ] || refuse "must run as root, to mount and chroot"
for tool in apt-get buildah debootstrap npx curl pgrep; do
  command -v "$tool" >/dev/null ||
    refuse "$tool is missing; on Debian: apt-get install -y buildah debootstrap npm curl procps"
done

cache=/var/cache/cip-container
work=$(mktemp -d "${TMPDIR:-/tmp}/cip-container.XXXXXX")
export BUILDAH_ISOLATION=chroot npm_config_loglevel=error
buildah() { command buildah --storage-driver vfs --root "$work/images" --runroot "$work/run" "$@"; }

run= # the process id of `buildah run`, while it runs
# Its chroot isolation shares the process ids: cip is the last in a chain of only children.
cip_of() {
  pid=$1
  while child=$(pgrep -P "$pid"); do pid=$child; done
  echo "$pid"
}
clean() {
  [ -z "$run" ] || kill -9 "$(cip_of "$run")" 2>/dev/null || true
  wait # for buildah to take its mounts away
  buildah rm --all >/dev/null 2>&1 || true
  rm -rf --one-file-system "$work" # never into what may still be mounted there
}
trap clean EXIT
trap 'exit 1' HUP INT TERM

# ---- The two images the Dockerfile starts from

build_image=$(sed -n 's/^FROM \([^ ]*\) AS build$/\1/p' Dockerfile)
run_image=$(sed -n 's/^FROM \([^ ]*\)$/\1/p' Dockerfile)
bun_version=$(expr "$build_image" : '.*oven/bun:\([0-9.]*\)') || refuse "no Bun version in the first FROM line"

# A minimal Debian, from the mirror apt is configured with.
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
debian=$cache/$suite.tar
if [ ! -f "$debian" ]; then
  mirror=$(apt-get indextargets --format '$(REPO_URI)' "Release: $suite" "Component: main" | head -n 1)
  [ -n "$mirror" ] || refuse "apt is configured with no mirror of $suite"
  echo "container: making a minimal Debian $suite, once"
  log=$work/debootstrap.log
  debootstrap --variant=minbase "$suite" "$work/debian" "$mirror" >"$log" 2>&1 || refuse "debootstrap failed"
  mkdir -p "$cache"
  tar -cf "$debian.part" -C "$work/debian" --exclude='./var/lib/apt/lists/*' --exclude='./var/cache/apt/*' .
  mv "$debian.part" "$debian"
  rm -rf "$work/debian"
fi

# The first is that Debian with Bun; it is told of this machine's package registry and certificates.
bun=$(npx -y "bun@$bun_version" -e 'process.stdout.write(process.execPath)')
certificates=/etc/ssl/certs/ca-certificates.crt
build_base=$(buildah from scratch)
build_root=$(buildah mount "$build_base")
tar -xf "$debian" -C "$build_root"
cp "$bun" "$build_root/usr/local/bin/bun"
buildah config --env PATH=/usr/local/bin:/usr/bin:/bin --env "NODE_EXTRA_CA_CERTS=$certificates" \
  --env "NPM_CONFIG_REGISTRY=$(npm config get registry)" "$build_base"
buildah commit --quiet "$build_base" "$build_image" >/dev/null

# The second is libc alone: what needs a shell or any other program at run time fails here.
run_base=$(buildah from scratch)
run_root=$(buildah mount "$run_base")
chroot "$build_root" dpkg-query -L base-files libc6 | sed 's,^/,,' >"$work/files"
(cd "$build_root" && tar -cf - --no-recursion usr usr/lib* lib* --files-from "$work/files") | tar -xf - -C "$run_root"
buildah config --env PATH=/usr/local/bin:/usr/bin:/bin --user 65532 "$run_base"
buildah commit --quiet "$run_base" "$run_image" >/dev/null
[ ! -e "$run_root/bin/sh" ] || refuse "the stand-in for $run_image has a shell"

# ---- The build

set --
npmrc=$(npm config get userconfig)
[ ! -f "$npmrc" ] || set -- --volume "$npmrc:/root/.npmrc:ro"
[ ! -f "$certificates" ] || set -- "$@" --volume "$certificates:$certificates:ro"
log=$work/build.log
buildah build --pull-never --format docker --tag cip:test "$@" . >"$log" 2>&1 || refuse "the build failed"
passed "the Dockerfile builds"

# ---- The image

field() { buildah inspect --type image --format "{{range .Docker.Config.$1}}{{println .}}{{end}}" cip:test; }
entrypoint=$(field Entrypoint)
health=$(field Healthcheck.Test | sed '1{/^CMD$/!q1;d}') || refuse "the health check is no exec form"
container=$(buildah from --pull-never cip:test)
root=$(buildah mount "$container")
port=$("$bun" -e 'const s = Bun.serve({ port: 0, fetch: () => new Response() }); console.log(s.port); s.stop()')
in_container() { buildah run --env "PORT=$port" "$container" -- "$@"; }

touch "$work/started"
log=$work/cip.log
# shellcheck disable=SC2086 # one word a line, none with a space
in_container $entrypoint >"$log" 2>&1 &
run=$!

tries=0
# shellcheck disable=SC2086
until in_container $health >/dev/null 2>&1; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || refuse "not healthy after 60 tries"
  kill -0 "$run" 2>/dev/null || refuse "ended before it was healthy"
  sleep 0.5
done
passed "$(echo $health) says that it is healthy"

server=$(cip_of "$run")
user=$(awk '/^Uid:/ { print $2 }' "/proc/$server/status")
[ "$user" = "$(sed -n 's/^USER \([0-9]*\):.*/\1/p' Dockerfile)" ] && [ "$user" != 0 ] || refuse "runs as user $user"
passed "runs as user $user"

post() {
  curl --silent --show-error --fail --max-time 60 --header 'content-type: application/json' \
    --header 'accept: application/json' "http://127.0.0.1:$port/v1/default/$@"
}
token=$(post visitors --data '{}' | sed -n 's/.*"token":"\([^"]*\)".*/\1/p')
[ -n "$token" ] || refuse "no visitor token"
turn=$(post turns --header "authorization: Bearer $token" --data '{"message":"Hello from a container"}')
echo "$turn" | grep -q '"status":"done"' || refuse "the turn is not done: $turn"
passed "a whole turn on the embedded database and the demo model"

kill -TERM "$server"
tries=0
while kill -0 "$server" 2>/dev/null; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || refuse "still running 30 s after SIGTERM"
  sleep 0.5
done
code=0
wait "$run" || code=$?
run=
[ "$code" = 0 ] || refuse "SIGTERM ended it with $code"
passed "SIGTERM ends it with 0"

strays=$(find "$root" -xdev -uid "$user" -newer "$work/started" ! -path "$root/app/data*" ! -path "$root/tmp*")
[ -z "$strays" ] || refuse "it wrote outside of its data folder: $strays"
passed "wrote nothing outside of its data folder and /tmp"

echo "container: the binary is $(du -sm "$root/usr/local/bin/cip" | cut -f 1) MB of the image"
