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

# Start what serves the channel $1 at /dev/$2, as $server. A terminal starts cooked: until it is raw, it echoes
# and changes what comes.
start_server() {
    case $1 in
        org.qemu.guest_agent.*)
            qemu-ga --method=isa-serial --path="/dev/$2" --statedir=/run &
            server=$!
            ;;
        org.xenwire.echo.*)
            {
                stty raw -echo <&4
                cat <&4 >&4 &
                server=$!
            } 4<>"/dev/$2"
            ;;
    esac
}

# Serve the device $1 of Xen's at /dev/$2 as long as it is there. A later one of the same name is another folder.
# cat ends with its terminal; the agent would stay, and be deaf. A terminal that hangs up because the guest was
# restored has a successor, but whoever opens that at once may still get the old one (Linux 6.1).
serve_channel() {
    server=none
    {
        if name=$(xenstore-read "device/console/${1##*-}/name"); then
            start_server "$name" "$2"
            ln -sfT "../$2" "/dev/xen-channel/$name"
        fi
        echo 1<>/run/served
        while [ /proc/self/fd/3 -ef "$1" ]; do
            pause 1
            [ -e "/proc/$server/exe" ] || { pause 1; start_server "$name" "$2"; }
        done
    } 3<"$1"
    kill "$server"
    rm "/run/$2" "/dev/xen-channel/$name"
} 2>/dev/null

# Xen's consoles from 1 on are channels. A console gets the lowest hvc that is free when it comes (Linux 5.8);
# the primary one has hvc0. /run/hvcN is a link to the device that has it.
serve_new_channels() {
    for device in /sys/bus/xen/devices/console-[1-9]; do
        [ -e "$device/driver" ] || continue
        for taken in /run/hvc*; do
            [ ! "$taken" -ef "$device" ] || continue 2
        done
        number=1
        while [ -L "/run/hvc$number" ]; do
            number=$((number + 1))
        done
        ln -s "$device" "/run/hvc$number"
        serve_channel "$device" "hvc$number" &
        read -r -t 10 _ <>/run/served
    done
}

# A shell with job control at the terminal $1. Unlike a shell, login does not leave SIGINT ignored as `&` has
# set it.
console() {
    while :; do
        setsid -c login -f root <>"/dev/$1" >&0 2>&1
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
mkdir /dev/virtio-ports /dev/xen-channel
mkfifo /run/never /run/served

# The kernel has set the name that was given as hostname= on its command line.
read -r name </proc/sys/kernel/hostname
[ "$name" != "(none)" ] || echo xenwire >/proc/sys/kernel/hostname

for module in /lib/modules/*.ko; do
    [ ! -e "$module" ] || insmod "$module"
done
serve_new_ports
serve_new_channels
# A PV guest of Xen's has a tty0 that nobody sees and a ttyS0 that is not there.
read -r consoles </sys/class/tty/console/active
for console in $consoles; do
    [ "$console" != tty0 ] || continue
    echo "xenwire guest: ready" >"/dev/$console" || continue
    console "$console" &
done 2>/dev/null
while :; do
    pause 0.2
    serve_new_ports
    serve_new_channels
done
