#!/bin/sh
# What qemu-ga runs as /sbin/shutdown: -h, then -P, -H or -r, then +0 and a text.
case $2 in
    -r) exec reboot ;;
    -H) exec halt ;;
    *) exec poweroff ;;
esac
