# Sets dom0 up, run in its root before it ever boots.
echo dom0 >/etc/hostname
printf '127.0.0.1 localhost\n127.0.1.1 dom0\n' >/etc/hosts
