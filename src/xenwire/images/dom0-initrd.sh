#!/bin/busybox sh
# The first process of dom0: mount the disk that root= names, and go on with init=. What came along in /xenwire
# is in /run/xenwire then.

/bin/busybox mkdir -p /proc /root
/bin/busybox --install -s /bin
export PATH=/bin

# Say why it fails and end the machine, so that whoever waits for it sees that nothing will come.
fail() {
    echo "xenwire dom0: $1"
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

for module in /modules/*.ko; do
    insmod "$module" || fail "cannot load ${module##*/}"
done
# A disk appears a moment after its driver has loaded.
tries=0
until [ -b "$root" ]; do
    tries=$((tries + 1))
    [ $tries -le 50 ] || fail "there is no disk $root"
    sleep 0.1
done

mount -t ext4 -o noatime "$root" /root || fail "cannot mount $root"
mount -t tmpfs -o mode=755 run /root/run
[ ! -d /xenwire ] || cp -a /xenwire /root/run/
umount /proc
mount --move /dev /root/dev
exec switch_root /root "$init" "$@"
