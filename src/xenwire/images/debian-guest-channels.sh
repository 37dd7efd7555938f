#!/bin/sh
# Note which terminal has which of Xen's channels, as /run/xen-channels/hvcN, and have udev look at it again.
# A console gets the lowest hvc that is free when it comes (Linux 5.8), which is told nowhere; hvc0 is the
# primary one's.
set -eu
mkdir -p /run/xen-channels
cd /run/xen-channels
exec 9<.
flock 9

# All consoles that have their driver, as console-3:INODE; a later one of the same name has another inode.
found=" "
for device in /sys/bus/xen/devices/console-[1-9]; do
    [ ! -e "$device/driver" ] || found="$found${device##*/}:$(stat -L -c %i "$device") "
done

changed() {
    udevadm trigger --action=change "/sys/class/tty/$1"
}

for terminal in hvc*; do
    [ -e "$terminal" ] || continue
    IFS='=' read -r _ console <"$terminal"
    case $found in
        *" $console "*)
            found="${found%%" $console "*} ${found#*" $console "}"
            ;;
        *)
            rm "$terminal"
            changed "$terminal"
            ;;
    esac
done
for console in $found; do
    number=1
    while [ -e "hvc$number" ]; do
        number=$((number + 1))
    done
    device=${console%:*}
    name=$(xenstore-read "device/console/${device#console-}/name") || name=
    case $name in
        . | .. | */*) name= ;; # not the name of a file
    esac
    printf 'XEN_CONSOLE=%s\nXEN_CHANNEL=%s\n' "$console" "$name" >"hvc$number"
    changed "hvc$number"
done
