#!/bin/sh
# The first process of the tiny guest. `sh` is busybox.

# A sleep without a process of its own, which a trap cuts short.
pause() {
    read -r -t "$1" _ <>/run/never
}

# Keep the QEMU guest agent running as long as port $1 is there.
agent() {
    while [ -e "/dev/$1" ]; do
        qemu-ga --method=virtio-serial --path="/dev/$1" --statedir=/run
        sleep 1
    done
}

# Whether anybody is at the host's end of port $1.
host_connected() {
    while read -r key value; do
        [ "$key" != host_connected: ] || return $((1 - value))
    done <"/sys/kernel/debug/virtio-ports/$1"
}

# Give back what comes in at port $1 as long as it is there. A port can be opened only once. It stays open, for
# closing it throws away what has come in meanwhile. Reading it ends at once while nobody is at the host's end.
echo_back() {
    exec 3<>"/dev/$1"
    while [ /proc/self/fd/3 -ef "/dev/$1" ]; do
        if host_connected "$1"; then
            cat <&3 >&3
        else
            pause 0.2
        fi
    done
}

# Ports get their names a moment after their driver has loaded, and come and go with their channels.
serve_new_ports() {
    for folder in /sys/class/virtio-ports/*; do
        port=${folder##*/}
        read -r name 2>/dev/null <"$folder/name" || continue
        [ ! -e "/dev/virtio-ports/$name" ] || continue
        ln -sf "../$port" "/dev/virtio-ports/$name"
        case $name in
            org.qemu.guest_agent.*) agent "$port" & ;;
            org.xenwire.echo.*) echo_back "$port" & ;;
        esac
    done
}

# A shell with job control. Unlike a shell, login does not leave SIGINT ignored as `&` has set it.
console() {
    while :; do
        setsid cttyhack login -f root
        sleep 1
    done
}

# What busybox's poweroff, halt and reboot ask of init.
trap 'poweroff -f' USR2
trap 'halt -f' USR1
trap 'reboot -f' TERM

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t debugfs debugfs /sys/kernel/debug
mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp
mkdir /dev/virtio-ports
mkfifo /run/never

# The kernel has set the name that was given as hostname= on its command line.
read -r name </proc/sys/kernel/hostname
[ "$name" != "(none)" ] || echo xenwire >/proc/sys/kernel/hostname

for module in /lib/modules/*.ko; do
    [ ! -e "$module" ] || insmod "$module"
done
serve_new_ports
echo "xenwire guest: ready"
console &
while :; do
    pause 0.2
    serve_new_ports
done
