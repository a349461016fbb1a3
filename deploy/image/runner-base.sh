#!/usr/bin/env bash
# A file system for the runner's image: Debian's least, with Git, curl and what else
# is named.   sudo deploy/image/runner-base.sh base.tar [PACKAGE...]
# Needs debootstrap and root, and no container engine.
set -euo pipefail
[ $# -ge 1 ] || { echo "usage: $0 FILE.tar [PACKAGE...]" >&2; exit 2; }
to=$1; shift
packages=$(IFS=,; echo "ca-certificates,curl,git,openssh-client,tzdata${*:+,$*}")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
debootstrap --variant=minbase --include="$packages" "${SUITE:-bookworm}" "$dir/fs"
rm -rf "$dir"/fs/var/cache/apt/* "$dir"/fs/var/lib/apt/lists/* "$dir"/fs/var/log/* "$dir"/fs/dev/* "$dir"/fs/tmp/*
echo 'nonroot:x:65532:65532:nonroot:/tmp:/usr/sbin/nologin' >>"$dir/fs/etc/passwd"
echo 'nonroot:x:65532:' >>"$dir/fs/etc/group"
tar --create --file "$to" --directory "$dir/fs" --sort=name --numeric-owner --mtime="@${SOURCE_DATE_EPOCH:-0}" .
