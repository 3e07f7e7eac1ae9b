#!/bin/bash
# Installs what the lab of tests/nfs needs on Debian: as root, as often as one likes.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "install.sh must run as root"; exit 1; }
need=(user-mode-linux nfs-common nfs-ganesha nfs-ganesha-vfs iproute2 kmod util-linux)

missing=()
for package in "${need[@]}"; do
  dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then # the lab starts its own server; the packages are to start none
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    trap 'rm -f $policy' EXIT
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

[ -e /etc/machine-id ] || : >/etc/machine-id # each guest mounts one of its own over it
if [ ! -e /dev/net/tun ]; then # a container may lack the node though its kernel has the driver
  mkdir -p /dev/net
  mknod /dev/net/tun c 10 200
fi
