#!/bin/busybox sh
# The first process of a system with a root disk: mount the disk that root= names, by its device or LABEL=, and
# go on with init=. What came along in /xenwire is in /run/xenwire then.

/bin/busybox mkdir -p /proc /root
/bin/busybox --install -s /bin
export PATH=/bin

# Say why it fails and end the machine, so that whoever waits for it sees that nothing will come.
fail() {
    echo "xenwire initrd: $1"
    sleep 1 # for the console to carry it
    reboot -f
}

mount -t proc proc /proc
mount -t devtmpfs dev /dev
read -r options </proc/cmdline
root=/dev/vda
init=/sbin/init
for option in $options; do
    case $option in
        root=*) root=${option#root=} ;;
        init=*) init=${option#init=} ;;
    esac
done

# Xen's drivers do not load where there is no Xen, and need not.
failed=
for module in /modules/*.ko; do
    insmod "$module" 2>/dev/null || failed="$failed ${module##*/}"
done

find_disk() {
    case $root in
        LABEL=*) disk=$(findfs "$root") ;;
        *) disk=$root ;;
    esac 2>/dev/null
    [ -b "$disk" ]
}

# A disk appears a moment after its driver has loaded.
tries=0
until find_disk; do
    tries=$((tries + 1))
    [ $tries -le 50 ] || fail "there is no disk $root; modules that did not load:${failed:- none}"
    sleep 0.1
done

mount -t ext4 -o noatime "$disk" /root || fail "cannot mount $disk"
mount -t tmpfs -o mode=755 run /root/run
[ ! -d /xenwire ] || cp -a /xenwire /root/run/
umount /proc
mount --move /dev /root/dev
exec switch_root /root "$init" "$@"
