#!/bin/sh
# Makes a root disk, in namespaces of our own: nothing is left mounted, whatever happens.
# Arguments: folder to mount the work in, sources.list line, packages (a,b,...), folder of the kernel's files,
# the system's sources.list, folder of files to add, script that sets the system up, disk to make, its size and
# its label. Lines that start with "phase: " tell how far it is.
set -eu
root=$1 source=$2 packages=$3 kernel=$4 sources=$5 files=$6 setup=$7 disk=$8 size=$9 label=${10}
PATH=$PATH:/usr/sbin:/sbin  # not in the path of ordinary users
umask 022

# In memory: no disk is waited for, and what belongs to other users goes with us.
mount -t tmpfs -o mode=755,size=1G rootdisk "$root"

echo "phase: installing packages"
mmdebstrap --mode=root --variant=essential --format=directory --skip=check/empty \
    --setup-hook='for d in bin lib lib64 sbin; do mkdir -p "$1/usr/$d" && ln -s "usr/$d" "$1/$d"; done' \
    --dpkgopt=force-unsafe-io --include="$packages" "" "$root" "$source"

echo "phase: adding the kernel's modules"
tar -c -C "$kernel" --exclude=usr/share --exclude='*/kernel/sound' \
    --exclude='*/kernel/drivers/gpu' --exclude='*/kernel/drivers/iio' --exclude='*/kernel/drivers/infiniband' \
    --exclude='*/kernel/drivers/media' --exclude='*/kernel/drivers/net/wireless' . |
    tar -x -C "$root" --keep-directory-symlink --no-same-owner
for version in "$root"/lib/modules/*; do
    chroot "$root" depmod "${version##*/}"
done

# Nothing of this machine, nothing of how it was made, nothing to read.
cp "$sources" "$root/etc/apt/sources.list"
cp -r "$files/." "$root"
chroot "$root" sh -eu <"$setup"
cd "$root"
: >etc/resolv.conf
rm -rf etc/apt/apt.conf.d/99mmdebstrap etc/dpkg/dpkg.cfg.d/99mmdebstrap dev/* \
    usr/share/doc/* usr/share/info/* usr/share/lintian usr/share/locale/* usr/share/man/* \
    usr/lib/udev/hwdb.*

# Without a journal and checksums: the disk is thrown away after each use, or kept with the memory that goes
# with it. All inodes are there from the start, so that no kernel has to make them.
echo "phase: making the root disk"
mkfs.ext4 -q -d . -L "$label" -m 0 -N 65536 -O ^has_journal,^metadata_csum,^resize_inode \
    -E lazy_itable_init=0,root_owner=0:0 "$disk" "$size"
sync "$disk"
