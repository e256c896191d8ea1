#!/usr/bin/env bash
# In network, UTS and mount namespaces of its own, which are machine a, makes another beside them, b, and runs a command
# on a:
#
#   machines.sh ADDRESS-A ADDRESS-B RATE DELAY COMMAND...
#
# The program $0.agent ADDRESS COMMAND... runs a command on the other, as ssh would. RATE, in Mbit/s, and DELAY, in ms,
# are of the line between them, each way; 0 for none. Where tc can't delay, as where the kernel lacks netem, RELAY, a
# program that carries packets (relay_linux.go), does.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin # ip, tc

a=$1 b=$2 rate=$3 delay=$4
shift 4

# Some libraries look for network devices in /sys, which shows those of the namespace it was mounted in.
mount -t sysfs none /sys
hostname a
unshare --net --uts --mount bash -c 'mount -t sysfs none /sys && hostname b && exec sleep infinity' &
other=$!
helpers=()
trap 'kill $other ${helpers[@]+"${helpers[@]}"} 2>/dev/null || true' EXIT
on_b() { nsenter --target $other --net --uts --mount "$@"; }
until [ "$(on_b hostname 2>/dev/null)" = b ]; do sleep 0.02; done

address() {
	ip address add "$a/24" dev line
	on_b ip address add "$b/24" dev line
	ip link set line up
	on_b ip link set line up
	local on
	for on in "" on_b; do
		until [ "$($on cat /sys/class/net/line/carrier 2>/dev/null)" = 1 ]; do sleep 0.02; done
	done
}

ip link set lo up
on_b ip link set lo up
# Without this a line that nothing was sent on for a while begins slowly anew (docs/distributed.md).
for on in "" on_b; do
	$on sh -c 'echo 0 >/proc/sys/net/ipv4/tcp_slow_start_after_idle'
done
ip link add line type veth peer name line netns $other
limited=none
if [ "$rate$delay" != 00 ]; then
	netem=(tc qdisc add dev line root netem delay "${delay}ms" rate "${rate}mbit" limit 20000)
	tbf=(tc qdisc add dev line root tbf rate "${rate}mbit" burst 128kb latency 50ms)
	if "${netem[@]}" 2>/dev/null && on_b "${netem[@]}" 2>/dev/null; then
		limited="$rate Mbit/s, $delay ms, by netem"
	elif ip link delete line && mkfifo "$0.there" "$0.back" &&
		ip tuntap add line mode tun && on_b ip tuntap add line mode tun; then
		ip link set line mtu 9000 txqueuelen 10000
		on_b ip link set line mtu 9000 txqueuelen 10000
		"$RELAY" "$rate" "$delay" <"$0.back" >"$0.there" &
		helpers+=($!)
		on_b "$RELAY" "$rate" "$delay" >"$0.back" <"$0.there" & # in the order in which pipes can be opened
		helpers+=($!)
		limited="$rate Mbit/s, $delay ms, by a relay"
	else # no way to delay
		ip link add line type veth peer name line netns $other
		if "${tbf[@]}" 2>/dev/null && on_b "${tbf[@]}" 2>/dev/null; then
			limited="$rate Mbit/s, by tbf"
		fi
	fi
fi
address
echo "line: $limited"

# Launchers of some kinds put ssh's flags before the address.
cat >"$0.agent" <<END
#!/usr/bin/env bash
while [ "\${1#-}" != "\$1" ]; do shift; done
[ "\$1" = "$b" ] || { echo "agent: no machine \$1" >&2; exit 1; }
shift
exec nsenter --target $other --net --uts --mount bash -c "\$*"
END
chmod +x "$0.agent"
"$@"
