#!/bin/bash
# The first process of a guest. Its root is the host's, read-only; `lab` and `name` come from the kernel's
# command line. Writable are /run, the lab's share (the host's own directory) and what is mounted later.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 TMPDIR=/run/tmp HOME=/run/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/tmp /run/lock /run/kernel/lib/modules

hostname "$name"
md5sum <<<"$name" | cut -c1-32 >/run/machine-id
mount --bind /run/machine-id /etc/machine-id
mount -t hostfs none "$lab/share" -o "$lab/share"

ln -s "/usr/lib/uml/modules/$(uname -r)" /run/kernel/lib/modules/
modprobe -d /run/kernel nfsv4
ip link set lo up
ip address add "10.77.0.$((10 + ${name#c}))/24" dev vec0
ip link set vec0 up

/usr/bin/python3 "$lab/agent.py" &
while :; do wait -n || sleep 0.5; done # the first process collects every orphan
