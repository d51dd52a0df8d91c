"""The two programs of a build's pod. Everything they vary by comes as an argument or a variable, never as text.

FETCH  git in an image of ours: exactly one revision, then nothing of git's is left
BUILD  buildctl in BuildKit's image: waits for buildkitd beside it, builds, leaves the digest to the kubelet
"""

from typing import Final

NO_REVISION: Final = 10
NO_CONTEXT: Final = 11
NO_TREE: Final = 12
NO_BUILDER: Final = 20

TREE: Final = "/work/src"
AUTHORITIES: Final = "/run/authorities"
"""Where whom the forge is trusted by lies, in a file `ca.crt`; there may be none, or a blank one."""
FETCH_SECONDS: Final = 300

FETCH: Final = f"""
set -u
fail() {{ printf '%s' "$2" | tee /dev/termination-log; echo; exit "$1"; }}
inside() {{
  found=$(realpath -e -- "{TREE}/$1") && [ -d "$found" ] || return 1
  case "$found/" in {TREE}/*) ;; *) return 1 ;; esac
}}
mkdir -p {TREE} && cd {TREE} || exit 1
git init --quiet . || exit 1
if [ -s {AUTHORITIES}/ca.crt ]; then
  cat /etc/ssl/certs/ca-certificates.crt {AUTHORITIES}/ca.crt >/tmp/trusted.crt || exit 1
  export GIT_SSL_CAINFO=/tmp/trusted.crt
fi
timeout {FETCH_SECONDS} git -c core.hooksPath=/dev/null -c http.followRedirects=false \\
  -c protocol.allow=never -c protocol.http.allow=always -c protocol.https.allow=always \\
  fetch --quiet --no-tags --no-recurse-submodules --depth=1 -- "$GIT_URL" "$REVISION" \\
  || fail {NO_REVISION} "git fetch ended with exit code $?"
GIT_CONFIG_GLOBAL=/dev/null git -c core.hooksPath=/dev/null checkout --quiet --detach "$REVISION" -- \\
  || fail {NO_TREE} "git checkout ended with exit code $?"
rm -rf .git
inside "$CONTEXT" || fail {NO_CONTEXT} "entrypoint.buildContext is not a directory of the repository"
inside "$FOLDER" && [ -f "{TREE}/$FOLDER/$DOCKERFILE" ] \\
  || fail {NO_CONTEXT} "entrypoint.path is not a Dockerfile of the repository"
"""
"""A context that a symbolic link leads out of the tree would be read where the registry login is."""

BUILD: Final = f"""
set -eu
tries=0
until buildctl debug workers >/dev/null 2>&1; do
  tries=$((tries + 1))
  [ "$tries" -lt 300 ] || {{ echo "buildkitd does not answer"; exit {NO_BUILDER}; }}
  sleep 0.2
done
buildctl build --progress plain --metadata-file /tmp/metadata.json "$@" 2>&1
sed -n 's/.*"containerimage.digest": *"\\(sha256:[0-9a-f]*\\)".*/\\1/p' /tmp/metadata.json >/dev/termination-log
"""
