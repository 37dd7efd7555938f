#!/bin/sh
# Process 1 of a lab's dom0: what Debian's start scripts do for Xen, in seconds, then the agent for ever.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=vt100 LANG=C.UTF-8

# The ramdisk has mounted /dev and /run.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mkdir -p /dev/pts /dev/shm /run/lock /run/xen /run/xenstored /var/log/xen
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /tmp
ip link set lo up

for module in xenfs xen-evtchn xen-gntdev xen-gntalloc xen-privcmd virtio_console virtio_rng; do
    modprobe "$module"
done
mount -t xenfs xenfs /proc/xen

xen=$(echo /usr/lib/xen-4.*/bin)
case $(cat /proc/cmdline) in
    *xenwire.xenstored=ocaml*) xenstored=oxenstored ;;
    *) xenstored=xenstored ;;
esac
"$xen/$xenstored" --pid-file=/run/xen/xenstored.pid
until xenstore-exists /tool 2>/dev/null || xenstore-write /tool/xenwire-lab 1 2>/dev/null; do
    sleep 0.1
done
"$xen/xen-init-dom0"
"$xen/xenconsoled" --log=guest --log-dir=/var/log/xen --pid-file=/run/xen/xenconsoled.pid

# The console is for people; commands come through the agent.
(while :; do setsid -c sh -i </dev/hvc0 >/dev/hvc0 2>&1; sleep 1; done) &
while :; do
    python3 -S /run/xenwire/dom0_agent.py >/dev/hvc0 2>&1
    sleep 1
done
