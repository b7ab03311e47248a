# Says what a process in the sandbox is, and what of the forbidden worked. Read line by line in proof.rs.
# Groups that the sandbox does not know are what a node's user who is not root can't leave: of what is there, they may have
# something in /usr, which nobody can write to.
unknown=$(cat /proc/sys/kernel/overflowgid)
echo "identity $(id -u) $(id -g)" $(id -G | tr ' ' '\n' | grep -vx "$unknown")
sed -n 's/^Cap...:\t/capabilities /p' /proc/self/status | sort -u
sed -n 's/^NoNewPrivs:\t/new privileges /p; s/^Seccomp:\t/filter /p' /proc/self/status
echo "interfaces" $(sed -n 's/^ *\([^ ]*\):.*/\1/p' /proc/net/dev | sort)

echo "limits $(ulimit -u) $(ulimit -n) $(ulimit -c) $(ulimit -d)"

# With and without a user namespace around it.
namespace=refused
for kind in --user --net --mount --pid; do
    ! unshare "$kind" true 2>/dev/null || namespace=made
    ! unshare --user "$kind" true 2>/dev/null || namespace=made
done
echo "namespace $namespace"

for folder in / /usr /usr/bin /etc /dev /proc /home /bin /lib; do
    name="$folder/bzzz-trial"
    if (: >"$name") 2>/dev/null; then
        rm -f "$name"
        echo "writable $folder"
    fi
done
for setting in /proc/sys/kernel/core_pattern /proc/sys/kernel/hostname /proc/sysrq-trigger; do
    ! (: >>"$setting") 2>/dev/null || echo "writable $setting"
done

for path in /root /var /run /boot /srv /opt /mnt /media /sys /etc/shadow /etc/ssl/private /etc/gitconfig; do
    [ ! -e "$path" ] || echo "visible $path"
done
for path in /home/* /tmp/* /tmp/.[!.]*; do
    [ ! -e "$path" ] || [ "$path" = "$HOME" ] || echo "visible $path"
done

# A host has more, and the first of them here is sandboxd.
if [ "$(ls -d /proc/[0-9]* | wc -l)" -le 5 ] && [ "$(cat /proc/1/comm)" = sandboxd ]; then
    echo "processes few"
else
    echo "processes many"
fi
