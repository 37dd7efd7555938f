# Sets the Debian guest up, run in its root before it ever boots.
echo debian >/etc/hostname
printf '127.0.0.1 localhost\n127.0.1.1 debian\n' >/etc/hosts
: >/etc/machine-id # empty, not missing: each guest gets an id of its own, without the ado of a first boot
passwd -d root

systemctl enable xenwire-guest-agent.service xenwire-seed.service

# An address by DHCP where there is somebody to ask; nothing waits for it.
systemctl enable systemd-networkd.service
systemctl mask systemd-networkd-wait-online.service

# Under software emulation each thing that starts costs half a second, and more under Xen: what an emulated
# machine has no use for does not start, nor what sets to work on its own account while somebody measures.
systemctl mask dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount sys-kernel-config.mount \
    sys-kernel-debug.mount sys-kernel-tracing.mount proc-sys-fs-binfmt_misc.automount systemd-binfmt.service \
    modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service modprobe@efi_pstore.service \
    modprobe@fuse.service modprobe@loop.service systemd-random-seed.service systemd-update-utmp.service \
    systemd-update-utmp-runlevel.service getty@tty1.service \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer systemd-tmpfiles-clean.timer
touch /etc/.updated /var/.updated # or what follows an upgrade of /usr is done at each boot
